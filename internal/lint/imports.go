package lint

import (
	"slices"
	"strconv"
	"strings"
)

// layers is the import policy: a package may import packages of lower layers only, never of its own. A folder with a
// slash at its end stands for every package below it.
//
// Do not move a package to make a build pass; ask why it needs the import.
var layers = [][]string{
	0: {"internal/invariant", "internal/clock", "internal/glob", "internal/crc", "internal/lzf", "internal/stats",
		"internal/resp", "persist/lines", "persist/vfs"},
	1: {"shard/arena", "internal/listpack", "internal/acl", "reactor"},
	2: {"shard/ds/", "persist/log"},
	3: {"shard/object"},
	4: {"persist/rdb", "persist/aof", "shard"},
	5: {"persist/snapshot", "shard/command"},
	// internal/check is all of cmd/fulmen-check but main: it reads and writes snapshots with what the server uses.
	6: {"replica", "internal/config", "internal/pubsub", "internal/script", "internal/console", "internal/check"},
	7: {"internal/server"},
	8: {"cmd/"},
}

// testOnlyLayer is the layer of the test-only packages: they stand on the leaves.
const testOnlyLayer = 1

// testLeaf is the test-only package that the others may import.
const testLeaf = "internal/need"

// homes are the packages that alone may import some library, so that it can be replaced there.
var homes = map[string]string{
	"github.com/panjf2000/gnet/": "reactor",
}

// checkImports holds the packages, without their tests, to the layers.
func (t *tree) checkImports() {
	for _, pkg := range t.packages {
		bench := inside(pkg.dir, "benchmarks")
		layer, known := layerOf(pkg.dir)
		if !known && !bench {
			t.reportAt(pkg.sources[0].ast.Name.Pos(), "layers", "%s has no layer; give it one here", pkg.dir)
			continue
		}
		for _, src := range pkg.sources {
			for _, spec := range src.ast.Imports {
				importPath, _ := strconv.Unquote(spec.Path.Value)
				if why := importFault(pkg.dir, layer, bench, importPath); why != "" {
					t.reportAt(spec.Pos(), "layers", "%s imports %s: %s", pkg.dir, importPath, why)
				}
			}
		}
	}
}

// layerOf gives a package's layer by its folder.
func layerOf(dir string) (int, bool) {
	if slices.Contains(testOnly, dir) {
		return testOnlyLayer, true
	}
	for i, folders := range layers {
		for _, folder := range folders {
			if dir == folder || strings.HasSuffix(folder, "/") && strings.HasPrefix(dir, folder) {
				return i, true
			}
		}
	}
	return 0, false
}

// importFault says what is wrong with an import, or nothing.
func importFault(dir string, layer int, bench bool, importPath string) string {
	for library, home := range homes {
		if strings.HasPrefix(importPath+"/", library) && dir != home {
			return "only " + home + " may"
		}
	}
	target, own := strings.CutPrefix(importPath, modulePath+"/")
	if !own {
		return ""
	}
	if slices.Contains(testOnly, target) {
		if target == testLeaf && slices.Contains(testOnly, dir) {
			return ""
		}
		return "only tests may"
	}
	if bench {
		if target == "internal/resp" || inside(target, "benchmarks") {
			return ""
		}
		return "benchmarks use internal/resp only"
	}
	targetLayer, known := layerOf(target)
	if !known || targetLayer >= layer {
		return "not below its own layer; do not move a package to make a build pass, ask why it needs the import"
	}
	return ""
}

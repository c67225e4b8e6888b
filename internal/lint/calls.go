package lint

import (
	"go/ast"
	"slices"
	"strings"
)

// testOnly are the packages that only tests import. For the clock and for files they count as tests.
var testOnly = []string{"internal/chaos", "internal/clients", "internal/lint", "internal/need", "internal/redistest",
	"persist/vfs/vfstest"}

// bannedCalls are the functions that only some folders may name. Method calls are not caught: what they are called on
// came from a function that is.
var bannedCalls = []struct {
	rule    string
	why     string
	allowed []string // folders, beside testOnly and benchmarks
	names   map[string]string
}{
	{
		rule:    "clock",
		why:     "the time comes from an internal/clock.Clock, so that tests hold it",
		allowed: []string{"internal/clock"},
		names: map[string]string{
			"time":                  "Now Since Until",
			"golang.org/x/sys/unix": "ClockGettime Gettimeofday Time",
			"syscall":               "Gettimeofday Time",
		},
	},
	{
		rule:    "files",
		why:     "files go through persist/vfs, so that tests can fail and crash them",
		allowed: []string{"persist/vfs", "cmd"},
		names: map[string]string{
			"os":                    osFileCalls,
			"path/filepath":         "EvalSymlinks Glob Walk WalkDir",
			"io/ioutil":             "ReadAll ReadDir ReadFile TempDir TempFile WriteFile",
			"golang.org/x/sys/unix": unixFileCalls,
			"syscall":               unixFileCalls,
		},
	},
	{
		rule: "print",
		why:  "standard output belongs to the log: use it, or fmt.Fprint to a writer that you were given",
		names: map[string]string{
			"fmt": "Print Printf Println",
		},
	},
}

const osFileCalls = "Chmod Chown Chtimes CopyFS Create CreateTemp DirFS Lchown Link Lstat Mkdir MkdirAll " +
	"MkdirTemp Open OpenFile OpenInRoot OpenRoot ReadDir ReadFile Readlink Remove RemoveAll Rename Stat Symlink " +
	"Truncate WriteFile"

const unixFileCalls = "Chmod Chown Creat Fallocate Fchmod Fchown Fdatasync Flock Fsync Ftruncate Link Lstat Mkdir " +
	"Mknod Open Openat Openat2 Pread Preadv Pwrite Pwritev Rename Renameat Renameat2 Rmdir Sendfile Stat Statx " +
	"Symlink Sync SyncFileRange Syncfs Truncate Unlink Unlinkat"

// checkCalls finds functions of other packages that are named where they are banned; to name one as a value counts too.
func (t *tree) checkCalls() {
	for _, pkg := range t.packages {
		for _, src := range pkg.sources {
			ast.Inspect(src.ast, func(node ast.Node) bool {
				if selector, ok := node.(*ast.SelectorExpr); ok {
					t.checkSelector(pkg, selector)
				}
				return true
			})
			for _, spec := range src.ast.Imports {
				if spec.Name != nil && spec.Name.Name == "." {
					t.reportAt(spec.Pos(), "dot-import", "no dot imports: they hide where a name comes from")
				}
			}
		}
	}
}

func (t *tree) checkSelector(pkg *pkgTree, selector *ast.SelectorExpr) {
	importPath, ok := pkg.imported(selector.X)
	if !ok {
		return
	}
	for _, ban := range bannedCalls {
		if inside(pkg.dir, ban.allowed...) {
			continue
		}
		if ban.rule != "print" && inside(pkg.dir, append(testOnly, "benchmarks")...) {
			continue
		}
		if slices.Contains(strings.Fields(ban.names[importPath]), selector.Sel.Name) {
			t.reportAt(selector.Pos(), ban.rule, "no %s.%s here: %s", importPath, selector.Sel.Name, ban.why)
		}
	}
}

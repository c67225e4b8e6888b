package check

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"fulmen/internal/clock"
	"fulmen/persist/vfs/vfstest"
)

// FuzzFiles: whatever a file is, every command comes to an end with an exit code of its own. What verify accepts is
// converted to what it accepts again; what it doesn't is repaired to what it accepts.
func FuzzFiles(f *testing.F) {
	seeds := [][]byte{smallFile(), damagedValue(), newRawFile().set("k", "1").set("k", "2").end(), nil,
		[]byte("*")}
	files, err := filepath.Glob("../../persist/rdb/testdata/redis-*/*.rdb")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, data)
	}
	for _, data := range seeds {
		f.Add(data, false)
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, segments bool) {
		if n := len(data) - 8; n > 0 { // no checksum, so that what it would find out is found by other means
			data = append(data[:n:n], make([]byte, 8)...)
		}
		mem := vfstest.NewMem()
		file, err := mem.Create("in", 0o600)
		if err == nil {
			_, err = file.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		check := func(args ...string) (int, string) {
			var out, errs bytes.Buffer
			code := Main(args, Env{Files: mem, Stdout: &out, Stderr: &errs, Clock: clock.NewFake(testNowMs)})
			if code < 0 || code > 2 {
				t.Fatalf("%q: exit code %d", args, code)
			}
			return code, out.String() + errs.String()
		}
		fine, said := check("verify", "--duplicates", "in")
		check("show", "in")
		check("analyse", "--json", "in")
		if bytes.HasPrefix(data, []byte("*")) { // Redis's commands, which are repaired where they are
			check("repair", "--fix", "in")
			return
		}
		made, args := "out", []string{"repair", "--out", "out", "in"}
		if fine == exitFine {
			args = []string{"convert", "in", "out"}
		}
		if segments {
			made += manifestSuffix
			args = append(args, "--shards", "3")
		}
		if code, text := check(args...); code == exitFailed || fine == exitFine && code != exitFine {
			t.Fatalf("verify: %d, %s\n%q: %d, %s", fine, said, args, code, text)
		}
		if code, text := check("verify", "--duplicates", made); code != exitFine {
			t.Fatalf("%q makes what verify refuses: %s", args, text)
		}
	})
}

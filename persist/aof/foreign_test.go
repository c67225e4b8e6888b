package aof

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"fulmen/internal/resp"
	"fulmen/persist/vfs"
)

func TestForeignManifest(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type h\n# x\nfile a.2.incr.aof seq 2 type i\n",
			"a.1.base.rdb a.2.incr.aof"},
		{"FILE \"a b\\x2e\" seq 1 type i other 7\r\n", "a b."},
		{"", "empty AOF manifest"},
		{"\n", "Invalid AOF manifest file format"},
		{"file a seq 1\n", "Invalid AOF manifest file format"},
		{"file a seq 0 type i\n", "Invalid AOF manifest file format"},
		{"file a seq 1 type i", "too long line"},
		{"file ../a seq 1 type i\n", "File can't be a path"},
		{"file a seq 1 type b\nfile b seq 2 type b\n", "at line 2 (offset 20): Found duplicate base file information"},
		{"file a seq 2 type i\nfile b seq 2 type i\n", "Found a non-monotonic sequence number"},
		{"file a seq 2 type x\n", "Unknown AOF file type"},
	} {
		files, err := ParseForeignManifest("m", []byte(test.text))
		var names []string
		for _, f := range files {
			names = append(names, f.Path)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
			t.Errorf("%q: %s, want %s", test.text, got, test.want)
		}
	}
}

// TestFindForeign finds files in all places where Redis would, and ours not.
func TestFindForeign(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "d")
	must(t, os.Mkdir(sub, 0o700))
	find := func() (string, error) {
		f, err := FindForeign(vfs.OS{}, dir, "d", "a.aof")
		if f == nil || err != nil {
			return "", err
		}
		var names []string
		for _, x := range f.Files {
			names = append(names, strings.TrimPrefix(x.Path, dir))
		}
		return strings.Join(names, " "), nil
	}
	want := func(want string) {
		t.Helper()
		if got, err := find(); err != nil || got != want {
			t.Errorf("found %q (%v), want %q", got, err, want)
		}
	}
	put := func(name, text string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	want("")
	put("a.aof", "x")
	want("/a.aof")
	put("d/a.aof.manifest", "file a.aof seq 1 type b\n")
	want("/a.aof") // a move that was broken off
	put("d/a.aof", "x")
	want("/d/a.aof")
	put("d/a.aof.manifest", "file b seq 1 type b\nfile c seq 1 type i\n")
	var missing *ForeignError
	if _, err := find(); !errors.As(err, &missing) || missing.Kind != ForeignMissing {
		t.Errorf("missing files: %v", err)
	}
	put("d/b", "")
	put("d/c", "")
	want("/d/b /d/c")
	f, err := FindForeign(vfs.OS{}, dir, "d", "a.aof")
	must(t, err)
	kept, err := f.Keep(vfs.OS{})
	must(t, err)
	data, err := os.ReadFile(kept)
	if err != nil || string(data) != "file b seq 1 type b\nfile c seq 1 type i\n" {
		t.Errorf("kept %q, %v", data, err)
	}
	put("d/a.aof.manifest", "fulmen-aof 1\n")
	want("")
}

// failing is an Applier whose commands all fail.
type failing struct{ err error }

func (f failing) Apply(int, [][]byte) (done, n int, err error) { return 0, 0, f.err }

// TestForeignErrors wants errors that say what, where and what to do.
func TestForeignErrors(t *testing.T) {
	set := string(resp.AppendCommandStrings(nil, "SET", "a", "1"))
	for _, test := range []struct {
		texts     []string
		truncated bool
		err       error
		want      string
	}{
		{[]string{set + "*1\r\n$4\r\nXADD\r\n"}, true, nil,
			"Unknown command 'XADD' reading the append only file 0 at offset 27"},
		{[]string{set + "*1\r\n"}, false, nil,
			"at offset 27 (in the length of an argument). You can: 1) Make a backup"},
		{[]string{set + "hello\r\n"}, true, nil,
			"Bad file format reading the append only file 0 at offset 27"},
		{[]string{set, set + "*", set}, true, nil,
			"the truncated file is not the last file: 1 ends at offset 27"},
		{[]string{string(resp.AppendCommandStrings(nil, "SELECT", "16"))}, true, nil,
			"selects database 16 at offset 0"},
		{[]string{set}, true, errors.New("no"),
			"Error executing the command at offset 0 of the append only file 0: no"},
		{[]string{set}, true, resp.Errorf("ERR", "no"),
			""},
		{[]string{"REDIS0010"}, true, nil,
			"Error reading the RDB part of the AOF file 0, AOF loading aborted: broken"},
	} {
		dir := t.TempDir()
		f := &Foreign{}
		for i, text := range test.texts {
			name := filepath.Join(dir, string(rune('0'+i)))
			must(t, os.WriteFile(name, []byte(text), 0o600))
			f.Files = append(f.Files, ForeignFile{Path: name})
		}
		var p LoadProgress
		_, err := LoadForeign(f, &ForeignOptions{
			FS: vfs.OS{}, Databases: 16, Truncated: test.truncated, Applier: failing{test.err},
			Known:   func(name []byte) bool { return string(name) == "SET" },
			LoadRDB: func(string) (int64, error) { return 0, errors.New("broken") },
		}, &p)
		text := ""
		if err != nil {
			text = strings.ReplaceAll(err.Error(), dir+"/", "")
		}
		if !strings.Contains(text, test.want) || (test.want == "") != (err == nil) {
			t.Errorf("%q: %v, want %s", test.texts, err, test.want)
		}
	}
}

// TestForeignFailsInTheMiddle: wherever a file of Redis's is wrong, or a command fails, everything before it is
// executed and nothing behind it, and the error says where; replies that are errors are counted. No goroutine is left,
// whether the commands are read ahead or not.
func TestForeignFailsInTheMiddle(t *testing.T) {
	defer goleak.VerifyNone(t)
	const commands = 9000
	var text []byte
	var offsets []int64
	multi := string(resp.AppendCommandStrings(nil, "MULTI"))
	for i := range commands {
		value := strings.Repeat("v", i%70)
		if i == 2000 {
			value = strings.Repeat("v", 2<<20)
		}
		switch i % 10 {
		case 3:
			text = append(text, multi...)
		case 7:
			text = resp.AppendCommandStrings(text, "EXEC")
		case 8:
			text = fmt.Appendf(text, "#TS:%d\r\n", 1+i)
		}
		offsets = append(offsets, int64(len(text)))
		text = resp.AppendCommandStrings(text, "SET", strconv.Itoa(i), value)
	}
	load := func(data []byte, a *inOrder, ahead bool) (ForeignLoaded, error) {
		name := filepath.Join(t.TempDir(), "a.aof")
		must(t, os.WriteFile(name, data, 0o600))
		f, err := OpenForeign(vfs.OS{}, name)
		must(t, err)
		var p LoadProgress
		r, err := LoadForeign(f, &ForeignOptions{FS: vfs.OS{}, Applier: a, ahead: &ahead}, &p)
		if err == nil && (int64(a.commands) != p.Commands.Load() || p.ReadBytes.Load() != int64(len(data))) {
			t.Errorf("progress: %d commands, %d of %d bytes", p.Commands.Load(), p.ReadBytes.Load(), len(data))
		}
		return r, err
	}
	for _, ahead := range []bool{false, true} {
		r, err := load(text, &inOrder{failAt: -1, refuse: 7}, ahead)
		if err != nil || r != (ForeignLoaded{Commands: commands, Failed: commands / 7, TimestampSec: commands - 1}) {
			t.Fatal(r, err)
		}
		for at := 1; at < commands; at += 1 + at/2 {
			whole, short := at, offsets[at] // how many are executed if it is wrong here; where it ends if it is cut
			if at%10 > 2 && at%10 < 7 {
				whole -= at%10 - 3
				short = offsets[whole] - int64(len(multi))
			}
			bad := append([]byte(nil), text...)
			bad[offsets[at]] = '!'
			for _, c := range []struct {
				data   []byte
				failAt int
				want   int
				kind   ForeignFault
				offset int64
			}{
				{bad, -1, whole, ForeignFormat, offsets[at]},
				{text[:offsets[at]+5], -1, whole, ForeignShort, short},
				{text, at, at, ForeignExecution, offsets[at]},
				{bad, whole - 1, whole - 1, ForeignExecution, offsets[max(whole-1, 0)]},
			} {
				a := &inOrder{failAt: c.failAt}
				r, err := load(c.data, a, ahead)
				var wrong *ForeignError
				if !errors.As(err, &wrong) || wrong.Kind != c.kind || wrong.Offset != c.offset || a.commands != c.want {
					t.Fatalf("wrong at %d, fails at %d, ahead %t: %d commands, %v; want %d, kind %d, offset %d", at,
						c.failAt, ahead, a.commands, err, c.want, c.kind, c.offset)
				}
				if c.failAt >= 0 {
					c.want++ // which has failed
				}
				if r.Commands != int64(c.want) {
					t.Fatalf("%d commands, want %d", r.Commands, c.want)
				}
			}
		}
	}
}

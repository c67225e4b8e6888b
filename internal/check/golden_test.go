package check

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGoldenFiles: files that servers of Redis 7.0 and 8.0 have written, with all types, streams and functions among
// them, are in order; in segments and back they have the same keys.
func TestGoldenFiles(t *testing.T) {
	files, err := filepath.Glob("../../persist/rdb/testdata/redis-*/*.rdb")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		dir := t.TempDir()
		segments, back := filepath.Join(dir, "segments"), filepath.Join(dir, "back.rdb")
		expect(t, 0, []string{"fine"}, "verify", "--duplicates", file)
		expect(t, 0, nil, "convert", "--shards", "3", file, segments)
		expect(t, 0, []string{"fine"}, "verify", segments+manifestSuffix)
		expect(t, 0, nil, "convert", segments+manifestSuffix, back)
		expect(t, 0, []string{"fine"}, "verify", back)
		expect(t, 0, []string{"keys"}, "analyse", back)
		if got, want := keyLines(t, back), keyLines(t, file); got != want {
			t.Errorf("%s: after two conversions\n%s\nwant\n%s", file, got, want)
		}
		version := "0010"
		if strings.Contains(file, "fieldexpiry") {
			version = "0012"
		}
		if head := expect(t, 0, nil, "show", "--limit", "0", back); !strings.Contains(file, "streams") &&
			!strings.Contains(head, "RDB version "+strings.TrimLeft(version, "0")) {
			t.Errorf("%s: want version %s\n%s", file, version, head)
		}
	}
}

// keyLines lists the keys of a file, sorted, without their sizes, which depend on the form.
func keyLines(t *testing.T, path string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(expect(t, 0, nil, "show", path)) {
		if strings.HasPrefix(line, "db") && !strings.Contains(line, "about ") {
			before, after, _ := strings.Cut(line, ": ")
			what, details, _ := strings.Cut(after, ", ")
			_, details, _ = strings.Cut(details, " bytes")
			lines = append(lines, before+": "+what+details)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// TestShowStream: all that there is of a stream is shown, and is the same after two conversions.
func TestShowStream(t *testing.T) {
	const file = "../../persist/rdb/testdata/redis-7.0/streams.rdb"
	dir := t.TempDir()
	segments, back := filepath.Join(dir, "segments"), filepath.Join(dir, "back.rdb")
	expect(t, 0, nil, "convert", "--shards", "3", file, segments)
	expect(t, 0, nil, "convert", segments+manifestSuffix, back)
	for key, want := range map[string][]string{
		"19:groups": {
			`1) 1-1 "f" "v" "g" "w"`, "last ID 9-9, 3 added, highest ID deleted 9-9", `group "g1": last ID 9-9, 3 read`,
			"  pending 1-1, delivered at 20", `  consumer "alice", seen at 20`, "    pending 1-1\n",
			`group "g2": last ID 9-9, -1 read`, `  consumer "carol"`,
		},
		"19:empty":   {`group "\x00g": last ID 0-0, 7 read`},
		"19:numbers": {`2) 18446744073709551614-0 "1" "5000000000" "a" "xxx`},
	} {
		text := expect(t, 0, want, "show", "--key", key, file)
		if got := expect(t, 0, want, "show", "--key", key, back); got != text {
			t.Errorf("%s: after two conversions\n%s\nwant\n%s", key, got, text)
		}
	}
}

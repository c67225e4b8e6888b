package rdb

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The golden files, testdata/redis-<version>/<name>.rdb, were written by redis-server, from commands of
// goldengen_test.go. Beside each stands what the server said of its content before (<name>.txt, as describe and
// recorder.text put it), and what DUMP replied (<name>.dump). A key's name begins with the type that its value should
// have in the file.

// goldenFiles returns the paths of all golden files, without their extension.
func goldenFiles(t testing.TB) []string {
	files, err := filepath.Glob(filepath.Join("testdata", "redis-*", "*.rdb"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files (%v)", err)
	}
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], ".rdb")
	}
	return files
}

func readFile(t testing.TB, path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hints are the lines of a file that the server was not asked about.
func isHint(line string) bool {
	return strings.HasPrefix(line, "aux ") || strings.HasPrefix(line, "select ") ||
		strings.HasPrefix(line, "resize ") || strings.HasPrefix(line, "slot ")
}

func TestGolden(t *testing.T) {
	rewriteGolden(t)
	found := map[byte]bool{}
	for _, path := range goldenFiles(t) {
		lines, err := play(t, bytes.NewReader(readFile(t, path+".rdb")), ReadOptions{File: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		checkHints(t, path, lines)
		lines = slices.DeleteFunc(lines, isHint)
		slices.Sort(lines)
		if want := string(readFile(t, path+".txt")); strings.Join(lines, "\n")+"\n" != want {
			t.Errorf("%s: the file has\n%s\nthe server had\n%s", path, strings.Join(lines, "\n"), want)
		}
		for _, line := range lines {
			if _, after, ok := strings.Cut(line, " type "); ok {
				n, _, _ := strings.Cut(after, " ")
				rdbType, _ := strconv.Atoi(n)
				found[byte(rdbType)] = true
				if !strings.Contains(line, `"`+n+":") {
					t.Errorf("%s: %s: the server writes this as another type than it should", path, line)
				}
			}
		}
	}
	for _, rdbType := range []byte{
		TypeString, TypeSet, TypeHash, TypeZSet2, TypeSetIntset, TypeHashListpack, TypeZSetListpack, TypeListQuicklist2,
		TypeStreamListpacks2, TypeSetListpack, TypeStreamListpacks3, TypeHashMetadata, TypeHashListpackEx,
	} {
		if !found[rdbType] {
			t.Errorf("no golden file has a value of type %d", rdbType)
		}
	}
}

// checkHints compares what a file says of itself with what is in it.
func checkHints(t *testing.T, path string, lines []string) {
	var keys, expires, wantKeys, wantExpires int
	var version string
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case words[0] == "resize":
			n, _ := strconv.Atoi(words[1])
			m, _ := strconv.Atoi(words[2])
			wantKeys, wantExpires = wantKeys+n, wantExpires+m
		case strings.HasPrefix(line, `aux "redis-ver" `):
			version, _ = strconv.Unquote(words[2])
		case strings.HasPrefix(line, "db"):
			keys++
			if strings.Contains(line, " expire ") {
				expires++
			}
		}
	}
	if keys != wantKeys || expires != wantExpires {
		t.Errorf("%s: %d keys, %d expire; it says %d, %d", path, keys, expires, wantKeys, wantExpires)
	}
	if version == "" || !strings.HasPrefix(version, strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "redis-")) {
		t.Errorf("%s: written by %q", path, version)
	}
}

// TestGoldenDumps decodes what DUMP has replied.
func TestGoldenDumps(t *testing.T) {
	dumps := 0
	for _, path := range goldenFiles(t) {
		values := map[string]string{}
		for line := range strings.Lines(string(readFile(t, path+".txt"))) {
			if key, value, ok := keyAndValue(line); ok {
				values[key] = value
			}
		}
		for line := range strings.Lines(string(readFile(t, path+".dump"))) {
			dumps++
			key, quoted, _ := strings.Cut(strings.TrimSpace(line), " ")
			payload, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			b := recorder{t: t}
			err = DecodeDump([]byte(payload), &b)
			got := b.text()
			if err == ErrUnsupported {
				got = err.Error()
			} else if err != nil {
				t.Errorf("%s: %s: %v", path, key, err)
			}
			if got != values[key] {
				t.Errorf("%s: %s: %s, the server had %s", path, key, got, values[key])
			}
		}
	}
	if dumps < 50 {
		t.Errorf("only %d payloads", dumps)
	}
}

// keyAndValue takes a line of describe and recorder.text apart.
func keyAndValue(line string) (key, value string, ok bool) {
	if !strings.HasPrefix(line, "db") {
		return "", "", false
	}
	words := strings.SplitN(strings.TrimSpace(line), " ", 3)
	for _, begin := range []string{"string ", "list ", "set ", "zset ", "hash ", "stream "} {
		if _, after, found := strings.Cut(words[2], " "+begin); found {
			return words[1], begin + after, true
		}
	}
	return "", "", false
}

// TestGoldenFaults: of files that a server wrote, every truncation and every single bit that is flipped is noticed.
func TestGoldenFaults(t *testing.T) {
	for _, path := range goldenFiles(t) {
		in := readFile(t, path+".rdb")
		if strings.HasSuffix(path, "nochecksum") {
			continue
		}
		if len(in) > 5_000 {
			t.Fatalf("%s has %d bytes: keep what is tried bit by bit small", path, len(in))
		}
		for n := range in {
			checkFault(t, path, in[:n])
		}
		for i := range in {
			for bit := range 8 {
				in[i] ^= 1 << bit
				if !checkFault(t, path, in) {
					t.Errorf("%s: bit %d of byte %d means nothing", path, bit, i)
				}
				in[i] ^= 1 << bit
			}
		}
	}
}

// checkFault wants an input refused, as what it is.
func checkFault(t *testing.T, path string, in []byte) bool {
	r := NewReader(bytes.NewReader(in), path)
	var err error
	for err == nil {
		var e Event
		if e, err = r.Next(); err == nil && e.Kind == EventKey {
			if err = r.Value(Discard{}); err == ErrUnsupported || err == ErrEmpty {
				err = nil
			}
		}
	}
	var corrupt *CorruptError
	ok := errors.As(err, &corrupt)
	if ok && (corrupt.Offset > int64(len(in)) || corrupt.Offset < 0) {
		t.Errorf("%s: an error at offset %d of %d", path, corrupt.Offset, len(in))
	}
	if !ok {
		t.Errorf("%s: %d bytes: %v", path, len(in), err)
	}
	return ok
}

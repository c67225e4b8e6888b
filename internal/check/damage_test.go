package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/clock"
	"fulmen/internal/crc"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/persist/vfs"
)

// rawFile puts an RDB file together.
type rawFile struct{ b []byte }

func newRawFile() *rawFile {
	return (&rawFile{[]byte("REDIS0010")}).bytes(250).str("redis-ver").str("7.0.15").bytes(254, 0)
}

func (f *rawFile) bytes(b ...byte) *rawFile {
	f.b = append(f.b, b...)
	return f
}

func (f *rawFile) str(s string) *rawFile {
	if len(s) >= 64 {
		f.b = append(f.b, byte(len(s)>>8)|0x40)
	}
	f.b = append(append(f.b, byte(len(s))), s...)
	return f
}

func (f *rawFile) set(key, value string) *rawFile { return f.bytes(0).str(key).str(value) }

func (f *rawFile) end() []byte {
	f.bytes(255)
	return binary.LittleEndian.AppendUint64(f.b, crc.Sum64(f.b))
}

// smallFile has four keys: a string, a hash and a list of database 0, and a string with an expiry of database 3.
func smallFile() []byte {
	f := newRawFile().set("k", "val").bytes(4).str("hash").bytes(1).str("f").str("v").
		bytes(1).str("list").bytes(2).str("one").str("2").bytes(254, 3, 252)
	f.b = binary.LittleEndian.AppendUint64(f.b, 2_000_000_000_000)
	return f.set("expiring", "ab").end()
}

// TestVerifyNoticesEverything: each truncation of each file of a snapshot, and a flipped bit of each byte; of the
// plain file, all.
func TestVerifyNoticesEverything(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.rdb")
	writeFile(t, plain, smallFile())
	for i, c := range []struct{ args, files []string }{
		{nil, []string{"plain.rdb"}},
		{[]string{"--shards", "2"}, []string{"1.rdb.1.0", "1.rdb.1.1", "1.rdb.manifest"}},
		{[]string{"--shards", "2", "--compression", "none"}, []string{"2.rdb.1.0", "2.rdb.1.1", "2.rdb.manifest"}},
	} {
		name := plain
		if c.args != nil {
			name = filepath.Join(dir, fmt.Sprint(i, ".rdb"))
			expect(t, 0, nil, append([]string{"convert", plain, name}, c.args...)...)
			name += manifestSuffix
		}
		expect(t, 0, []string{"fine: 4 keys"}, "verify", name)
		for _, file := range c.files {
			path := filepath.Join(dir, file)
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for change := range len(good) * 9 {
				if at, bit := change/9, change%9; c.args != nil && bit != 8 && bit != at%8 {
					continue
				}
				bad := append([]byte(nil), good...)
				if at, bit := change/9, change%9; bit == 8 {
					bad = bad[:at]
				} else {
					bad[at] ^= 1 << bit
				}
				writeFile(t, path, bad)
				code, out, errs := runCheck("verify", name)
				if code != 1 || !strings.Contains(out, "DAMAGED") {
					t.Fatalf("%s, change %d: exit code %d\n%s%s", file, change, code, out, errs)
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if path != name {
				expect(t, 1, []string{"the file is missing"}, "verify", name)
			}
			writeFile(t, path, good)
		}
		expect(t, 0, []string{"fine: 4 keys"}, "verify", name)
	}
}

// damagedValue is a file whose second key, a hash, has a ziplist that makes no sense; all else is in order.
func damagedValue() []byte {
	return newRawFile().set("first", "1").bytes(13).str("hash").str("this is no ziplist").set("last", "2").end()
}

// TestVerifyNamesDamagedValues and goes on behind them.
func TestVerifyNamesDamagedValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.rdb")
	writeFile(t, path, damagedValue())
	expect(t, 1, []string{`value of db0 "hash"`, "DAMAGED: 1 faults"}, "verify", path)
	writeFile(t, path, newRawFile().set("k", "1").set("k", "2").end())
	expect(t, 0, nil, "verify", path)
	expect(t, 1, []string{`db0 "k" is there twice`}, "verify", "--duplicates", path)
	writeFile(t, path, newRawFile().bytes(2).str("set").bytes(2).str("m").str("m").end())
	expect(t, 1, []string{`value of db0 "set"`}, "verify", path)
}

// TestRepair: what can be read is written to a new file, and the old one stays.
func TestRepair(t *testing.T) {
	good := smallFile()
	long := newRawFile()
	for i := range 1000 {
		long.set(fmt.Sprint("key:", i), strings.Repeat("value", i%50))
	}
	cut := long.end()
	cut = cut[:len(cut)/2]
	flipped := append([]byte(nil), good...)
	flipped[len(good)-10] ^= 1 // of a value
	for name, c := range map[string]struct {
		data []byte
		keys int
		code int
		want string
	}{
		"good":       {good, 4, 0, ""},
		"cut":        {cut, -1, 1, "it ends too early"},
		"empty":      {nil, 0, 1, "it ends too early"},
		"value":      {damagedValue(), 2, 1, `value of db0 "hash" is lost`},
		"sum":        {flipped, 4, 1, "all 4 keys could be read"},
		"twice":      {newRawFile().set("k", "1").set("k", "2").end(), 1, 1, "is there twice"},
		"bad opcode": {newRawFile().set("k", "1").bytes(99).end(), 1, 1, "lost"},
		"lz4":        {append([]byte(lz4Start), good...), 0, 1, "LZ4"},
	} {
		path := filepath.Join(t.TempDir(), "dump.rdb")
		writeFile(t, path, c.data)
		out := expect(t, c.code, []string{c.want}, "repair", path)
		if now, err := os.ReadFile(path); err != nil || string(now) != string(c.data) {
			t.Errorf("%s: the old file has changed: %v", name, err)
		}
		fine := expect(t, 0, []string{"fine: "}, "verify", path+".repaired")
		if want := fmt.Sprintf("fine: %d keys", c.keys); c.keys >= 0 && !strings.Contains(fine, want) {
			t.Errorf("%s: want %s\n%s%s", name, want, out, fine)
		}
		if name == "cut" && !strings.Contains(fine, "fine: 5") && !strings.Contains(fine, "fine: 6") &&
			!strings.Contains(fine, "fine: 7") {
			t.Errorf("about 700 keys before the cut:\n%s", fine)
		}
	}
}

const lz4Start = "\x04\x22\x4d\x18"

// TestRepairSegments: one is damaged, one is missing, and then the manifest is.
func TestRepairSegments(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.rdb")
	f := newRawFile()
	for i := range 900 {
		f.set(fmt.Sprint("key:", i), "value")
	}
	writeFile(t, plain, f.end())
	name := filepath.Join(dir, "dump.rdb")
	expect(t, 0, nil, "convert", "--shards", "3", "--compression", "none", plain, name)
	segment := func(i int) string { return fmt.Sprintf("%s.1.%d", name, i) }
	data, err := os.ReadFile(segment(1))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] = 0xF0 // no key begins like this, nor has any one this letter
	writeFile(t, segment(1), data)
	if err := os.Remove(segment(2)); err != nil {
		t.Fatal(err)
	}
	expect(t, 1, []string{"keys written", segment(1), segment(2), "are lost"}, "repair", dir)
	expect(t, 0, []string{"fine"}, "verify", name+".repaired")
	writeFile(t, name+manifestSuffix, []byte("fulmen-snapshot 1\n"))
	loose := []string{"2 segments are read without a manifest"}
	expect(t, 1, loose, "repair", "--out", name+".again", name+manifestSuffix)
	if err := os.Remove(name + manifestSuffix); err != nil {
		t.Fatal(err)
	}
	expect(t, 1, loose, "repair", "--out", name+".third", dir)
	if err := os.Remove(segment(1)); err != nil {
		t.Fatal(err)
	}
	// What is left is in order, and yet not all.
	expect(t, 1, []string{"1 segments are read without a manifest"}, "repair", "--out", name+".fourth", dir)
}

// TestHostileFiles: lengths that promise more than there is take no memory and no time.
func TestHostileFiles(t *testing.T) {
	huge := []byte{0x81, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	path := filepath.Join(t.TempDir(), "dump.rdb")
	for typ := range 30 {
		f := newRawFile().bytes(byte(typ)).str("k").bytes(huge...).bytes(huge...).bytes(huge...)
		writeFile(t, path, f.end())
		for _, sub := range []string{"verify", "analyse", "show"} {
			if code, out, errs := runCheck(sub, path); code == 0 {
				t.Errorf("type %d: %s finds nothing wrong\n%s%s", typ, sub, out, errs)
			}
		}
	}
}

// TestDamageIsNoFailure: whichever subcommand comes upon damage exits with 1, and says where it is.
func TestDamageIsNoFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dump.rdb")
	twice := newRawFile().set("a", "1").bytes(2).str("twice").bytes(2).str("m").str("m").end()
	cut := smallFile()[:60]
	for _, c := range []struct {
		data []byte
		sub  string
	}{{cut, "verify"}, {cut, "analyse"}, {cut, "show"}, {damagedValue(), "analyse"}, {twice, "analyse"}} {
		writeFile(t, path, c.data)
		code, stdout, stderr := runCheck(c.sub, path)
		if out := stdout + stderr; code != 1 || !strings.Contains(out, path) || !strings.Contains(out, "at offset") {
			t.Errorf("%s: exit code %d\n%s", c.sub, code, out)
		}
	}
	writeFile(t, path+manifestSuffix, []byte("fulmen-snapshot 1\n"))
	for _, sub := range []string{"verify", "analyse", "show"} {
		if code, _, stderr := runCheck(sub, dir); code != 1 {
			t.Errorf("%s of a damaged manifest: exit code %d, %s", sub, code, stderr)
		}
	}
	if code, _, stderr := runCheck("convert", dir, path+".new"); code != 1 {
		t.Errorf("convert of a damaged manifest: exit code %d, %s", code, stderr)
	}
}

// TestVerifyComparesWithTheManifest: a manifest that is in order in itself, but says another number of keys.
func TestVerifyComparesWithTheManifest(t *testing.T) {
	dir := t.TempDir()
	plain, name := filepath.Join(dir, "plain.rdb"), filepath.Join(dir, "dump.rdb")
	writeFile(t, plain, smallFile())
	expect(t, 0, nil, "convert", "--shards", "2", plain, name)
	m, err := snapshot.ReadManifest(vfs.OS{}, name+manifestSuffix)
	if err != nil {
		t.Fatal(err)
	}
	m.Segments[1].Keys++
	writeFile(t, name+manifestSuffix, m.AppendText(nil))
	expect(t, 1, []string{"and the manifest says"}, "verify", dir)
}

// TestEmptyCollections are left out, as by loading, and are no damage.
func TestEmptyCollections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.rdb")
	writeFile(t, path, newRawFile().set("k", "v").bytes(4).str("hash").bytes(0).bytes(1).str("list").bytes(0).end())
	expect(t, 0, []string{"fine"}, "verify", path)
	expect(t, 0, []string{"3 keys"}, "analyse", path)
	expect(t, 0, []string{"1 keys written; 2 collections without elements left out"}, "convert", path, path+".new")
	expect(t, 0, []string{"1 keys written"}, "repair", path)
}

// TestScratchHoldsOneKey: it doesn't grow with the file.
func TestScratchHoldsOneKey(t *testing.T) {
	r := &run{Env: Env{Clock: clock.NewFake(testNowMs)}}
	s, err := newScratch(r, 1)
	if err != nil {
		t.Fatal(err)
	}
	rd := rdb.NewReader(bytes.NewReader(longFile(200)), "")
	most := int64(0)
	for range 200 {
		ev, err := rd.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind != rdb.EventKey {
			continue
		}
		k := &keyInfo{Event: ev, name: bytes.Clone(ev.Key)}
		if b, err := s.build(rd, k); err != nil || b.elements != 5000 {
			t.Fatalf("%+v: %v", b, err)
		}
		most = max(most, s.set.Shards[0].UsedBytes())
	}
	if most > 3*5000 {
		t.Errorf("%d bytes in use for one string of 5000", most)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// longFile has n strings of 5000 bytes.
func longFile(n int) []byte {
	f := newRawFile()
	for i := range n {
		f.set(fmt.Sprint("key:", i), strings.Repeat("value", 1000))
	}
	return f.end()
}

package aof

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"fulmen/persist/lines"
	"fulmen/persist/log"
	"fulmen/persist/vfs/vfstest"
)

var (
	idA = strings.Repeat("0123456789", 4)
	idB = strings.Repeat("fedcba9876", 4)
)

func testManifest() *Manifest {
	m := &Manifest{
		DirID: 0xfedcba9876543210, Databases: 16, Shards: 2, ReplID: idA, ReplID2: idB, ReplID2LSN: 300,
		Earlier:  []Ancestor{{idA, 280}, {idB, 270}},
		Position: Position{LSN: 300, Offset: 1300, DB: 3, Fixed: true},
		Incarnations: []Incarnation{
			{Number: 3, StartLSN: 100, EndLSN: 220, State: Clean},
			{Number: 4, StartLSN: 220, EndLSN: 300, State: Unclean},
			{Number: 5, StartLSN: 300, RingDir: "/dev/my shm", Site: testSite},
		},
	}
	m.Add(IncrFiles(2, 3, 5, 300, 1_722_500_100_000)...)
	m.Add(IncrFiles(2, 2, 4, 250, 1_722_500_000_000)...)
	m.Add(File{Kind: Incr, Shard: 0, Seq: 1, Incarnation: 3, LSN: 100, CreatedMs: 1, Format: FormatAOF, History: true})
	for i := range 2 {
		m.Add(File{Kind: Base, Shard: i, Seq: 2, Incarnation: 4, LSN: 250, CreatedMs: 1_722_500_000_001,
			SizeBytes: 70123, CRC64: 0x0123456789abcdef, Keys: int64(1000 + i)})
	}
	return m
}

var testSite = Site{Boot: [16]byte{0x8c, 0x0d, 15: 1}, Device: 0xfe00, Inode: 42}

const testManifestText = `fulmen-aof 1
features none
directory fedcba9876543210
databases 16
shards 2
replid 0123456789012345678901234567890123456789
replid2 fedcba9876fedcba9876fedcba9876fedcba9876 lsn 300
earlier 0123456789012345678901234567890123456789 lsn 280
earlier fedcba9876fedcba9876fedcba9876fedcba9876 lsn 270
position 1300 at 300 fixed from 0 db 3
incarnation 3 start 100 end 220 clean
incarnation 4 start 220 end 300 unclean
` + "incarnation 5 start 300 running in boot 8c0d0000000000000000000000000001 device 000000000000fe00 " +
	"inode 000000000000002a with ring /dev/my%20shm\n" + `incr 0 seq 1 incarnation 3 lsn 100 ms 1 aof history
base 0 seq 2 incarnation 4 lsn 250 ms 1722500000001 rdb live size 70123 crc64 0123456789abcdef keys 1000
base 1 seq 2 incarnation 4 lsn 250 ms 1722500000001 rdb live size 70123 crc64 0123456789abcdef keys 1001
incr 0 seq 2 incarnation 4 lsn 250 ms 1722500000000 aof live
incr 1 seq 2 incarnation 4 lsn 250 ms 1722500000000 aof live
incr 0 seq 3 incarnation 5 lsn 300 ms 1722500100000 aof live
incr 1 seq 3 incarnation 5 lsn 300 ms 1722500100000 aof live
`

func TestManifestText(t *testing.T) {
	text := testManifest().AppendText([]byte("before"))[len("before"):]
	if !strings.HasPrefix(string(text), testManifestText+"checksum ") {
		t.Errorf("text\n%s", text)
	}
	m, err := ParseManifest("f", text)
	if err != nil || !reflect.DeepEqual(m, testManifest()) {
		t.Errorf("parsed %+v, %v", m, err)
	}
	if m.NextSeq() != 4 || len(m.Live(Base)) != 2 || len(m.Live(Incr)) != 4 || m.Last().Number != 5 ||
		m.Incarnation(4).EndLSN != 300 || m.Incarnation(6) != nil {
		t.Error("what a manifest says about itself is wrong")
	}
	c := m.Clone()
	c.Files[0].Seq, c.Incarnations[0].Number, c.Earlier[0].Position = 99, 99, 99
	if !reflect.DeepEqual(m, testManifest()) {
		t.Error("a clone shares something")
	}
}

// resum gives a manifest's text a right checksum after a change.
func resum(text, from, to string) []byte {
	head, _, _ := strings.Cut(strings.Replace(text, from, to, 1), "checksum ")
	return lines.AppendChecksum([]byte(head), 0)
}

// TestManifestDamages cuts and changes a manifest at every byte.
func TestManifestDamages(t *testing.T) {
	text := testManifest().AppendText(nil)
	try := func(what string, at int, damaged []byte) {
		_, err := ParseManifest("f", damaged)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.File != "f" || corrupt.Offset > int64(len(damaged)) {
			t.Errorf("%s at %d: %v", what, at, err)
		}
	}
	for i := range text {
		try("cut", i, text[:i])
		for bit := range 8 {
			damaged := bytes.Clone(text)
			damaged[i] ^= 1 << bit
			try("bit", i, damaged)
		}
	}
	try("byte behind", len(text), append(bytes.Clone(text), '\n'))
}

// TestManifestStrict changes a manifest and gives it a right checksum.
func TestManifestStrict(t *testing.T) {
	for _, change := range [][3]string{
		{"fulmen-aof 1", "fulmen-aof 2", "offset 0: format version 2, this program knows 1"},
		{"features none", "features deltas", "offset 13: needs feature \"deltas\""},
		{"directory fedc", "directory FEDC", "not a sum"},
		{"databases 16", "databases 0", "0 where"},
		{"databases 16", "databases 016", "not a number"},
		{"shards 2", "shards 0", "0 where"},
		{"shards 2", "shards 257", "not a number"},
		{"shards 2", "shards 1", "no such shard"},
		{"replid 0123", "replid X123", "not a replication id"},
		{"replid 0123", "replid 01230", "not a replication id"},
		{idB + " lsn 300", "none", "earlier replids"},
		{"earlier " + idB + " lsn 270\n", "", ""},
		{"earlier " + idB + " lsn 270\n", strings.Repeat("earlier "+idA+" lsn 1\n", MaxAncestors), "earlier replids"},
		{"lsn 280", "lsn -280", "not a number"},
		{"position 1300 at 300 fixed from 0 db 3\n", "", ""},
		{"at 300 fixed from 0", "at 300 moving from 300", ""},
		{"at 300 fixed from 0", "at 300 moving from 301", "not a position"},
		{"at 300 fixed", "at 300 loose", "not a position"},
		{"position 1300 at 300 fixed from 0 db 3", "position 0 at 0 moving from 0 db 0", "not a position"},
		{"end 300 unclean", "end 300 unclean missing 2", ""},
		{"end 300 unclean", "end 300 unclean missing 2 from 260", ""},
		{"end 300 unclean", "end 300 unclean missing 2 from 300", "no part of it"},
		{"end 300 unclean", "end 300 unclean missing 2 from 219", "no part of it"},
		{idB + " lsn 300", "nine", "not the line"},
		{"incarnation 3 start 100 end 220 clean\n", "", "no such incarnation"},
		{"220 clean", "220 dirty", "unknown state"},
		{"220 clean", "99 clean", "ends before it starts"},
		{"end 220 clean", "running", "can follow"},
		{"incarnation 4 start 220", "incarnation 3 start 220", "can follow"},
		{"incarnation 4 start 220", "incarnation 4 start 219", "can follow"},
		{"incarnation 5 start 300", "incarnation 4294967296 start 300", "not a number"},
		{"start 300 running with ring /dev/my%20shm", "start 300 end 300 clean", ""},
		{"running with ring /dev/my%20shm", "running", ""},
		{"ring /dev/my%20shm", "ring /dev/my\x95shm", "not a directory's name"},
		{"ring /dev/my%20shm", "ring /dev/my%2xshm", "not a directory's name"},
		{"/dev/my%20shm", "/dev/my%2", "not a directory's name"},
		{"incr 0 seq 1", "incr 2 seq 1", "no such shard"},
		{"incr 0 seq 1", "incr 00 seq 1", "no such shard"},
		{"incr 0 seq 1", "incr all seq 1", "no such shard"},
		{"base 0 seq 2", "base all seq 2", ""},
		{"incr 0 seq 1", "incr 0 seq 0", "can follow"},
		{"incr 0 seq 1", "incr 0 seq 9", "can follow"},
		{"incr 1 seq 2", "incr 0 seq 2", "can follow"},
		{"lsn 100 ms", "lsn 99 ms", "before its incarnation"},
		{"ms 1 aof", "ms 1 rdb", "unknown format"},
		{"ms 1 aof", "ms 1 txt", "unknown format"},
		{"aof history", "aof past", "neither live nor history"},
		{"incr 0 seq 1", "delta 0 seq 1", "not the line \"checksum %\""},
		{"keys 1000", "keys 1000 more", "not the line"},
	} {
		_, err := ParseManifest("f", resum(testManifestText, change[0], change[1]))
		if (err == nil) != (change[2] == "") || err != nil && !strings.Contains(err.Error(), change[2]) {
			t.Errorf("%q in place of %q: %v", change[1], change[0], err)
		}
	}
	const known = "fulmen-aof 1\nfeatures none"
	for _, change := range []string{known, "fulmen-aof 1\nfeatures x", "fulmen-aof 7\nfeatures none"} {
		_, err := ParseManifest("f", resum(testManifestText, known, change))
		if errors.Is(err, ErrVersion) == (change == known) {
			t.Errorf("%q: %v", change, err)
		}
	}
	none, _, _ := strings.Cut(testManifestText, "incarnation")
	if _, err := ParseManifest("f", resum(none, "", "")); err == nil {
		t.Error("no incarnation is taken")
	}
	if _, err := ParseManifest("f", nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("nothing: %v", err)
	}
	wrong := []byte(testManifestText + "checksum 0000000000000000\n")
	if _, err := ParseManifest("f", wrong); !errors.Is(err, ErrChecksum) {
		t.Errorf("wrong checksum: %v", err)
	}
}

func TestManifestFile(t *testing.T) {
	m := newDisk(t)
	if _, err := ReadManifest(m, testDir, testName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	want := testManifest()
	must(t, want.Commit(m, testDir, testName))
	got, err := ReadManifest(m, testDir, testName)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	senseless := want.Clone()
	senseless.Files[0].Seq = 17
	if err := senseless.Commit(m, testDir, testName); err == nil {
		t.Error("a manifest without sense is written")
	}
	if got, err := ReadManifest(m, testDir, testName); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the old one is gone: %v", err)
	}
	long, err := m.Create(ManifestName(testDir, testName), 0o644)
	must(t, err)
	must(t, long.Truncate(maxManifestBytes+1))
	must(t, long.Close())
	reads := vfstest.NewTap(m, func(s vfstest.Step) error {
		if s.Op == "readfile" {
			t.Error("read although it is too long")
		}
		return nil
	})
	if _, err := ReadManifest(reads, testDir, testName); err == nil {
		t.Error("too long, and no error")
	}
	many := testManifest()
	many.Shards, many.Files = log.MaxShards, nil
	for seq := range uint64(100) {
		many.Add(IncrFiles(log.MaxShards, 1<<62+seq, 5, 1<<62, 1<<62)...)
	}
	if n := len(many.AppendText(nil)); n > maxManifestBytes {
		t.Errorf("a manifest of %d bytes would be refused", n)
	}
}

func TestNames(t *testing.T) {
	for _, f := range testManifest().Files {
		name := f.Name(testName)
		got, ok := ParseName(testName, name)
		want := File{Kind: f.Kind, Shard: f.Shard, Seq: f.Seq, Format: f.Format}
		if !ok || got != want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
	all := File{Kind: Base, Shard: AllShards, Seq: 7, Format: FormatAOF}
	if name := all.Name("a.b"); name != "a.b.7.base.all.aof" {
		t.Error(name)
	} else if got, ok := ParseName("a.b", name); !ok || got != all {
		t.Errorf("%+v %v", got, ok)
	}
	for _, name := range []string{"appendonly.aof", "appendonly.aof.manifest", "appendonly.aof.1.base.rdb",
		"appendonly.aof.1.incr.aof", "appendonly.aof.0.incr.1.aof", "appendonly.aof.01.incr.1.aof",
		"appendonly.aof.1.incr.256.aof", "appendonly.aof.1.incr.-1.aof", "appendonly.aof.1.incr.1.rdb",
		"appendonly.aof.1.more.1.aof", "appendonly.aof.1.incr.1.aof.tmp", "xappendonly.aof.1.incr.1.aof",
		"appendonly.aof1.incr.1.aof", "appendonly.aof.1.base.all.txt", "appendonly.aof.1.incr.all.aof"} {
		if _, ok := ParseName(testName, name); ok {
			t.Errorf("%s is taken for a file of ours", name)
		}
	}
}

func TestRemoveUnnamed(t *testing.T) {
	m := newDisk(t)
	manifest := testManifest()
	named := 0
	for _, f := range manifest.Files {
		file, err := m.Create(f.Path(testDir, testName), 0o644)
		must(t, err)
		must(t, file.Close())
		named++
	}
	for _, name := range []string{"appendonly.aof.4.incr.1.aof", "appendonly.aof.2.base.7.rdb", "other",
		"appendonly.aof.1.incr.aof", "appendonly.aof.manifest.tmp"} {
		file, err := m.Create(testDir+"/"+name, 0o644)
		must(t, err)
		must(t, file.Close())
	}
	removed, err := manifest.RemoveUnnamed(m, testDir, testName)
	if err != nil || strings.Join(removed, " ") != "appendonly.aof.2.base.7.rdb appendonly.aof.4.incr.1.aof" {
		t.Errorf("removed %q, %v", removed, err)
	}
	if names, err := m.ReadDir(testDir); err != nil || len(names) != named+3 {
		t.Errorf("left %q, %v", names, err)
	}
}

// FuzzManifest: what is taken is written again exactly as it was.
func FuzzManifest(f *testing.F) {
	f.Add(testManifest().AppendText(nil))
	f.Add([]byte(testManifestText))
	f.Fuzz(func(t *testing.T, data []byte) {
		// A right checksum lets the fuzzer through to what is behind it.
		for _, text := range [][]byte{data, resum(string(data), "", "")} {
			m, err := ParseManifest("f", text)
			if err != nil {
				continue
			}
			if again := m.AppendText(nil); !bytes.Equal(again, text) {
				t.Errorf("taken\n%q\nwritten again\n%q", text, again)
			}
		}
	})
}

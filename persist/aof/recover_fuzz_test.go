package aof

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"fulmen/persist/log"
)

// FuzzRecover changes anything in one file of an AOF: there is no panic, and what is loaded was there once. It is
// told of changes, not of whole files: those that its cache has of another version of the code, with another history,
// would be sound files of that one.
func FuzzRecover(f *testing.F) {
	open, ended := newDamage(f, 2<<10, unmarked), newDamage(f, 2<<10, endedWell)
	size := uint(len(open.data))
	f.Add(uint(0), uint(0), []byte(nil), false)
	f.Add(uint(0), size, []byte("anything"), false)
	f.Add(size/2, size, []byte(nil), true)
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		at := rnd.UintN(size)
		f.Add(at, uint(1), []byte{open.data[at] ^ 1<<rnd.IntN(8)}, rnd.IntN(2) == 0)
	}
	f.Fuzz(func(t *testing.T, at, drop uint, put []byte, clean bool) {
		x := *open
		if clean {
			x = *ended
		}
		h := *x.history
		h.t, x.history = t, &h
		at = min(at, uint(len(x.data)))
		drop = min(drop, uint(len(x.data))-at)
		x.try("fuzzed", slices.Concat(x.data[:at], put, x.data[at+drop:]), nil)
		if x.failed != nil {
			t.Error(x.failed)
		}
	})
}

// sealFrames makes the sums of all frames in data right, as far as there are frames.
func sealFrames(data []byte) {
	for at := 0; at < len(data); {
		h, line, err := log.DecodeHeader(data[at:])
		if err != nil || line == 0 || uint64(len(data)-at-line) < h.Len() {
			return
		}
		end := at + line + int(h.Len())
		lead := at + h.Lead()
		putSum(data[lead:], log.AddSum(log.AddSum(0, data[at:lead]), data[lead+log.LineSummed:end]))
		at = end
	}
}

// FuzzLoad has a recovery and a load of files that consist of any frames, with the right sums: they end, without a
// panic, and an error says what is wrong.
func FuzzLoad(f *testing.F) {
	const plain = "#F00000000 00000001 00000000000003e8 000000001c\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPONG\r\n"
	const piece = "#T00000000 00000001 0000000000000404 000000000e 0000000000 000000001c D\r\n*1\r\n$4\r\nPING\r\n"
	const other = "#T00000000 00000001 0000000000000412 000000000e 000000000e 000000001c D\r\n*1\r\n$4\r\nPONG\r\n"
	f.Add([]byte(plain+piece), []byte(other), uint64(1056), true)
	f.Add([]byte(plain+piece), []byte(""), uint64(1056), true)
	f.Add([]byte("#TS:1700000000\r\n"+plain+piece), []byte("#TS:1700000001\r\n"+other), uint64(1056), true)
	f.Add([]byte(piece), []byte(other), uint64(0), false)
	f.Add([]byte(other), []byte(piece), uint64(0), false)
	f.Add([]byte(piece+plain), []byte(plain+other), uint64(2000), true)
	f.Fuzz(func(t *testing.T, first, second []byte, end uint64, clean bool) {
		disk := newDisk(t)
		m := &Manifest{
			DirID: 0xabc, Databases: 16, Shards: 2, ReplID: strings.Repeat("a", 40),
			Incarnations: []Incarnation{{Number: 1, StartLSN: 1000}},
		}
		if clean {
			m.Incarnations[0].EndLSN, m.Incarnations[0].State = max(1000, end&(1<<62-1)), Clean
		}
		m.Add(IncrFiles(2, 1, 1, 1000, 1)...)
		for i, data := range [][]byte{first, second} {
			sealFrames(data)
			h := Header{DirID: 0xabc, Incarnation: 1, Shard: i, Shards: 2, Seq: 1, Pos: 7, LSN: 1000}
			file, err := disk.Create(m.Files[i].Path(testDir, testName), 0o644)
			must(t, err)
			_, err = file.Write(append(h.Append(nil), data...))
			must(t, errors.Join(err, file.Close()))
		}
		must(t, m.Commit(disk, testDir, testName))
		h := newHistory(t, 1, 2, No)
		r, err := Recover(h.options(disk, nil))
		if err == nil {
			ahead := len(first)%2 == 0
			err = Load(&LoadOptions{
				FS: disk, Dir: testDir, Name: testName, Manifest: r.Manifest, Applier: anything{}, ahead: &ahead,
				atOnce: 150,
			}, &LoadProgress{})
		}
		var corrupt *CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			t.Error(err)
		}
	})
}

// anything is an Applier that executes nothing, but reads it.
type anything struct{}

// Apply implements Applier.
func (anything) Apply(_ int, parts [][]byte) (done, n int, err error) {
	for i, part := range parts {
		if err := log.ForEachIn(part, func([][]byte) error { n++; return nil }); err != nil {
			return i, n, err
		}
	}
	return len(parts), n, nil
}

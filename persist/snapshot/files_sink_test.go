package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"fulmen/persist/rdb"
	"fulmen/persist/vfs/vfstest"
)

// TestSaveToFiles makes a save of each kind and compares what is in its files with what was there at the cut.
func TestSaveToFiles(t *testing.T) {
	const shards = 3
	for _, c := range fileCases {
		w := newWorld(t, shards, 0, 1)
		for i := range 3000 {
			w.do(i%3, "SET", fmt.Sprint("key:", i), fmt.Sprint("value ", i))
		}
		m := newDisk(t)
		sink := NewFileSink(c.options(m), rdb.WriteOptions{Checksum: true, LZF: !c.lz4})
		v, sh := w.cut(sink)
		w.held(func() { must(t, v.RunHeld().Err) })
		src, err := Find(m.Crash(vfstest.Outcome{}), "/d", "dump.rdb")
		must(t, err)
		got := &memSink{}
		for _, part := range src.Parts {
			data, err := readPart(m, part)
			must(t, err)
			got.streams = append(got.streams, bytes.NewBuffer(data))
			keys := part.Keys
			if !c.segments {
				keys = 3000
			}
			got.keys = append(got.keys, keys)
		}
		if err := got.compare(sh); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.segments && (src.Manifest.LSN != v.cut.LSN || src.Manifest.Databases != w.set.Databases() ||
			src.Manifest.CreatedMs != v.cut.CreatedMs || len(src.Parts) != shards) {
			t.Errorf("manifest %+v", src.Manifest)
		}
	}
}

// TestSaveToFullDisk: a save to a disk that is full fails, says so, and leaves nothing; a sink beside it gets all.
func TestSaveToFullDisk(t *testing.T) {
	for _, c := range fileCases {
		w := newWorld(t, 3, 0, 1)
		w.do(0, "SET", "key", "value")
		m := newDisk(t)
		writes := 0
		tap := vfstest.NewTap(m, func(s vfstest.Step) error {
			if s.Op == "write" {
				writes++
				return vfstest.Full(s)
			}
			return nil
		})
		beside := &memSink{}
		v, sh := w.cut(NewFileSink(c.options(tap), rdb.WriteOptions{Checksum: true}), beside)
		var r Result
		w.held(func() { r = v.RunHeld() })
		if !errors.Is(r.Err, syscall.ENOSPC) || writes == 0 {
			t.Errorf("%s: %v after %d writes", c.name, r.Err, writes)
		}
		if left := dirNames(t, m); left != "" {
			t.Errorf("%s: left %s", c.name, left)
		}
		if err := beside.compare(sh); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"fulmen/persist/rdb"
)

// TestSaveAtOnce: a save has everything, whatever the form of its sinks.
func TestSaveAtOnce(t *testing.T) {
	for _, shards := range []int{1, 3, 8} {
		w := newWorld(t, shards, 0, 1)
		for i := range 20_000 {
			w.do(i%3, "SET", fmt.Sprint("key:", i), fmt.Sprint("value ", i))
			if i%10 == 0 {
				w.do(i%3, "PEXPIRE", fmt.Sprint("key:", i), "1000")
			}
		}
		for _, n := range []int{70_000, 1_000_000} { // a key, and one that no chunk is big enough for
			w.do(1, "SET", strings.Repeat("k", n), "value")
		}
		segments := &memSink{form: Form{WriteOptions: rdb.WriteOptions{Checksum: true}}}
		merged, five := &memSink{form: Form{Streams: 1}}, &memSink{form: Form{Streams: 5}}
		v, sh := w.cut(segments, merged, five)
		if err := w.finish(v, sh); err != nil {
			t.Error(err)
		}
		if len(segments.streams) != shards || len(merged.streams) != 1 || len(five.streams) != min(5, shards) {
			t.Errorf("%d, %d and %d streams", len(segments.streams), len(merged.streams), len(five.streams))
		}
	}
}

// TestHeadOfStreams: what stands before the keys. The version is the lowest one that has everything that is there, the
// facts are those of the request, and the sizes of databases are what they were at the cut.
func TestHeadOfStreams(t *testing.T) {
	w := newWorld(t, 3, 0, 1)
	for i := range 1000 {
		w.do(i%2*3, "SET", fmt.Sprint("key:", i), "value")
	}
	for i := range 300 {
		w.do(3, "PEXPIRE", fmt.Sprint("key:", i), "1000")
	}
	w.do(2, "HSET", "h", "f", "v")
	for _, version := range []int{10, 12} {
		if version == 12 {
			w.do(2, "HPEXPIRE", "h", "1000", "FIELDS", "1", "f")
		}
		segments, merged, two := &memSink{}, &memSink{form: Form{Streams: 1}}, &memSink{form: Form{Streams: 2}}
		v, sh := w.cut(segments, merged, two)
		for i := range 1000 {
			w.do(i%4, "DEL", fmt.Sprint("key:", i))
		}
		w.do(2, "HPERSIST", "h", "FIELDS", "1", "f")
		if err := w.finish(v, sh); err != nil {
			t.Error(err)
		}
		for _, sink := range []*memSink{segments, merged, two} {
			var keys, expires [testDatabases]uint64
			for _, st := range sink.streams {
				h := readHead(t, st)
				if h.version != version || h.aux != "redis-ver 7.2.4" {
					t.Errorf("version %d, want %d; %q", h.version, version, h.aux)
				}
				for db := range keys {
					keys[db] += h.keys[db]
					expires[db] += h.expires[db]
				}
			}
			for db := range sh {
				if keys[db] != uint64(len(sh[db])) {
					t.Errorf("database %d is said to have %d keys, want %d", db, keys[db], len(sh[db]))
				}
			}
			if version == 10 && expires != [testDatabases]uint64{3: 150} {
				t.Errorf("databases are said to have %d keys with an expiry", expires)
			}
		}
		w.do(2, "HPEXPIRE", "h", "1000", "FIELDS", "1", "f")
		for i := range 1000 {
			w.do(i%2*3, "SET", fmt.Sprint("key:", i), "value")
		}
	}
}

type streamHead struct {
	version       int
	aux           string
	keys, expires [testDatabases]uint64
}

func readHead(t *testing.T, st *bytes.Buffer) (h streamHead) {
	r := rdb.NewReader(bytes.NewReader(st.Bytes()), "stream")
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			h.version = r.Version()
			return h
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case rdb.EventAux:
			h.aux += fmt.Sprintf("%s %s", e.AuxKey, e.AuxValue)
		case rdb.EventResizeDB:
			h.keys[e.DB] += e.Keys
			h.expires[e.DB] += e.Expires
		}
	}
}

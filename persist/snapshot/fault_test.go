package snapshot

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"fulmen/shard/ds/index"
)

// saveWhile fills a world with keys of which `big` hold long strings, begins a save that nothing is read of before the
// end, has fn change something, and compares.
func saveWhile(t *testing.T, shards int, plant fault, fn func(w *world)) error {
	t.Helper()
	w := newWorld(t, shards, 0, 3)
	w.sv.fault = plant
	for i := range 3000 {
		w.do(0, "SET", fmt.Sprint("key:", i), fmt.Sprintf("value %05d", i))
	}
	for i := range 20 {
		w.do(0, "SET", fmt.Sprint("big:", i), strings.Repeat("v", 20_000))
	}
	sink := &memSink{gate: make(chan struct{})}
	v, sh := w.cut(sink)
	fn(w)
	close(sink.gate)
	return w.finish(v, sh)
}

// TestNothingIsLostOrTwice plants chunks that are lost, and that are handed over twice.
func TestNothingIsLostOrTwice(t *testing.T) {
	for _, f := range []struct {
		fault fault
		want  string
	}{{faultNone, ""}, {faultLost, "missing"}, {faultTwice, "twice"}} {
		err := saveWhile(t, 2, f.fault, func(w *world) {
			w.held(func() {
				for _, s := range w.set.Shards {
					w.sv.Step(s, 0)
					w.sv.walks[s.ID].handOver(false) // so that there are chunks before the last one
				}
			})
		})
		noticed := err != nil && strings.Contains(err.Error(), f.want)
		if noticed != (f.fault != faultNone) || err != nil && f.fault == faultNone {
			t.Errorf("fault %d: %v", f.fault, err)
		}
	}
}

// TestPinsAreNeeded plants that values made of nodes are not pinned, and changes one when it has been shown and before
// it is read.
func TestPinsAreNeeded(t *testing.T) {
	for _, plant := range []fault{faultNone, faultNoPin} {
		err := saveWhile(t, 1, plant, func(w *world) {
			w.held(func() { w.sv.Step(w.set.Shards[0], 1<<62) })
			w.do(0, "SETRANGE", "big:1", "10000", "changed")
		})
		if noticed := err != nil; noticed != (plant == faultNoPin) {
			t.Errorf("fault %d: %v", plant, err)
		}
	}
}

// TestChangesPastTheChokePoint plants a write that tells nobody of it: the entry's bytes are changed where they are.
func TestChangesPastTheChokePoint(t *testing.T) {
	for _, announced := range []bool{true, false} {
		err := saveWhile(t, 1, faultNone, func(w *world) {
			db := w.set.Shards[0].DB(0)
			k := w.set.Key([]byte("key:17"))
			if announced {
				w.do(0, "SETRANGE", "key:17", "2", "X")
				return
			}
			e, _ := db.Look(k, w.now.NowMs())
			e.Payload()[2] = 'X'
		})
		if noticed := err != nil; noticed == announced {
			t.Errorf("announced: %v, error: %v", announced, err)
		}
	}
}

// TestGrowthKeepsTheCut plants, in package index, that a segment's buckets are moved unseen, so that a split loses what
// the cut was, and that the new ones are born as if nobody had seen them.
func TestGrowthKeepsTheCut(t *testing.T) {
	const noCollect, birth = 2, 3 // index's faultNoCollect, faultBirth
	for _, plant := range []uint8{0, noCollect, birth} {
		err := saveWhile(t, 1, faultNone, func(w *world) {
			plantIn(w.set.Shards[0].DB(0).Index(), plant)
			for i := range 3000 { // most segments grow or are split
				w.do(0, "SET", fmt.Sprint("new:", i), "value")
			}
		})
		if noticed := err != nil; noticed != (plant != 0) {
			t.Errorf("fault %d: %v", plant, err)
		}
	}
}

// TestCutIsOneMoment plants that something happens between the shards' shares of the cut: money that is on its way from
// one shard to another is lost or doubled.
func TestCutIsOneMoment(t *testing.T) {
	for _, torn := range []bool{false, true} {
		w := newWorld(t, 8, 0, 3)
		const accounts, each = 64, 1000
		for i := range accounts {
			w.do(0, "SET", fmt.Sprint("account:", i), strconv.Itoa(each))
		}
		transfer := func() {
			n := strconv.Itoa(w.rnd.IntN(100))
			w.run(0, "DECRBY", fmt.Sprint("account:", w.rnd.IntN(accounts)), n)
			w.run(0, "INCRBY", fmt.Sprint("account:", w.rnd.IntN(accounts)), n)
		}
		wrong := 0
		for range 30 {
			if torn {
				w.sv.torn = transfer
			}
			sink := &memSink{}
			v, _ := w.cut(sink)
			for range 50 {
				w.held(transfer)
				w.walkSome()
			}
			w.held(func() { v.RunHeld() })
			sum := 0
			for _, st := range sink.streams {
				_, err := parse(st.Bytes(), func(_ int, key string, rest []byte) (int, error) {
					at := 1 + 1 + len(key) // type, length, key
					n, next := parseSmall(rest, at)
					sum += n
					return next, nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if sum != accounts*each {
				wrong++
			}
		}
		if torn != (wrong > 0) {
			t.Errorf("torn: %v, %d saves with another sum", torn, wrong)
		}
	}
}

// parseSmall reads a string that is a small number.
func parseSmall(p []byte, at int) (n, next int) {
	switch p[at] {
	case 0xC0:
		return int(int8(p[at+1])), at + 2
	case 0xC1:
		return int(int16(binary.LittleEndian.Uint16(p[at+1:]))), at + 3
	}
	s, next := parseString(p, at)
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n, next
}

// plantIn plants a fault in an index: its field is the index's own.
func plantIn(x *index.Index, f uint8) {
	at := reflect.ValueOf(x).Elem().FieldByName("fault")
	*(*uint8)(unsafe.Pointer(at.UnsafeAddr())) = f
}

package snapshot

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fill makes n keys with values of so many bytes.
func (w *world) fill(n, bytes int) {
	val := strings.Repeat("v", bytes)
	for i := range n {
		w.do(0, "SET", fmt.Sprint("key:", i), val)
	}
}

// stepAll has all shards go on as far as they can.
func (w *world) stepAll() {
	w.held(func() {
		for _, s := range w.set.Shards {
			w.sv.Step(s, 1<<62)
		}
	})
}

// TestBudget: while nothing is written the walk stops when three quarters of the budget are used up, and writers are
// told to wait when all of it is; detached indexes stay. What was admitted goes on. When there is room again those who
// wait are woken, and the save is whole. Without regard for the budget it is exceeded.
func TestBudget(t *testing.T) {
	for _, plant := range []fault{faultNone, faultFlow} {
		w := newWorld(t, 2, 0, 1)
		woken := make(chan struct{}, 1000)
		w.sv = NewSaver(Options{Set: w.set, BudgetBytes: 1 << 20, Wake: func() { woken <- struct{}{} }})
		w.sv.fault = plant
		w.fill(20_000, 200)
		sink := &memSink{gate: make(chan struct{})}
		v, sh := w.cut(sink)
		if w.sv.Overdrawn() {
			t.Error("overdrawn at once")
		}
		w.stepAll()
		walked, used, budget := v.Progress().Walked, w.sv.used(), int64(1<<20)
		if bounded := walked > 0 && walked < 20_000 && used <= budget/8*7; bounded != (plant == faultNone) {
			t.Errorf("fault %d: %d keys walked, %d bytes used of %d", plant, walked, used, budget)
		}
		i := 0
		for ; i < 20_000 && !w.sv.Overdrawn(); i++ {
			w.do(0, "SET", fmt.Sprint("key:", i), "new")
		}
		if plant == faultNone && (i == 0 || i == 20_000 || v.Progress().Waits != 1) {
			t.Errorf("overdrawn after %d writes, %d waits", i, v.Progress().Waits)
		}
		w.do(0, "FLUSHALL", "ASYNC")
		w.held(func() {
			before := w.sv.used()
			for _, s := range w.set.Shards {
				for range 100 {
					s.FreeSome(100)
				}
			}
			if after := w.sv.used(); after != before {
				t.Errorf("freeing what was flushed has copied %d bytes", after-before)
			}
		})
		for len(woken) > 0 {
			<-woken
		}
		close(sink.gate)
		if err := w.finish(v, sh); err != nil {
			t.Error(err)
		}
		if len(woken) == 0 || w.sv.Overdrawn() || v.Progress().Phase != PhaseDone {
			t.Errorf("woken %d times, overdrawn: %v, %+v", len(woken), w.sv.Overdrawn(), v.Progress())
		}
		if peak := v.result.BufferBytes; plant == faultNone && peak > budget*5/4 {
			t.Errorf("up to %d bytes in memory, the budget is %d", peak, budget)
		}
		for _, s := range w.set.Shards {
			for !s.FreeSome(1000) {
			}
			if s.LazyPending() != 0 {
				t.Error("what was flushed is not freed after the save")
			}
		}
	}
}

// TestBudgetOfPins: what is kept for a pinned value in a chunk that nobody has got yet uses up the budget. The chunk is
// handed over, so that the save goes on.
func TestBudgetOfPins(t *testing.T) {
	w := newWorld(t, 1, 0, 1)
	w.sv = NewSaver(Options{Set: w.set, BudgetBytes: 1 << 20})
	w.fill(20_000, 10)
	w.do(0, "SET", "key:7", strings.Repeat("v", 8<<20))
	sink := &memSink{gate: make(chan struct{})}
	v, sh := w.cut(sink)
	for i := 0; i < 8<<20; i += 4000 {
		w.do(0, "SETRANGE", "key:7", fmt.Sprint(i), "changed")
	}
	if !w.sv.Overdrawn() || !w.sv.Exhausted() || v.Progress().CopiedBytes < 8<<20 {
		t.Errorf("not overdrawn by %d bytes kept", w.sv.used())
	}
	w.stepAll()
	close(sink.gate)
	if err := w.finish(v, sh); err != nil {
		t.Error(err)
	}
}

// TestFailures: a sink that fails anywhere is told to abort, and does not disturb another one. If all fail the save
// ends early.
func TestFailures(t *testing.T) {
	for _, on := range []string{"begin", "open", "write", "commit"} {
		w := newWorld(t, 2, 60, 1)
		w.fill(20_000, 100)
		bad, good := &memSink{failOn: on}, &memSink{form: Form{Streams: 1}}
		v, sh := w.cut(bad, good)
		var r Result
		w.held(func() { r = v.RunHeld() })
		if !errors.Is(r.Err, errPlanned) || !errors.Is(r.Sinks[0], errPlanned) || r.Sinks[1] != nil {
			t.Errorf("%s fails: %v", on, r.Err)
		}
		if aborted := bad.aborted != nil; aborted != (on != "begin") {
			t.Errorf("%s fails: aborted: %v", on, bad.aborted)
		}
		if err := good.compare(sh); err != nil {
			t.Errorf("%s fails: the other sink: %v", on, err)
		}
		v, _ = w.cut(&memSink{failOn: on})
		w.held(func() { r = v.RunHeld() })
		if !errors.Is(r.Err, errPlanned) || errors.Is(r.Err, ErrCancelled) || w.sv.Running() != nil {
			t.Errorf("%s fails: alone: %v", on, r.Err)
		}
		v, sh = w.cut(&memSink{})
		if err := w.finish(v, sh); err != nil {
			t.Errorf("%s fails: the next save: %v", on, err)
		}
	}
}

// TestCancel: a save can be given up at any moment. It leaves nothing, and the next one is whole.
func TestCancel(t *testing.T) {
	w := newWorld(t, 3, 60, 1)
	for range 3000 {
		w.grow()
	}
	cancelled := 0
	for round := range 60 {
		sink := &memSink{gate: make(chan struct{})}
		v, sh := w.cut(sink)
		if _, err := w.sv.Begin(Request{Sinks: []Sink{sink}}); err != ErrBusy {
			t.Fatalf("a second save: %v", err)
		}
		for range w.rnd.IntN(100) {
			w.step()
			w.walkSome()
		}
		if round%2 == 0 {
			close(sink.gate)
		}
		if round%3 < 2 {
			v.Cancel()
		}
		if round%2 == 1 {
			close(sink.gate)
		}
		var r Result
		w.held(func() { r = v.RunHeld() })
		switch {
		case errors.Is(r.Err, ErrCancelled) && sink.aborted != nil && round%3 < 2:
			cancelled++
		case r.Err != nil || sink.compare(sh) != nil:
			t.Fatalf("round %d: %v, aborted: %v, %v", round, r.Err, sink.aborted, sink.compare(sh))
		}
		if now, _ := w.set.KeptBytes(); now != 0 || w.sv.used() != 0 || w.sv.pinned.Load() != 0 {
			t.Fatalf("round %d: %d bytes kept, %d in use, %d pins", round, now, w.sv.used(), w.sv.pinned.Load())
		}
	}
	if cancelled < 20 {
		t.Errorf("only %d saves were cancelled in time", cancelled)
	}
}

// TestCancelWithinValue: a save that is cancelled while a big value is written does not write the rest of it first.
func TestCancelWithinValue(t *testing.T) {
	w := newWorld(t, 1, 60, 1)
	for i := range 20_000 {
		w.do(0, "hset", "big", strconv.Itoa(i), strings.Repeat("x", 50))
	}
	var v *Save
	began := make(chan struct{})
	sink := &memSink{}
	writes := 0
	sink.onWrite = func() {
		if writes++; writes == 3 {
			<-began
			v.Cancel()
		}
	}
	v, _ = w.cut(sink)
	close(began)
	var r Result
	w.held(func() { r = v.RunHeld() })
	if !errors.Is(r.Err, ErrCancelled) || !errors.Is(sink.aborted, ErrCancelled) || writes != 3 {
		t.Errorf("%v, aborted: %v, %d writes", r.Err, sink.aborted, writes)
	}
	v, sh := w.cut(&memSink{})
	if err := w.finish(v, sh); err != nil {
		t.Errorf("the next save: %v", err)
	}
}

// TestLateWorker: shards that have hardly anything are done with a save at the moment at which their last chunk is
// handed over. It is written even if a worker sees both at once: if that just stopped, the save would have no end.
func TestLateWorker(t *testing.T) {
	w := newWorld(t, 4, 0, 1)
	w.sv.fault = faultLate
	for range 30 {
		v, sh := w.cut(&memSink{})
		if err := w.finish(v, sh); err != nil {
			t.Fatal(err)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string]string{
		"": "[]", "0": "[0]", "0,2,4": "[0 2 4]", "1-3": "[1 2 3]", "8-14:2,1": "[8 10 12 14 1]",
		"3-1": "error", "a": "error", "1-": "error", "1:2": "error", "1-4:0": "error", "-1": "error", "9999": "error",
		"1,,2": "error",
	} {
		cpus, err := ParseCPUs(list)
		if got := fmt.Sprint(cpus); err == nil && got != want || (err != nil) != (want == "error") {
			t.Errorf("%q: %s, %v, want %s", list, got, err, want)
		}
	}
}

// TestSaveOnGivenCPUs: workers are confined to the processors that are named; one that isn't there is of no effect.
func TestSaveOnGivenCPUs(t *testing.T) {
	var mine, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		t.Fatal(err)
	}
	first := 0
	for !mine.IsSet(first) {
		first++
	}
	one.Set(first)
	for cpus, want := range map[string]unix.CPUSet{strconv.Itoa(first): one, "1000": mine} {
		w := newWorld(t, 2, 0, 1)
		w.fill(1000, 100)
		var seen unix.CPUSet
		sink := &memSink{onWrite: func() { // the last ones are by the worker, which ends the streams
			if err := unix.SchedGetaffinity(0, &seen); err != nil {
				t.Error(err)
			}
		}}
		var r Result
		w.held(func() {
			v, err := w.sv.Begin(Request{Sinks: []Sink{sink}, CPUs: cpus})
			if err != nil {
				t.Fatal(err)
			}
			r = v.RunHeld()
		})
		if r.Err != nil || r.Saved != 1000 || seen != want {
			t.Errorf("%q: %+v, written on processors %v, want %v", cpus, r, seen, want)
		}
	}
}

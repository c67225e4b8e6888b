package hll

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// ranksOf reads the registers of a value one after the other, the simplest way.
func ranksOf(t *testing.T, b []byte) Ranks {
	t.Helper()
	ranks := make(Ranks, Registers)
	if IsDense(b) {
		for i := range ranks {
			for bit := range rankBits {
				at := i*rankBits + bit
				ranks[i] |= b[HeaderBytes+at/8] >> (at % 8) & 1 << bit
			}
		}
		return ranks
	}
	from := 0
	if !EachRun(b, func(rank byte, n, _ int) {
		for range n {
			ranks[from] = rank
			from++
		}
	}) {
		t.Fatal("the value is not sound")
	}
	return ranks
}

func TestEmpty(t *testing.T) {
	b := AppendEmpty([]byte("before"))[len("before"):]
	if want := "HYLL\x01" + string(make([]byte, 11)) + "\x7f\xff"; string(b) != want {
		t.Fatalf("got %q, want %q", b, want)
	}
	if n, ok := Count(b); n != 0 || !ok || !Valid(b, len(b)) || IsDense(b) {
		t.Errorf("an empty value: %d %v", n, ok)
	}
	d, ok := DenseOf(b)
	if !ok || len(d) != DenseBytes || !Valid(d, len(d)) || !IsDense(d) {
		t.Fatal("it is not made dense")
	}
	if n, ok := Count(d); n != 0 || !ok {
		t.Errorf("an empty dense value: %d %v", n, ok)
	}
}

func TestHashGivesEveryRankAsOftenAsItShould(t *testing.T) {
	const n = 1 << 20
	var ranks [64]int
	registers := make([]int, Registers)
	for i := range uint64(n) {
		register, rank := Hash(binary.LittleEndian.AppendUint64(nil, i))
		ranks[rank]++
		registers[register]++
	}
	for rank := 1; rank <= 12; rank++ {
		want := math.Ldexp(n, -rank)
		if off := math.Abs(float64(ranks[rank]) - want); off > 6*math.Sqrt(want) {
			t.Errorf("rank %d: %d times, want about %.0f", rank, ranks[rank], want)
		}
	}
	for register, got := range registers {
		if got < 16 || got > 128 {
			t.Errorf("register %d: %d times, want about 64", register, got)
		}
	}
	if ranks[0] != 0 {
		t.Error("there is a rank 0")
	}
}

func TestCache(t *testing.T) {
	b := AppendEmpty(nil)
	PutCached(b, 0x0102030405060708)
	if n, ok := Cached(b); n != 0x0102030405060708 || !ok || b[CacheAt] != 8 {
		t.Errorf("%x %v", n, ok)
	}
	Stale(b)
	if _, ok := Cached(b); ok {
		t.Error("it is not out of date")
	}
	if b[CacheAt] != 8 || b[CacheAt+CacheBytes-1] != 0x81 {
		t.Error("Stale changes more than a bit")
	}
}

func TestWordsOfEightRegisters(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		var a, b [8]byte
		var w uint64
		for i := range a {
			a[i], b[i] = byte(rnd.IntN(64)), byte(rnd.IntN(64))
			w |= uint64(a[i]) << (rankBits * i)
		}
		x, y := binary.LittleEndian.Uint64(a[:]), binary.LittleEndian.Uint64(b[:])
		if got := spread(w | rnd.Uint64()<<48); got != x {
			t.Fatalf("spread(%x) = %x, want %x", w, got, x)
		}
		if got := gather(x); got != w {
			t.Fatalf("gather(%x) = %x, want %x", x, got, w)
		}
		for i := range a {
			a[i] = max(a[i], b[i])
		}
		if got, want := greater(x, y), binary.LittleEndian.Uint64(a[:]); got != want {
			t.Fatalf("greater(%x, %x) = %x, want %x", x, y, got, want)
		}
	}
}

// TestWordsOfRuns goes over runs by words and one after the other.
func TestWordsOfRuns(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	var cuts, most int
	for range 20_000 {
		b := make([]byte, HeaderBytes+64)
		for i := range b {
			b[i] = byte(rnd.Uint32())
			if rnd.IntN(3) > 0 { // rows of what looks like an XZERO, or is one
				b[i] = b[i]&^kindBits | xzero
			}
		}
		run := place{HeaderBytes, 0}
		at, first, cut := run.at, run.first, uint64(0)
		for at < len(b) {
			w := binary.LittleEndian.Uint64(b[at:])
			heads := xzeros(w, cut)
			n := registersIn(w, heads, cut)
			at, first, cut = at+8, first+n, heads>>56
			xzeros := 0
			for {
				n, size := runAt(b, run.at)
				if size == 0 || run.at+size > at {
					break
				}
				run = place{run.at + size, run.first + n}
				xzeros += size - 1
				if run.at == at {
					break
				}
			}
			if got := whole(b, at, first, cut); got != run {
				t.Fatalf("%x: before byte %d: %v, want %v", b, at, got, run)
			}
			most = max(most, xzeros)
			cuts += int(cut & 1)
		}
	}
	if cuts < 10_000 || most != 4 {
		t.Fatalf("%d were cut, at most %d XZEROs", cuts, most)
	}
}

// TestPlan: whoever does what Plan says has the value that Raise makes, and Plan itself changes nothing.
func TestPlan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	var dense, same int
	for _, limit := range []int64{100, 300, 3000, MaxSparseBytes} {
		v := Value{B: AppendEmpty(nil), MaxSparse: limit}
		for range 20_000 {
			if IsDense(v.B) {
				v = Value{B: AppendEmpty(nil), MaxSparse: limit}
			}
			register, rank := rnd.IntN(Registers), byte(1+rnd.IntN(3)*rnd.IntN(3))
			if rnd.IntN(500) == 0 {
				rank = maxSparseRank + 1
			}
			before := bytes.Clone(v.B)
			var e Edit
			w := Value{B: v.B[:len(v.B):len(v.B)], MaxSparse: limit}
			got, ok := w.Plan(&e, register, rank)
			if !bytes.Equal(v.B, before) {
				t.Fatal("Plan has changed the value")
			}
			want := v.Raise(register, rank)
			switch {
			case !ok:
				dense++
				if !IsDense(v.B) {
					t.Fatal("the value stays sparse")
				}
				continue
			case got != want:
				t.Fatalf("%v, want %v", got, want)
			case got == Same:
				same++
				continue
			}
			done := append(append(bytes.Clone(before[:e.At]), e.New()...), before[e.At+e.Del:]...)
			if !bytes.Equal(done, v.B) {
				t.Fatalf("%x for register %d and rank %d: %x, want %x", before, register, rank, done, v.B)
			}
		}
	}
	if dense < 100 || same < 500 {
		t.Errorf("%d became dense, %d stayed as they were", dense, same)
	}
}

// TestRaise adds elements to values that become dense at different sizes and compares them with plain registers.
func TestRaise(t *testing.T) {
	for _, most := range []int64{0, 17, 100, 3000, 1 << 20} {
		t.Run(strconv.FormatInt(most, 10), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(most), 3))
			v := Value{B: AppendEmpty(nil), MaxSparse: most}
			want := make(Ranks, Registers)
			for n := range 30_000 {
				register, rank := Hash(binary.LittleEndian.AppendUint64(nil, rnd.Uint64()))
				if n%100 == 0 { // the edges
					register = []int{0, 1, Registers - 2, Registers - 1}[rnd.IntN(4)]
				}
				higher := want[register] < rank
				want[register] = max(want[register], rank)
				if got := v.Raise(register, rank); got == Unsound || (got == Higher) != higher {
					t.Fatalf("element %d: raising register %d to %d: %v", n, register, rank, got)
				}
				if !IsDense(v.B) && int64(len(v.B)) > max(most, 18) {
					t.Fatalf("%d bytes", len(v.B))
				}
				if n > 10 && n%997 > 0 {
					continue
				}
				if !Valid(v.B, len(v.B)) || !bytes.Equal(ranksOf(t, v.B), want) {
					t.Fatalf("element %d: other registers", n)
				}
				estimate, ok := Count(v.B)
				if !ok || estimate != want.Count() {
					t.Fatalf("element %d: estimated as %d %v, of registers %d", n, estimate, ok, want.Count())
				}
				if off := math.Abs(float64(estimate) - float64(n+1)); off > max(1, 0.06*float64(n)) {
					t.Fatalf("%d elements are estimated as %d", n+1, estimate)
				}
			}
			if most < 1<<20 && !IsDense(v.B) {
				t.Error("it has not become dense")
			}
		})
	}
}

// TestRaiseInOrder: raising registers in order, where a search goes on where the last one was, gives the same bytes as
// searches that begin anew.
func TestRaiseInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		start := Value{B: AppendEmpty(nil), MaxSparse: 1 << 20}
		for range rnd.IntN(1000) {
			start.Raise(rnd.IntN(Registers), byte(1+rnd.IntN(3)))
		}
		one := Value{B: bytes.Clone(start.B), MaxSparse: 1 << 20}
		all := Value{B: bytes.Clone(start.B), MaxSparse: 1 << 20}
		step := 1 + rnd.IntN(40)
		for register := rnd.IntN(step); register < Registers; register += 1 + rnd.IntN(step) {
			rank := byte(1 + rnd.IntN(4))
			one.next = math.MaxInt // so that it begins anew
			if a, b := one.Raise(register, rank), all.Raise(register, rank); a != b {
				t.Fatalf("register %d: %v and %v", register, a, b)
			}
			if rnd.IntN(50) == 0 { // and back
				back := rnd.IntN(register + 1)
				one.next = math.MaxInt
				one.Raise(back, 5)
				all.Raise(back, 5)
			}
			if !bytes.Equal(one.B, all.B) {
				t.Fatalf("register %d: other bytes", register)
			}
		}
	}
}

// TestBorrowed: what is borrowed stays as it is, and whoever replaces in it what Changed tells has the raised value.
func TestBorrowed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	v := Value{B: AppendEmpty(nil), MaxSparse: 3000}
	var room [MaxSparseBytes]byte
	changed, short := 0, 0
	for range 20_000 {
		if rnd.IntN(50) == 0 {
			PutCached(v.B, 5)
		}
		if IsDense(v.B) {
			v.B = AppendEmpty(nil)
		}
		lent := bytes.Clone(v.B)
		w := Value{B: v.B, MaxSparse: v.MaxSparse}
		w.Borrowed(room[:0])
		want := Value{B: bytes.Clone(v.B), MaxSparse: v.MaxSparse}
		for range 1 + rnd.IntN(3) {
			register, rank := rnd.IntN(Registers), byte(1+rnd.IntN(6)*rnd.IntN(6))
			if a, b := w.Raise(register, rank), want.Raise(register, rank); a != b {
				t.Fatalf("%v and %v", a, b)
			} else if a == Higher {
				w.Stale()
				Stale(want.B)
			}
		}
		if !bytes.Equal(v.B, lent) || !bytes.Equal(w.B, want.B) {
			t.Fatal("other bytes")
		}
		head, tail := w.Changed()
		if head < len(w.B) {
			changed++
		}
		if head+tail+20 > len(w.B) {
			short++
		}
		v.B = append(append(bytes.Clone(lent[:head]), w.B[head:len(w.B)-tail]...), lent[len(lent)-tail:]...)
		if !bytes.Equal(v.B, want.B) {
			t.Fatalf("%d and %d of %d bytes are not as they were", head, tail, len(lent))
		}
	}
	if changed < 10_000 || short < changed/4 {
		t.Errorf("%d changes, %d of them within 20 bytes", changed, short)
	}
}

func TestMerge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 20 {
		want, got := make(Ranks, Registers), make(Ranks, Registers)
		for range 3 {
			v := Value{B: AppendEmpty(nil), MaxSparse: 3000}
			for range rnd.IntN(3000) {
				v.Raise(Hash(binary.LittleEndian.AppendUint64(nil, uint64(rnd.IntN(5000)))))
			}
			for i, rank := range ranksOf(t, v.B) {
				want[i] = max(want[i], rank)
			}
			if !got.Merge(v.B) {
				t.Fatal("it is not sound")
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatal("other registers")
		}
		if d := got.Dense(AppendEmpty(nil)); !bytes.Equal(ranksOf(t, d), want) {
			t.Fatal("other registers in a dense value")
		}
	}
}

// unsound are sparse values that are not sound.
var unsound = map[string]string{
	"nothing":          "",
	"too few":          "\x7f\xfe",
	"one too many":     "\x7f\xff\x00",
	"one VAL too many": "\x7f\xff\x80",
	"VAL over the end": "\x7f\xfd\x83",
	"half a run":       "\x7f\xff\x40",
	"half a last run":  "\x40",
	"far too many":     "\x7f\xff\x7f\xff\x7f\xff",
	"an endless lot":   string(bytes.Repeat([]byte{0x7f}, 5000)),
}

func TestUnsound(t *testing.T) {
	for name, runs := range unsound {
		b := append(AppendEmpty(nil)[:HeaderBytes], runs...)
		if !Valid(b, len(b)) {
			t.Errorf("%s: not valid", name)
		}
		if n, ok := Count(b); ok {
			t.Errorf("%s: estimated as %d", name, n)
		}
		if make(Ranks, Registers).Merge(b) {
			t.Errorf("%s: merged", name)
		}
		if _, ok := DenseOf(b); ok {
			t.Errorf("%s: made dense", name)
		}
		v := Value{B: bytes.Clone(b), MaxSparse: 3000}
		if v.Raise(5, 40); IsDense(v.B) {
			t.Errorf("%s: made dense by a rank", name)
		}
	}
	v := Value{B: append(AppendEmpty(nil)[:HeaderBytes], "\x7f\xfe"...), MaxSparse: 3000}
	if got := v.Raise(Registers-1, 1); got != Unsound {
		t.Errorf("raising a register that is not there: %v", got)
	}
}

func TestNotValid(t *testing.T) {
	b := AppendEmpty(nil)
	for i, c := range []struct {
		head string
		size int
	}{
		{string(b[:15]), 15}, {"", 0}, {"hYLL" + string(b[4:]), len(b)}, {"HYLL\x02" + string(b[5:]), len(b)},
		{"HYLL\x00" + string(b[5:]), len(b)}, {"HYLL\x00" + string(b[5:]), DenseBytes - 1},
		{"HYLL\x00" + string(b[5:]), DenseBytes + 1},
	} {
		if Valid([]byte(c.head), c.size) {
			t.Errorf("%d: %q of %d bytes is valid", i, c.head, c.size)
		}
	}
}

func TestSelfTest(t *testing.T) {
	run := func(s *SelfTest) error {
		for {
			if done, err := s.Step(); done || err != nil {
				return err
			}
		}
	}
	if err := run(NewSelfTest()); err != nil {
		t.Error(err)
	}
	s := NewSelfTest()
	s.dense.B[HeaderBytes+100] = 0xff
	if run(s) == nil {
		t.Error("it doesn't notice wrong registers")
	}
	s = NewSelfTest()
	s.sparse.B = append(s.sparse.B, 0)
	if run(s) == nil {
		t.Error("it doesn't notice a value that is not sound")
	}
	s = NewSelfTest()
	s.n, s.check = 7000, 7001
	if run(s) == nil {
		t.Error("it doesn't notice a wrong estimate")
	}
}

// FuzzValue looks at and changes arbitrary bytes that are taken for a value.
func FuzzValue(f *testing.F) {
	f.Add([]byte("\x7f\xff"), uint16(5), byte(3))
	f.Add(bytes.Repeat([]byte{0x84}, 4096), uint16(16383), byte(33))
	for _, runs := range unsound {
		f.Add([]byte(runs), uint16(16383), byte(1))
	}
	f.Fuzz(func(t *testing.T, runs []byte, register uint16, rank byte) {
		b := append(AppendEmpty(nil)[:HeaderBytes], runs...)
		r, k := int(register)%Registers, rank%maxRank+1
		_, sound := Count(b)
		ranks := make(Ranks, Registers)
		merged := ranks.Merge(b)
		d, dense := DenseOf(b)
		if merged != sound || dense != sound || EachRun(b, func(byte, int, int) {}) != sound {
			t.Fatalf("sound %v, merged %v, dense %v", sound, merged, dense)
		}
		if sound && len(b) > MaxSparseBytes {
			t.Fatalf("%d bytes are sound", len(b))
		}
		v := Value{B: bytes.Clone(b), MaxSparse: 3000}
		got := v.Raise(r, k)
		if !sound {
			return
		}
		if !bytes.Equal(ranksOf(t, d), ranks) {
			t.Fatal("other registers when dense")
		}
		if (got == Higher) != (ranks[r] < k) {
			t.Fatalf("raising %d to %d: %v", ranks[r], k, got)
		}
		ranks[r] = max(ranks[r], k)
		if !bytes.Equal(ranksOf(t, v.B), ranks) {
			t.Fatal("other registers when raised")
		}
	})
}

// BenchmarkPlan plans to raise registers of a thousand values, of which nothing can be foretold.
func BenchmarkPlan(b *testing.B) {
	for _, elements := range []uint64{26, 60, 100, 300, 800} {
		b.Run(strconv.FormatUint(elements, 10), func(b *testing.B) {
			values := make([]Value, 1000)
			for i := range values {
				v := Value{B: AppendEmpty(nil), MaxSparse: 3000}
				for j := range elements {
					v.Raise(Hash(binary.LittleEndian.AppendUint64(nil, uint64(i)<<32|j)))
				}
				values[i] = Value{B: v.B, MaxSparse: 3000}
			}
			var e Edit
			var element [8]byte
			for i := uint64(0); b.Loop(); i++ {
				binary.LittleEndian.PutUint64(element[:], i)
				register, rank := Hash(element[:])
				values[i*7919%1000].Plan(&e, register, rank)
			}
		})
	}
}

// BenchmarkRaiseSparse raises registers that are high enough, so nothing changes, of values that have met few elements
// and many.
func BenchmarkRaiseSparse(b *testing.B) {
	for _, size := range []int{300, 900, 2950} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			v := Value{B: AppendEmpty(nil), MaxSparse: 3000}
			var registers []int
			for i := uint64(0); len(v.B) < size; i++ {
				register, rank := Hash(binary.LittleEndian.AppendUint64(nil, i))
				v.Raise(register, rank)
				registers = append(registers, register)
			}
			for i := 0; b.Loop(); i++ {
				v.next = math.MaxInt // from the beginning
				v.Raise(registers[i*7919%len(registers)], 1)
			}
		})
	}
}

func BenchmarkCountDense(b *testing.B) {
	d, _ := DenseOf(AppendEmpty(nil))
	v := Value{B: d}
	for i := range uint64(100_000) {
		v.Raise(Hash(binary.LittleEndian.AppendUint64(nil, i)))
	}
	for b.Loop() {
		Count(d)
	}
}

func BenchmarkMergeDense(b *testing.B) {
	d, _ := DenseOf(AppendEmpty(nil))
	ranks := make(Ranks, Registers)
	for b.Loop() {
		ranks.Merge(d)
	}
}

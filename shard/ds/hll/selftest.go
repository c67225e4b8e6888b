package hll

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// selfTestElements is how many elements a self-test adds.
	selfTestElements = 100_000
	selfTestStep     = 32
	selfTestSparse   = 3000
	// selfTestErrors is by how many standard errors an estimate may be wrong.
	selfTestErrors = 6
	standardError  = 0.008125 // 1.04 / √Registers
)

// SelfTest checks the structure against itself: it adds the same elements to a value that begins as a sparse one, to a
// dense one and to plain registers, and now and then compares these and looks at the estimates.
type SelfTest struct {
	sparse, dense Value
	ranks         Ranks
	n             uint64 // elements added
	check         uint64 // how many there are when the next look is due
}

// NewSelfTest begins a self-test.
func NewSelfTest() *SelfTest {
	empty := AppendEmpty(nil)
	d, _ := DenseOf(empty)
	return &SelfTest{
		sparse: Value{B: empty, MaxSparse: selfTestSparse}, dense: Value{B: d}, ranks: make(Ranks, Registers), check: 1,
	}
}

// Step does a part of the test, some 10 µs of it, and reports whether that was the last one. An error says what is
// wrong.
func (t *SelfTest) Step() (done bool, err error) {
	for range selfTestStep {
		var element [8]byte
		binary.LittleEndian.PutUint64(element[:], t.n*0x9e3779b97f4a7c15)
		register, rank := Hash(element[:])
		higher := t.ranks[register] < rank
		t.ranks[register] = max(t.ranks[register], rank)
		for _, v := range []*Value{&t.sparse, &t.dense} {
			if (v.Raise(register, rank) == Higher) != higher {
				return true, fmt.Errorf("Register %d should be %d", register, rank)
			}
		}
		if t.n++; t.n == t.check {
			if t.check *= 10; t.check > selfTestElements {
				done = true
			}
			if err := t.look(); err != nil || done {
				return true, err
			}
		}
	}
	return false, nil
}

// look compares what was added so far.
func (t *SelfTest) look() error {
	want := t.ranks.Count()
	for _, v := range []*Value{&t.sparse, &t.dense} {
		if n, ok := Count(v.B); !ok || n != want {
			return errors.New("dense/sparse disagree")
		}
	}
	off := float64(want) - float64(t.n)
	most := max(float64(t.n)*standardError*selfTestErrors, 1)
	if off > most || -off > most {
		return fmt.Errorf("Too big error. card:%d abserr:%.0f", t.n, off)
	}
	return nil
}

package rdb

import (
	"fmt"
	"strconv"
)

// containerKind says how elements are packed into a string.
type containerKind uint8

const (
	ziplist containerKind = iota
	listpack
)

// containerNames is indexed by containerKind.
var containerNames = [...]string{"ziplist", "listpack"}

// unknownCount is what stands in place of the number of elements where that is not kept.
const unknownCount = 1<<16 - 1

// containerEnd is the last byte of a ziplist, a listpack and a zipmap.
const containerEnd = 0xFF

// container walks the elements of a ziplist or a listpack from the first to the last. Every byte of it is checked on
// the way: whoever stops before next is false, or doesn't look at reason then, has checked nothing.
type container struct {
	data   []byte
	kind   containerKind
	offset int64 // of the string that holds it, in the input
	at     int   // of the next element, in data
	last   int   // where the element before at begins
	n      int   // elements so far
	total  int   // elements by the header; unknownCount if it doesn't say
	reason string
}

// element is an element of a container: a string or a number.
type element struct {
	str    []byte
	num    int64
	isNum  bool
	digits [maxInt]byte
}

// text returns the element as a string. It is valid until the next element is put here.
func (e *element) text() []byte {
	if e.isNum {
		return strconv.AppendInt(e.digits[:0], e.num, 10)
	}
	return e.str
}

// setNum makes the element a number.
func (e *element) setNum(n int64) { e.num, e.isNum = n, true }

// setStr makes the element a string.
func (e *element) setStr(b []byte) { e.str, e.isNum = b, false }

// open reads a string that holds a container, and its header.
func (s *source) open(kind containerKind) error {
	at := s.offset()
	data, err := s.string()
	if err != nil {
		return err
	}
	s.c = container{data: data, kind: kind, offset: at}
	if kind == ziplist {
		s.c.ziplistHeader()
	} else {
		s.c.listpackHeader()
	}
	if s.c.reason != "" {
		return s.closed()
	}
	return nil
}

// next gives the next element. It is false at the end and at a fault: see reason.
func (c *container) next(e *element) bool {
	if c.kind == ziplist {
		return c.ziplistNext(e)
	}
	return c.listpackNext(e)
}

// tuple reads the next k elements into s.e. It is false at the end, at a fault, and if there are fewer.
func (s *source) tuple(k int) bool {
	for i := range k {
		if !s.c.next(&s.e[i]) {
			if i > 0 {
				s.c.fail("its elements are no multiple of " + strconv.Itoa(k))
			}
			return false
		}
	}
	return true
}

// fail notes a fault, unless there is one already. It is false.
func (c *container) fail(reason string) bool {
	if c.reason == "" {
		c.reason = reason
	}
	return false
}

// closed returns the error for the fault of a container that has been walked to its end, if there is one.
func (s *source) closed() error {
	if s.c.reason == "" {
		return nil
	}
	reason := fmt.Sprintf("%s: %s (element %d, byte %d)", containerNames[s.c.kind], s.c.reason, s.c.n, s.c.at)
	return s.corrupt(s.c.offset, reason)
}

// count returns the number of elements by the header; 0 if it doesn't say.
func (c *container) count() uint64 {
	if c.total == unknownCount {
		return 0
	}
	return uint64(c.total)
}

// finish checks that the container ends where it should, and with as many elements as it should. It is false.
func (c *container) finish() bool {
	if c.at != len(c.data)-1 {
		return c.fail("it ends before its last byte")
	}
	if c.total != unknownCount && c.total != c.n {
		return c.fail("its header has another number of elements")
	}
	return false
}

// empty returns errNoElements if the container that has been walked had no elements.
func (c *container) empty() error {
	if c.n == 0 {
		return errNoElements
	}
	return nil
}

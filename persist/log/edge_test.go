package log

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// TestReaderKeepsBelowTheTail: a small frame at the end of a block ends there, and what is staged behind it while
// a reader looks at the frame's line is not the reader's to touch. The race detector is what notices.
func TestReaderKeepsBelowTheTail(t *testing.T) {
	const blocks = 60
	l := New(1, Limits{})
	hold := l.Attach()
	defer hold.Close()
	s := l.Shard(0)
	var read atomic.Int64
	reader, err := hold.Flow(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer reader.Close()
		for n := 0; n < 3*blocks; {
			if _, ok := reader.Next(); ok {
				n++
				read.Store(int64(n))
			} else {
				runtime.Gosched()
			}
		}
	}()
	small := []byte("x")
	filler := make([]byte, blockBytes)
	for i := range int64(blocks) {
		// The next frame but one begins 100 bytes before the end of a block and has some 65.
		at := int(s.pos() % blockBytes)
		s.Stage(0, filler[:blockBytes-at-100-plainLine-len("*1\r\n$1048000\r\n\r\n")])
		s.Commit(false)
		for read.Load() < 3*i { // not so far behind that it never sees the tail
			runtime.Gosched()
		}
		for range 2 {
			s.Stage(0, small)
			s.Commit(false)
		}
	}
	<-ended
}

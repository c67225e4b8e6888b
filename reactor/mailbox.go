package reactor

import "sync/atomic"

// Letter is a message to a loop, embedded in what it is about, so that posting allocates nothing.
// A letter must not be posted again before it was delivered.
type Letter struct {
	next *Letter
	// To is told when the letter arrives; set once by the owner.
	To Recipient
}

// Recipient is what a Letter is delivered to, on the loop's goroutine.
type Recipient interface {
	Deliver(l *Loop, letter *Letter)
}

// mailbox is a multi-producer stack that its loop takes whole and reads in order of arrival.
type mailbox struct {
	head atomic.Pointer[Letter]
}

func (m *mailbox) push(letter *Letter) {
	for {
		old := m.head.Load()
		letter.next = old
		if m.head.CompareAndSwap(old, letter) {
			return
		}
	}
}

func (m *mailbox) empty() bool { return m.head.Load() == nil }

// takeAll returns the letters in order of arrival, linked by next.
func (m *mailbox) takeAll() *Letter {
	var first *Letter
	for l := m.head.Swap(nil); l != nil; {
		next := l.next
		l.next = first
		first = l
		l = next
	}
	return first
}

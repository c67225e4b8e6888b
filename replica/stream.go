package replica

import "fulmen/persist/log"

// Source gives the bytes of the stream from a position on. *log.MergedReader is one.
type Source interface {
	// LSN returns the position of the next byte.
	LSN() uint64
	// Next returns the next bytes, at most limit, valid until the next call; none if there are none yet.
	Next(limit int) []byte
	// Park asks for one call of the notify that the Source was opened with as soon as there is something to read. It
	// returns false, asking for nothing, if there is already.
	Park() bool
	// LagBytes returns how much there is and was not read yet.
	LagBytes() uint64
	// Close ends it. Closing twice is allowed.
	Close()
}

// Stream is what a server's replicas are sent: its own log or, while it follows a primary of another kind, the bytes
// of that one, which go down unchanged.
type Stream interface {
	// Offset returns the position of the stream's end. Safe from any goroutine.
	Offset() uint64
	// Oldest returns the position from which on it can be opened. Safe from any goroutine.
	Oldest() uint64
	// Open returns a Source from lsn on; an error if that is not kept, or not reached yet. notify is called where
	// something was just added: it must neither block nor call back. Safe from any goroutine.
	Open(lsn uint64, notify func()) (Source, error)
	// Pin keeps what follows the present position, which the data corresponds to exactly: all batons are held, and
	// nothing is staged.
	Pin() Pin
}

// Pin keeps a stream readable from a position on. Its methods are safe from any goroutine.
type Pin interface {
	LSN() uint64
	// Open returns a Source from the position on.
	Open(notify func()) (Source, error)
	// Unpin lets go of what follows the position. The stream goes on to be kept at all.
	Unpin()
	// Close is Unpin, and no longer needs the stream to be kept.
	Close()
}

// LogStream is a server's own log as a Stream.
type LogStream struct{ Log *log.Log }

// Offset implements Stream.
func (s LogStream) Offset() uint64 { return s.Log.Contiguous() }

// Oldest implements Stream.
func (s LogStream) Oldest() uint64 { return s.Log.Oldest() }

// Open implements Stream.
func (s LogStream) Open(lsn uint64, notify func()) (Source, error) {
	r, err := s.Log.Merged(lsn, notify)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Pin implements Stream. The first one makes the log active.
func (s LogStream) Pin() Pin { return logPin{s.Log.Attach()} }

// logPin is a Hold as a Pin.
type logPin struct{ *log.Hold }

// Open implements Pin.
func (p logPin) Open(notify func()) (Source, error) {
	r, err := p.Hold.Merged(notify)
	if err != nil {
		return nil, err
	}
	return r, nil
}

package aof

import (
	"errors"
	"fmt"
	"sync"

	"fulmen/persist/log"
)

var (
	// errPiece says that a transaction misses a piece.
	errPiece = errors.New("aof: a piece is missing")
	// errMeetingOver ends a lane because another one has failed.
	errMeetingOver = errors.New("aof: load stopped")
)

// meeting is where the lanes of a load meet that have pieces of the same commit.
//
// Nobody waits in vain: a lane goes through its frames by LSN. If one waits for another that has ended, or that waits
// at a later commit, then the piece that it waits for is not there, and whoever comes last of the two notices.
type meeting struct {
	apply Applier
	plant loadPlant

	mu    sync.Mutex
	lanes []meetingLane
	err   error
	over  chan struct{} // closed when err is set
}

// meetingLane is a lane as its meeting knows it.
type meetingLane struct {
	waits  bool
	left   bool         // there are no more frames
	at     uint64       // where the commit begins that it waits for …
	shards log.ShardSet // … and whose it is
	piece  []byte       // its records; they stay while it waits
	done   chan error   // has one place: what has become of the commit
}

func newMeeting(lanes int, apply Applier) *meeting {
	m := &meeting{apply: apply, lanes: make([]meetingLane, lanes), over: make(chan struct{})}
	for i := range m.lanes {
		m.lanes[i].done = make(chan error, 1)
	}
	return m
}

// come brings a piece to a commit, and returns when that was executed. The commands are counted for the last to come.
func (m *meeting) come(i int, f *log.Frame) (commands int, err error) {
	m.mu.Lock()
	me := &m.lanes[i]
	me.waits, me.at, me.shards, me.piece = true, f.TxStart, f.Shards, f.Records
	here, err := m.look(i)
	if err != nil || here < f.Shards.Len() {
		m.mu.Unlock()
		if err != nil {
			return 0, err
		}
		select {
		case err = <-me.done:
		case <-m.over:
			err = errMeetingOver
		}
		return 0, err
	}
	var parts [][]byte
	size := 0
	for j := range m.lanes {
		if f.Shards.Has(j) && len(m.lanes[j].piece) > 0 {
			parts = append(parts, m.lanes[j].piece)
			size += len(m.lanes[j].piece)
		}
	}
	m.mu.Unlock()
	// All others stand still, so what was gathered stays.
	if uint64(size) != f.TxEnd-f.TxStart {
		return 0, fmt.Errorf("pieces of %d bytes of a commit of %d: %w", size, f.TxEnd-f.TxStart, errPiece)
	}
	_, commands, err = m.apply.Apply(i, parts)
	m.mu.Lock()
	defer m.mu.Unlock()
	for j := range m.lanes {
		if !f.Shards.Has(j) {
			continue
		}
		m.lanes[j].waits = false
		if j != i && err == nil {
			m.lanes[j].done <- nil
		}
	}
	return commands, err
}

// look counts who has come to the commit of lane i, who has just come. The error is errPiece if somebody will not come:
// to this one, or lane i to another.
func (m *meeting) look(i int) (here int, err error) {
	me := &m.lanes[i]
	members := 0
	for j := range m.lanes {
		other := &m.lanes[j]
		switch {
		case !me.shards.Has(j):
			if other.waits && other.at < me.at && other.shards.Has(i) {
				return 0, errPiece
			}
			continue
		case other.waits && other.at == me.at && other.shards == me.shards:
			here++
		case other.left || other.waits && other.at >= me.at || other.waits && other.shards.Has(i):
			return 0, errPiece
		}
		members++
	}
	if members < me.shards.Len() {
		return 0, errPiece // a shard that there isn't
	}
	return here, nil
}

// leave says that lane i has no more frames.
func (m *meeting) leave(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lanes[i].left = true
	for j := range m.lanes {
		if other := &m.lanes[j]; other.waits && j != i && other.shards.Has(i) && m.err == nil {
			select {
			case other.done <- errPiece:
			default: // it has been told what has become of it
			}
		}
	}
}

// fail keeps the first error and has all lanes end that wait.
func (m *meeting) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && !errors.Is(err, errMeetingOver) {
		m.err = err
		close(m.over)
	}
}

// failed returns what has failed.
func (m *meeting) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

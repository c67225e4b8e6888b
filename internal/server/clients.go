package server

import (
	"slices"
	"sync"
)

// registry knows all sessions, for commands that look at other clients. Its lock is taken when a
// connection opens or closes and by those commands, never on a data path.
type registry struct {
	mu   sync.Mutex
	byID map[uint64]*Session
}

func (r *registry) init() { r.byID = map[uint64]*Session{} }

func (r *registry) add(s *Session) {
	r.mu.Lock()
	r.byID[s.id] = s
	r.mu.Unlock()
}

func (r *registry) remove(s *Session) {
	r.mu.Lock()
	delete(r.byID, s.id)
	r.mu.Unlock()
}

// find returns the session with an id, nil if there is none.
func (r *registry) find(id uint64) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
}

// all returns the sessions by ascending id.
func (r *registry) all() []*Session {
	r.mu.Lock()
	list := make([]*Session, 0, len(r.byID))
	for _, s := range r.byID {
		list = append(list, s)
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b *Session) int {
		switch {
		case a.id < b.id:
			return -1
		case a.id > b.id:
			return 1
		}
		return 0
	})
	return list
}

package server

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"fulmen/internal/pubsub"
	"fulmen/internal/resp"
	"fulmen/shard"
)

// Client-side caching: a session that tracks keys is sent those that change, as pushes, so that it knows which of the
// replies that it has kept are out of date. By default that is about keys that it has read, which shards remember
// (shard/tracking.go); with BCAST about all keys that begin with one of its prefixes. Invalidations are pushes like
// messages of pub/sub: they leave after the commit of the change, behind the gate, and on a session's loop they come
// behind the replies that were computed before the change.

// trackerFlags are the options of CLIENT TRACKING, and what became of it.
type trackerFlags = uint32

const (
	trackOn trackerFlags = 1 << iota
	trackBcast
	trackOptIn
	trackOptOut
	trackNoLoop
	trackBroken // the session that it redirects to is gone
)

// tracker is a session that tracks keys, or did. Shards' tables may refer to it long after its session has gone.
type tracker struct {
	shard.Tracker // immutable

	// Atomic; written by the session's loop, flags also by whoever finds that the redirection is broken.
	session  atomic.Pointer[Session] // nil: it is closed
	flags    atomic.Uint32
	redirect atomic.Pointer[redirection] // nil: none

	// Owned by the session's loop.
	caching  bool     // CLIENT CACHING was said for the next command
	prefixes []string // with BCAST, sorted
}

// redirection is where a tracker's invalidations go.
type redirection struct {
	id int64
	s  *Session
}

// trackedPrefix is a prefix with those who want to know of all keys that begin with it. Immutable.
type trackedPrefix struct {
	prefix string
	by     []*tracker
}

// trackers are all that track keys.
type trackers struct {
	mu    sync.Mutex // guards what follows, and the making of lists
	reads int        // those that track what they read
	// Atomic; their contents are immutable.
	all      atomic.Pointer[[]*tracker]
	prefixes atomic.Pointer[[]trackedPrefix] // sorted
}

func listOf[T any](p *atomic.Pointer[[]T]) []T {
	if list := p.Load(); list != nil {
		return *list
	}
	return nil
}

// add notes that t tracks keys from now on; prefixes are those that it has with BCAST.
func (tr *trackers) add(srv *Server, t *tracker, bcast bool, prefixes []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	all := append(slices.Clone(listOf(&tr.all)), t)
	tr.all.Store(&all)
	if !bcast {
		tr.reads++
	}
	tr.addPrefixes(t, prefixes)
	tr.publish(srv)
}

// addPrefixes has t told of more keys, by prefixes that are all different; with the lock held.
func (tr *trackers) addPrefixes(t *tracker, prefixes []string) {
	list := slices.Clone(listOf(&tr.prefixes))
	known := list
	for _, prefix := range prefixes {
		if i, found := slices.BinarySearchFunc(known, prefix, comparePrefix); found {
			list[i].by = append(slices.Clone(list[i].by), t)
		} else {
			list = append(list, trackedPrefix{prefix, []*tracker{t}})
		}
	}
	slices.SortFunc(list, func(p, q trackedPrefix) int { return comparePrefix(p, q.prefix) })
	tr.prefixes.Store(&list)
}

func comparePrefix(p trackedPrefix, prefix string) int { return strings.Compare(p.prefix, prefix) }

// remove notes that t no longer tracks keys.
func (tr *trackers) remove(srv *Server, t *tracker, bcast bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	isIt := func(x *tracker) bool { return x == t }
	all := slices.DeleteFunc(slices.Clone(listOf(&tr.all)), isIt)
	tr.all.Store(&all)
	if !bcast {
		tr.reads--
	}
	var left []trackedPrefix
	for _, p := range listOf(&tr.prefixes) {
		if p.by = slices.DeleteFunc(slices.Clone(p.by), isIt); len(p.by) > 0 {
			left = append(left, p)
		}
	}
	tr.prefixes.Store(&left)
	tr.publish(srv)
}

// publish has shards note what is to be told; with the lock held.
func (tr *trackers) publish(srv *Server) {
	srv.set.SetTracking(tr.reads > 0, len(listOf(&tr.prefixes)) > 0)
}

// track begins to track keys, or changes how. With BCAST prefixes come to those that it has.
func (s *Session) track(flags trackerFlags, to *redirection, prefixes []string) {
	t := s.tracker.Load()
	if t == nil {
		t = &tracker{}
		t.Owner = t
		t.session.Store(s)
		s.tracker.Store(t)
	}
	was := t.flags.Load()
	bcast := flags&trackBcast != 0
	t.redirect.Store(to)
	if bcast && len(prefixes) == 0 {
		prefixes = []string{""}
	}
	prefixes = slices.DeleteFunc(prefixes, func(p string) bool {
		_, has := slices.BinarySearch(t.prefixes, p)
		return has
	})
	t.prefixes = append(t.prefixes, prefixes...)
	slices.Sort(t.prefixes)
	t.caching = false
	t.flags.Store(flags | trackOn)
	if was&trackOn == 0 {
		s.srv.trackers.add(s.srv, t, bcast, prefixes)
	} else if len(prefixes) > 0 {
		s.srv.trackers.mu.Lock()
		s.srv.trackers.addPrefixes(t, prefixes)
		s.srv.trackers.mu.Unlock()
	}
	s.noteTracking()
}

// untrack ends what CLIENT TRACKING began, if it did.
func (s *Session) untrack() {
	if t := s.tracker.Load(); t != nil {
		t.end(s.srv)
		s.noteTracking()
	}
}

// closeTracking ends it for good: the session is closed.
func (s *Session) closeTracking() {
	if t := s.tracker.Load(); t != nil {
		t.end(s.srv)
		t.session.Store(nil)
	}
}

func (t *tracker) end(srv *Server) {
	if was := t.flags.Swap(0); was&trackOn != 0 {
		srv.trackers.remove(srv, t, was&trackBcast != 0)
	}
	t.redirect.Store(nil)
	t.caching, t.prefixes = false, nil
}

// noteTracking has the commands that follow remember keys, or not, after a change of the session's tracking.
func (s *Session) noteTracking() {
	s.c.Tracker, s.c.Remembers = s.tracks()
	s.refresh()
}

// tracks says whether the session tracks keys, and whether those that the next command reads are to be remembered.
func (s *Session) tracks() (t *shard.Tracker, remembers bool) {
	has := s.tracker.Load()
	if has == nil {
		return nil, false
	}
	flags := has.flags.Load()
	switch {
	case flags&trackOn == 0:
		return nil, false
	case flags&trackBcast != 0:
		return &has.Tracker, false
	case flags&trackOptIn != 0:
		return &has.Tracker, has.caching
	case flags&trackOptOut != 0:
		return &has.Tracker, !has.caching
	}
	return &has.Tracker, true
}

// endCaching ends what CLIENT CACHING said, for the command that it was said for has come.
func (s *Session) endCaching() {
	if t := s.tracker.Load(); t != nil && t.caching {
		t.caching = false
		s.noteTracking()
	}
}

// redirectID is the client that the session's invalidations go to: -1 if it tracks nothing, 0 if they go to itself.
// Safe from any goroutine.
func (t *tracker) redirectID() int64 {
	if t == nil || t.flags.Load()&trackOn == 0 {
		return -1
	}
	if r := t.redirect.Load(); r != nil {
		return r.id
	}
	return 0
}

// has tells whether one of some flags is set. Safe from any goroutine.
func (t *tracker) has(flags trackerFlags) bool { return t != nil && t.flags.Load()&flags != 0 }

// Changed implements shard.Listener: who tracks the key is told.
func (srv *Server) Changed(w *shard.Worker, c shard.Change) {
	l := w.Owner.(*loop)
	for _, r := range c.Readers {
		t := r.Owner.(*tracker)
		if f := t.flags.Load(); f&trackOn == 0 || f&trackBcast != 0 || f&trackNoLoop != 0 && r == c.By {
			continue
		}
		l.invalidate(t, l.keyList(c.Key))
	}
	if c.Limit {
		return
	}
	for i, p := range listOf(&srv.trackers.prefixes) {
		if len(c.Key) >= len(p.prefix) && string(c.Key[:len(p.prefix)]) == p.prefix {
			l.noteBroadcast(&listOf(&srv.trackers.prefixes)[i], &c)
		}
	}
}

// AllChanged implements shard.Listener: everybody who tracks keys is told.
func (srv *Server) AllChanged(w *shard.Worker) {
	l := w.Owner.(*loop)
	for _, t := range listOf(&srv.trackers.all) {
		l.invalidate(t, nil)
	}
}

// keyList is the text of an array of one key; valid until the next call.
func (l *loop) keyList(key []byte) []byte {
	l.keyText = resp.AppendBulk(append(l.keyText[:0], "*1\r\n"...), key)
	return l.keyText
}

// trackingChannel is where a session in RESP2 gets the invalidations that are redirected to it.
const trackingChannel = "__redis__:invalidate"

// tellForm is how a session is told of invalidations.
type tellForm uint8

const (
	tellNot     tellForm = iota // in RESP2 nothing may come that was not asked for
	tellPush                    // as a push of RESP3
	tellMessage                 // as a message of RESP2
	tellForms   = iota
)

// receiver returns the session that a tracker's invalidations go to, and their form. If it has gone the tracker's own
// is told that instead.
func (l *loop) receiver(t *tracker) (to *Session, form tellForm) {
	s, r := t.session.Load(), t.redirect.Load()
	if s == nil {
		return nil, tellNot
	}
	if to = s; r != nil {
		to = r.s
	}
	switch {
	case r != nil && to.gone.Load():
		t.flags.Or(trackBroken)
		if s.pubProto.Load() > 2 {
			b := resp.AppendBulkString(append(l.pushText[:0], ">2\r\n"...), "tracking-redir-broken")
			l.pushText = resp.AppendInt(b, r.id)
			l.pushExactly(s, l.addPush(l.pushText))
		}
		return nil, tellNot
	case to.pubProto.Load() > 2:
		return to, tellPush
	case r != nil && to.subscriptions() > 0:
		return to, tellMessage
	}
	return to, tellNot
}

// invalidate has a tracker told that keys have changed, whose array is given as text; nil: all of them.
func (l *loop) invalidate(t *tracker, keys []byte) {
	if to, form := l.receiver(t); form != tellNot {
		l.pushText = form.append(l.pushText[:0], keys)
		l.pushExactly(to, l.addPush(l.pushText))
	}
}

// append appends what a session is told.
func (f tellForm) append(dst, keys []byte) []byte {
	proto := 3
	if f == tellPush {
		dst = resp.AppendBulkString(append(dst, ">2\r\n"...), "invalidate")
	} else {
		dst = resp.AppendBulkString(append(dst, "*3\r\n"...), wordsOf[pubsub.Channel].message)
		dst = resp.AppendBulkString(dst, trackingChannel)
		proto = 2
	}
	if keys == nil {
		return resp.AppendNull(dst, proto)
	}
	return append(dst, keys...)
}

// broadcastKeys are keys of a prefix that have changed since the last commit.
type broadcastKeys struct {
	p    *trackedPrefix
	keys []broadcastKey
}

// broadcastKey is a key, and whose command changed it, if it was somebody who tracks keys.
type broadcastKey struct {
	key string
	by  *shard.Tracker
}

// noteBroadcast keeps a key of a prefix for the next commit.
func (l *loop) noteBroadcast(p *trackedPrefix, c *shard.Change) {
	l.openParcel()
	i := slices.IndexFunc(l.broadcasts, func(b broadcastKeys) bool { return b.p.prefix == p.prefix })
	if i < 0 {
		i = len(l.broadcasts)
		l.broadcasts = append(l.broadcasts, broadcastKeys{})
	}
	l.broadcasts[i].p = p // with those who are there now
	k := broadcastKey{key: string(c.Key)}
	if !c.Vanished {
		k.by = c.By
	}
	l.broadcasts[i].keys = append(l.broadcasts[i].keys, k)
}

// sendBroadcasts has those told who track prefixes, of all keys that have changed since the last commit together.
func (l *loop) sendBroadcasts() {
	slices.SortFunc(l.broadcasts, func(x, y broadcastKeys) int { return strings.Compare(x.p.prefix, y.p.prefix) })
	for i := range l.broadcasts {
		b := &l.broadcasts[i]
		slices.SortStableFunc(b.keys, func(x, y broadcastKey) int { return strings.Compare(x.key, y.key) })
		var all []byte
		var shared [tellForms]pushSpan // what most are told lies there once
		for _, t := range b.p.by {
			flags := t.flags.Load()
			if flags&trackOn == 0 {
				continue
			}
			if flags&trackNoLoop != 0 {
				if others := b.text(&t.Tracker); others != nil {
					l.invalidate(t, others)
				}
				continue
			}
			to, form := l.receiver(t)
			if form == tellNot {
				continue
			}
			if shared[form].up == 0 {
				if all == nil {
					all = b.text(nil)
				}
				l.pushText = form.append(l.pushText[:0], all)
				shared[form] = l.addPush(l.pushText)
			}
			l.pushExactly(to, shared[form])
		}
		*b = broadcastKeys{}
	}
	l.broadcasts = l.broadcasts[:0]
}

// text is the array of the keys that were not changed by a client; nil: there is none. Each is named once, and the last
// one who changed it counts, as in Redis.
func (b *broadcastKeys) text(but *shard.Tracker) []byte {
	var items []byte
	n := 0
	for i, k := range b.keys {
		if i+1 < len(b.keys) && b.keys[i+1].key == k.key || but != nil && k.by == but {
			continue
		}
		items = resp.AppendBulkString(items, k.key)
		n++
	}
	if n == 0 {
		return nil
	}
	head := append(strconv.AppendInt([]byte{'*'}, int64(n), 10), "\r\n"...)
	return append(head, items...)
}

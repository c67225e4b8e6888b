package server

import (
	"sync/atomic"

	"fulmen/internal/pubsub"
	"fulmen/reactor"
	"fulmen/shard"
	"fulmen/shard/command"
)

// Pushes: what sessions are sent that have not asked for it just now, such as messages of pub/sub. There is one way for
// all of them, from any loop to the sessions of any other, behind the commit gate:
//
// Whoever executes a command adds to its loop's parcel what that causes, with loop.publish (to those who subscribe to a
// channel) or loop.pushTo (to one session), batons held or not. The parcel is closed where the batons are given back
// (shard.Courier): after the commit, so that it has an LSN, and before the release, so that pushes about a shard come
// in the order of its commits everywhere. What was caused without a baton is closed where replies are sent
// (loop.flush).
// Then it lies on a stack of each loop that has receivers, once for all of them, and a letter tells these. A loop hands
// what has come to its sessions, in the order in which it came, marks them with the LSN and writes to each once. It
// does so before it executes what a client has sent that may get any, too: who knows that something was published, or
// written to, finds it delivered.
//
// So a session gets what another one has caused in that one's order, all sessions of a loop get everything in the same
// order, and nobody gets anything before the log is as safe as it is for a reply that tells of the same.

// parcel is what one loop's commands have caused between two commits. The loops that have receivers read it together;
// the last one gives it back.
type parcel struct {
	text  []byte       // what is pushed, one after the other; see pushItem
	lsn   uint64       // what it tells of
	left  atomic.Int32 // loops that have not handed it out, and the one that is closing it
	parts []parcelPart // by loop
}

// parcelPart is a loop's part of a parcel: on its stack, then in its queue.
type parcelPart struct {
	next   *parcelPart
	parcel *parcel
	items  []pushItem
}

// pushItem is a push and its receivers at a loop: those who subscribe to a topic, or one session.
type pushItem struct {
	local    *pubsub.Local[*Session] // nil: to alone
	to       *Session                // with local: who has had it already, or nil
	moment   uint64                  // with local: when it was published
	from, up int                     // in parcel.text; '>' at its beginning is '*' for RESP2
	exact    bool                    // of to alone: it gets the text in that protocol, or not at all
}

const (
	// crowdedBytes is how much may be under way before commands that may cause more have to wait.
	crowdedBytes = 8 << 20
	// handBytes is how much a loop hands out before its connections have their turn.
	handBytes = 1 << 20
	// bigPushBytes is from where on a push is not collected, but written by itself.
	bigPushBytes = 16 << 10
	// keptParcelBytes and keptItems are up to which size the memory of a parcel is used again.
	keptParcelBytes = 64 << 10
	keptItems       = 1024
	// keptPushBuffers is how many buffers a loop keeps for collecting a session's pushes.
	keptPushBuffers = 64
)

// openParcel returns the loop's parcel.
func (l *loop) openParcel() *parcel {
	if l.parcel == nil {
		p, _ := l.srv.parcels.Get().(*parcel)
		if p == nil {
			p = &parcel{parts: make([]parcelPart, len(l.srv.loops))}
			for i := range p.parts {
				p.parts[i].parcel = p
			}
		}
		l.parcel = p
		l.worker.Courier = (*courier)(l)
	}
	return l.parcel
}

// reuse keeps the parcel's memory for another one.
func (p *parcel) reuse(srv *Server) {
	for i := range p.parts {
		part := &p.parts[i]
		clear(part.items)
		if part.items = part.items[:0]; cap(part.items) > keptItems {
			part.items = nil
		}
		part.next = nil
	}
	if p.text = p.text[:0]; cap(p.text) > keptParcelBytes {
		p.text = nil
	}
	srv.parcels.Put(p)
}

// pushTo has text pushed to a session, on whatever loop that is. text is copied; if it begins with '>', the type of a
// push in RESP3, a session that speaks RESP2 gets an array.
func (l *loop) pushTo(s *Session, text []byte) { l.push(pushItem{to: s}, l.addPush(text)) }

// pushExactly has a text of the parcel pushed to a session if that speaks its protocol when it comes: RESP3 if it
// begins with '>', else RESP2.
func (l *loop) pushExactly(s *Session, text pushSpan) { l.push(pushItem{to: s, exact: true}, text) }

// pushSpan is a text in the loop's parcel.
type pushSpan struct{ from, up int }

// addPush adds a text, which is copied, to the loop's parcel.
func (l *loop) addPush(text []byte) pushSpan {
	p := l.openParcel()
	from := len(p.text)
	p.text = append(p.text, text...)
	return pushSpan{from, len(p.text)}
}

func (l *loop) push(item pushItem, text pushSpan) {
	item.from, item.up = text.from, text.up
	part := &l.openParcel().parts[item.to.loop.rl.ID]
	part.items = append(part.items, item)
}

// publish has a message sent to all who subscribe to a channel, or to a pattern that matches it, and returns their
// number. by is the session that runs a command on this loop and is to find its own messages among its replies, where
// it is now; nil: it gets them as others do.
func (l *loop) publish(kind pubsub.Kind, channel, payload []byte, by *Session) (receivers int64) {
	reg := l.srv.channels
	if t := reg.Find(kind, channel); t != nil {
		p := l.openParcel()
		from := len(p.text)
		p.text = appendMessage(p.text, kind, "", channel, payload)
		receivers += l.address(t, by, from)
	}
	if kind != pubsub.Channel {
		return receivers
	}
	for _, t := range reg.Patterns() {
		if t.Matches(channel) {
			p := l.openParcel()
			from := len(p.text)
			p.text = appendMessage(p.text, pubsub.Pattern, t.Name, channel, payload)
			receivers += l.address(t, by, from)
		}
	}
	return receivers
}

// address has what stands in the parcel from a place on sent to all who subscribe to a topic, and returns their number.
func (l *loop) address(t *pubsub.Topic[*Session], by *Session, from int) (receivers int64) {
	p := l.parcel
	if by != nil && (by.subscriber == nil || !by.subscriber.Has(t)) {
		by = nil
	}
	if by != nil {
		by.pushOwn(p.text[from:])
	}
	for _, local := range t.Locals() {
		if local.Empty() {
			continue
		}
		part := &p.parts[local.Place]
		part.items = append(part.items, pushItem{
			local: local, to: by, moment: l.srv.channels.Moment(), from: from, up: len(p.text),
		})
	}
	return t.Count()
}

// sendParcel closes what no commit has closed; no baton is held.
func (l *loop) sendParcel() {
	if l.worker.Courier != nil {
		l.worker.Courier.Committed(&l.worker)
		l.worker.Courier.Released(&l.worker)
	}
}

// courier is a loop as its worker's shard.Courier.
type courier loop

// Committed implements shard.Courier: the parcel goes to the loops that have receivers.
func (k *courier) Committed(w *shard.Worker) {
	l := (*loop)(k)
	if len(l.broadcasts) > 0 {
		l.sendBroadcasts()
	}
	p := l.parcel
	if p == nil {
		return
	}
	l.parcel = nil
	if p.lsn = w.LSN; l.srv.gate.fault == pushesEarly {
		p.lsn = 0
	}
	p.left.Store(int32(len(p.parts)) + 1)
	none := int32(1)
	for i := range p.parts {
		part := &p.parts[i]
		if len(part.items) == 0 {
			none++
			continue
		}
		desk := &l.srv.loops[i].desk
		l.rings = append(l.rings, desk)
		desk.put(part, int64(len(p.text)))
	}
	if p.left.Add(-none) == 0 {
		p.reuse(l.srv)
	}
	l.crowded = l.srv.pushing.Load() >= crowdedBytes
}

// Released implements shard.Courier: the loops are told.
func (k *courier) Released(w *shard.Worker) {
	l := (*loop)(k)
	w.Courier = nil
	if l.parcel != nil {
		w.Courier = k // something was caused since
	}
	for i, desk := range l.rings {
		desk.ring(l)
		l.rings[i] = nil
	}
	l.rings = l.rings[:0]
}

// pushDesk is where a loop takes in what its sessions are to be sent.
type pushDesk struct {
	l *loop
	reactor.Letter

	// Atomic.
	stack atomic.Pointer[parcelPart]
	rung  ringFlag // the letter is under way

	// Owned by the loop.
	queue   []*parcelPart // taken from the stack, in order of arrival
	next    int           // in queue
	touched []*Session    // that have collected something
	spare   [][]byte
}

// put adds a part; text is how long its parcel is. Safe from any goroutine.
func (d *pushDesk) put(part *parcelPart, text int64) {
	d.l.srv.pushing.Add(text)
	for {
		part.next = d.stack.Load()
		if d.stack.CompareAndSwap(part.next, part) {
			return
		}
	}
}

// ring tells the loop that something was put, by the loop from. Its own has its other connections' turn first: they may
// cause more, and a write for each session is what pushes cost most.
func (d *pushDesk) ring(from *loop) {
	switch {
	case !d.rung.CompareAndSwap(false, true):
	case d.l == from:
		d.l.rl.PostLater(&d.Letter)
	default:
		d.l.rl.Post(&d.Letter)
	}
}

// Deliver implements reactor.Recipient on the loop: what has come is handed out.
func (d *pushDesk) Deliver(*reactor.Loop, *reactor.Letter) {
	d.rung.Store(false)
	d.work()
}

// catchUp hands out what has come, its letter being under way: what a subscriber has sent meanwhile may be sent by
// somebody who knows that it was published.
func (d *pushDesk) catchUp() {
	if d.stack.Load() != nil {
		d.work()
	}
}

// work hands out what has come, or as much of it as is good for the loop's connections.
func (d *pushDesk) work() {
	d.takeIn()
	for bytes := 0; d.next < len(d.queue) && bytes < handBytes; {
		part := d.queue[d.next]
		d.queue[d.next] = nil
		d.next++
		bytes += d.handOut(part)
	}
	for i, s := range d.touched {
		d.touched[i] = nil
		d.write(s)
	}
	d.touched = d.touched[:0]
	if d.next < len(d.queue) {
		if d.rung.CompareAndSwap(false, true) {
			d.l.rl.PostLater(&d.Letter)
		}
		return
	}
	if d.queue, d.next = d.queue[:0], 0; cap(d.queue) > keptItems {
		d.queue = nil
	}
}

// takeIn moves what is on the stack behind the queue.
func (d *pushDesk) takeIn() {
	first := len(d.queue)
	for part := d.stack.Swap(nil); part != nil; part = part.next {
		d.queue = append(d.queue, part)
	}
	for i, k := first, len(d.queue)-1; i < k; i, k = i+1, k-1 {
		d.queue[i], d.queue[k] = d.queue[k], d.queue[i]
	}
}

// handOut gives the sessions what a part has for them, and returns how many bytes that was.
func (d *pushDesk) handOut(part *parcelPart) (bytes int) {
	p := part.parcel
	for i := range part.items {
		item := &part.items[i]
		text := p.text[item.from:item.up]
		if item.local == nil {
			if !item.exact || (text[0] == '>') == (item.to.proto > 2) {
				d.hand(item.to, text, p.lsn)
				bytes += len(text)
			}
			continue
		}
		for s := range item.local.Since(item.moment) {
			if s != item.to {
				d.hand(s, text, p.lsn)
				bytes += len(text)
			}
		}
	}
	d.l.srv.pushing.Add(int64(-len(p.text)))
	if p.left.Add(-1) == 0 {
		p.reuse(d.l.srv)
	}
	return bytes
}

// hand collects a push for a session. The stream of a replica, and the connection to a primary, have no room for it.
func (d *pushDesk) hand(s *Session, text []byte, lsn uint64) {
	if s.closed || s.conn.Closing() || s.primary != nil || s.feeds() {
		return
	}
	if !s.collects {
		s.collects = true
		d.touched = append(d.touched, s)
		if n := len(d.spare); n > 0 {
			s.pushes, d.spare = d.spare[n-1], d.spare[:n-1]
		}
	}
	s.pushLSN = max(s.pushLSN, lsn)
	if len(text) < bigPushBytes {
		if s.pushes = s.appendPush(s.pushes, text); len(s.pushes) >= flushBytes {
			s.writePushes()
		}
		return
	}
	s.pushes = s.appendPush(s.pushes, text[:headBytes])
	if s.writePushes(); !s.closed {
		s.write(text[headBytes:], false)
	}
}

// headBytes is how much of a big push is written along with what was collected before.
const headBytes = 64

// write sends what a session has collected.
func (d *pushDesk) write(s *Session) {
	s.collects = false
	s.writePushes()
	if buf := s.pushes; cap(buf) > 0 && cap(buf) <= 2*flushBytes && len(d.spare) < keptPushBuffers {
		d.spare = append(d.spare, buf)
	}
	s.pushes, s.pushLSN = nil, 0
}

// writePushes sends what was collected so far.
func (s *Session) writePushes() {
	if !s.closed {
		s.mark(s.pushLSN)
		s.write(s.pushes, false)
	}
	s.pushes = s.pushes[:0]
}

// appendPush appends a push, or its beginning, in the session's protocol.
func (s *Session) appendPush(dst, text []byte) []byte {
	at := len(dst)
	if dst = append(dst, text...); s.proto == 2 && dst[at] == '>' {
		dst[at] = '*'
	}
	return dst
}

// pushOwn puts a push among the replies of the session, which runs a command: also if there are none (CLIENT REPLY).
func (s *Session) pushOwn(text []byte) {
	to := s.pushesHere()
	*to = s.appendPush(*to, text)
}

// pushesHere is where a push is appended that belongs here among the replies.
func (s *Session) pushesHere() *[]byte {
	switch {
	case s.script != nil && s.c == &s.script.inner: // and not in what the script gets to see
		return &s.script.pushes
	case s.silenced:
		return &s.aloud
	}
	return &s.c.Out
}

// speakUp appends what a command had to push whose replies were dropped.
func (s *Session) speakUp() {
	s.silenced = false
	if len(s.aloud) > 0 {
		s.c.Out = append(s.c.Out, s.aloud...)
		s.aloud = nil
	}
}

// mustYield tells whether a command of this row has to wait, because so much is under way that it must not cause more.
func (s *Session) mustYield(row *command.Row) bool {
	causes := command.MayReplicate // PUBLISH
	if s.srv.set.Events() != 0 {
		causes |= command.Write
	}
	if s.multi != nil {
		return row.RunsQueue && s.multi.flags&causes != 0
	}
	return row.Flags&causes != 0
}

// awaitDelivery has the session wait until less is under way.
func (l *loop) awaitDelivery(s *Session) {
	s.conn.Pause()
	l.waiting = append(l.waiting, s)
	l.rl.WantTick()
}

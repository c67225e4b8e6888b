package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// queueGroup is the group of every queue. Queues are streams: producers add jobs, and the group's consumers share them
// out.
const queueGroup = "g"

var queues = []string{"jobs:0", "jobs:1", "jobs:2", "jobs:3"}

// job is what is known for sure of an entry: what is lost with a server whose clients were promised nothing is not.
type job struct {
	queue, id string
	consumer  string // to whom it was delivered; empty: that is not known
	acking    bool   // it was tried to acknowledge it
	acked     bool
}

// add notes an entry that was added in an epoch, unless that is over.
func (l *ledger) add(epoch int, value, queue, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch && l.jobs[value] == nil {
		l.jobs[value] = &job{queue: queue, id: id}
	}
}

// deliver notes that an entry was delivered to a consumer, and returns what is wrong with that.
func (l *ledger) deliver(epoch int, d delivery, consumer string) (fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return ""
	}
	j := l.jobs[d.value]
	if j == nil {
		j = &job{queue: d.queue, id: d.id}
		l.jobs[d.value] = j
	}
	switch {
	case j.queue != d.queue || j.id != d.id:
		return fmt.Sprintf("%s was added as %s to %s, and delivered as %s of %s", d.value, j.id, j.queue, d.id, d.queue)
	case j.consumer != "":
		return fmt.Sprintf("%s was delivered to %s, and now to %s", d.value, j.consumer, consumer)
	}
	j.consumer = consumer
	return ""
}

// try notes that a consumer is about to acknowledge an entry. What is returned says whether it is known to have it.
func (l *ledger) try(value, consumer string) (has bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.jobs[value]
	if j == nil {
		return false
	}
	has = j.consumer == consumer && !j.acking
	j.acking = true
	return has
}

// ack notes what the reply to an acknowledgement was; has is what try has returned.
func (l *ledger) ack(epoch int, value string, has, was bool) (fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.jobs[value]
	if epoch != l.epoch || j == nil {
		return ""
	}
	if has && !was {
		return fmt.Sprintf("%s is not pending, and was delivered to %s", value, j.consumer)
	}
	j.acked = true
	return ""
}

// missing gives an entry that a consumer must have, and that is not among those that the server says are its own.
func (l *ledger) missing(epoch int, consumer string, has map[string]bool) (fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return ""
	}
	for value, j := range l.jobs {
		if j.consumer == consumer && !j.acking && !has[value] {
			return fmt.Sprintf("%s is not pending at %s any more", value, consumer)
		}
	}
	return ""
}

// known copies what is known for sure.
func (l *ledger) known() map[string]job {
	l.mu.Lock()
	defer l.mu.Unlock()
	jobs := make(map[string]job, len(l.jobs))
	for value, j := range l.jobs {
		jobs[value] = *j
	}
	return jobs
}

// queueUser is what producers and consumers have in common.
type queueUser struct {
	ledger *ledger
	name   string
	// confirm are commands that tell whether what was done before them is sure; nil: it is with its own reply.
	confirm [][]string
	sure    func(replies []resp.Value) bool // of confirm
	failf   func(format string, args ...any)
	conn    *redistest.Conn // where the database is selected
}

// do sends commands at once. ok: there are replies to all; sure: what they say lasts.
func (u *queueUser) do(c *redistest.Conn, commands ...[]string) (replies []resp.Value, ok, sure bool) {
	n := len(commands)
	replies, ok = pipeline(c, append(commands[:n:n], u.confirm...)...)
	if !ok {
		return nil, false, false
	}
	return replies[:n], true, u.confirm == nil || u.sure(replies[n:])
}

// begin selects the database on a new connection, and makes the groups that are not there.
func (u *queueUser) begin(c *redistest.Conn) bool {
	commands := [][]string{{"SELECT", queuesDB}}
	for _, queue := range queues {
		commands = append(commands, []string{"XGROUP", "CREATE", queue, queueGroup, "0", "MKSTREAM"})
	}
	// Where the first fails the others would go elsewhere.
	if replies, ok := pipeline(c, commands[0]); !ok || replies[0].Err() != nil {
		return false
	}
	replies, ok := pipeline(c, commands[1:]...)
	for _, v := range replies {
		if v.Err() != nil && !strings.HasPrefix(string(v.Str), "BUSYGROUP") {
			return false // it isn't ready
		}
	}
	if ok {
		u.conn = c
	}
	return ok
}

// queueUsers starts those who use the queues.
func (l *load) queueUsers(user func(name string) queueUser) {
	for i := range 2 {
		p := &producer{queueUser: user("p" + strconv.Itoa(i))}
		l.writer(rand.New(rand.NewPCG(l.r.seed, uint64(30+i))), p.write)
	}
	for i := range 3 {
		w := &consumer{queueUser: user("c" + strconv.Itoa(i))}
		l.writer(rand.New(rand.NewPCG(l.r.seed, uint64(40+i))), w.write)
	}
}

// carefulUser is one who relies on what a replica has. WAIT may count from before a command that was blocked, but not
// from before the INCR behind it.
func (l *load) carefulUser(name string) queueUser {
	return queueUser{
		ledger: &l.ledger, name: name, failf: l.r.failf,
		confirm: [][]string{{"INCR", "beat:" + name}, {"WAIT", "1", "100"}},
		sure:    func(replies []resp.Value) bool { return replies[1].Int >= 1 },
	}
}

// trustingUser is one who relies on replies.
func (l *load) trustingUser(name string) queueUser {
	return queueUser{ledger: &l.ledger, name: name, failf: l.r.failf}
}

// producer adds jobs, some two at once.
type producer struct {
	queueUser
	n int
}

func (p *producer) write(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	if c != p.conn && !p.begin(c) {
		return 0, false
	}
	p.n++
	epoch, value := p.ledger.now(), fmt.Sprintf("%s-%d", p.name, p.n)
	body := strings.Repeat("b", rnd.IntN(200))
	queue := queues[rnd.IntN(len(queues))]
	if rnd.IntN(3) > 0 {
		replies, ok, sure := p.do(c, []string{"XADD", queue, "*", "v", value, "body", body})
		if sure && replies[0].Err() == nil {
			p.ledger.add(epoch, value, queue, text(replies[0]))
		}
		return 1, ok
	}
	other := queues[rnd.IntN(len(queues))]
	replies, ok, sure := p.do(c, []string{"MULTI"}, []string{"XADD", queue, "*", "v", value + firstOfTwo, "body", body},
		[]string{"XADD", other, "*", "v", value + secondOfTwo}, []string{"EXEC"})
	if sure && len(replies[3].Elems) == 2 {
		p.ledger.add(epoch, value+firstOfTwo, queue, text(replies[3].Elems[0]))
		p.ledger.add(epoch, value+secondOfTwo, other, text(replies[3].Elems[1]))
	}
	return 2, ok
}

// The ends of values that were added in one transaction.
const (
	firstOfTwo  = ".first"
	secondOfTwo = ".second"
)

// delivery is an entry as a consumer gets it.
type delivery struct{ queue, id, value string }

// consumer reads jobs and acknowledges them. On a new connection it asks for what it had before.
type consumer struct {
	queueUser
	held []delivery // read and not acknowledged
}

func (w *consumer) write(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	if c != w.conn {
		if !w.begin(c) || !w.recover(c) {
			w.conn = nil
			return 0, false
		}
	}
	if len(w.held) > 0 && (rnd.IntN(2) == 0 || len(w.held) > 100) {
		return w.acknowledge(rnd, c)
	}
	return w.read(rnd, c)
}

// readGroup is XREADGROUP from all queues, from new entries on (">") or of those that the consumer has ("0").
func (w *consumer) readGroup(from string, options ...string) []string {
	args := append([]string{"XREADGROUP", "GROUP", queueGroup, w.name}, options...)
	args = append(append(args, "STREAMS"), queues...)
	for range queues {
		args = append(args, from)
	}
	return args
}

// deliveries reads a reply to XREADGROUP.
func deliveries(v resp.Value) (all []delivery) {
	for _, queue := range v.Elems {
		for _, entry := range queue.Elems[1].Elems {
			d := delivery{queue: text(queue.Elems[0]), id: text(entry.Elems[0])}
			if len(entry.Elems[1].Elems) > 1 { // else it is deleted, and nobody does that
				d.value = text(entry.Elems[1].Elems[1])
			}
			all = append(all, d)
		}
	}
	return all
}

// recover asks for the entries that the consumer has.
func (w *consumer) recover(c *redistest.Conn) bool {
	epoch := w.ledger.now()
	replies, ok, sure := w.do(c, w.readGroup("0"))
	if !ok || replies[0].Err() != nil {
		return false
	}
	w.held = deliveries(replies[0])
	if !sure {
		return true
	}
	has := map[string]bool{}
	for _, d := range w.held {
		has[d.value] = true
	}
	if fault := w.ledger.missing(epoch, w.name, has); fault != "" {
		w.failf("after a reconnection %s", fault)
	}
	return true
}

func (w *consumer) read(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	options := []string{"COUNT", strconv.Itoa(1 + rnd.IntN(5))}
	if rnd.IntN(2) == 0 {
		options = append(options, "BLOCK", strconv.Itoa(1+rnd.IntN(20)))
	}
	epoch := w.ledger.now()
	replies, ok, sure := w.do(c, w.readGroup(">", options...))
	if !ok {
		return 0, false
	}
	if replies[0].Err() != nil { // the groups are gone with everything
		w.conn = nil
		return 1, true
	}
	for _, d := range deliveries(replies[0]) {
		w.held = append(w.held, d)
		if !sure {
			continue
		}
		if fault := w.ledger.deliver(epoch, d, w.name); fault != "" {
			w.failf("%s", fault)
		}
	}
	return 1, true
}

// acknowledge acknowledges one of the entries that the consumer has.
func (w *consumer) acknowledge(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	i := rnd.IntN(len(w.held))
	d := w.held[i]
	w.held = append(w.held[:i], w.held[i+1:]...)
	epoch := w.ledger.now()
	has := w.ledger.try(d.value, w.name)
	replies, ok, sure := w.do(c, []string{"XACK", d.queue, queueGroup, d.id})
	if sure && replies[0].Err() == nil {
		if fault := w.ledger.ack(epoch, d.value, has, replies[0].Int == 1); fault != "" {
			w.failf("%s", fault)
		}
	}
	return 1, ok
}

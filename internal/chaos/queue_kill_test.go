package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"fulmen/internal/redistest"
)

// TestKilledQueues: a server that is killed while producers and consumers use its streams has, when it is back, all
// that it has replied to: entries, deliveries and acknowledgements, under every policy.
func TestKilledQueues(t *testing.T) {
	for i, policy := range []string{"always", "everysec", "no"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			r := emptyRound(t, uint64(i), newTally())
			r.watch()
			shards := []int{8, 1, 3}[i]
			r.add(spec{kind: ours, shards: shards, logs: true, backlogMB: 1, loads: "disabled", fsync: policy})
			r.killQueues()
		})
	}
}

// killQueues kills the only server of a round again and again, amid a rewrite at times.
func (r *round) killQueues() {
	n := r.chain[0]
	n.start()
	l := &load{r: r, quit: make(chan struct{})}
	r.load = l
	l.ledger.reset()
	l.primary.Store(&n.addr)
	l.queueUsers(l.trustingUser)
	defer l.stop()
	kills := 5
	if *flagLong {
		kills = 50
	}
	for i := range kills {
		r.pause(50, 400)
		r.eventually("something is at stake", func() bool {
			acked, held := l.ledger.atStake()
			return acked > 0 && held > 0
		})
		if i%3 == 2 {
			n.do("BGREWRITEAOF")
			r.pause(0, 20)
		}
		r.stopNode(n, syscall.SIGKILL)
		n.start()
		l.gate.Lock()
		r.checkQueues(n, l.ledger.known())
		l.gate.Unlock()
		if r.t.Failed() {
			return
		}
	}
	acked, held := l.ledger.atStake()
	r.t.Logf("%d kills, %d commands, %d entries acknowledged, %d pending", kills, l.written.Load(), acked, held)
}

// atStake counts what must not be lost: entries that were acknowledged, and those that consumers have.
func (l *ledger) atStake() (acked, held int) {
	for _, j := range l.known() {
		if j.acked {
			acked++
		} else if j.consumer != "" {
			held++
		}
	}
	return acked, held
}

// queueBed is a server whose queues have two entries and a pair of two more, delivered to the consumer c, who has
// acknowledged the second.
type queueBed struct {
	t      *testing.T
	c      *redistest.Conn
	ledger ledger
	w      *consumer
	got    []delivery
	faults []string // what users have noticed
}

func newQueueBed(t *testing.T) *queueBed {
	b := &queueBed{t: t}
	c, err := redistest.Dial(redistest.StartOracle(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	b.c = c
	b.ledger.reset()
	b.w = b.consumer("c")
	if !b.w.begin(c) {
		t.Fatal("there are no groups")
	}
	for i, value := range []string{"1", "2", "3" + firstOfTwo, "3" + secondOfTwo} {
		b.ledger.add(b.ledger.now(), value, queues[i/3], b.do("XADD", queues[i/3], "*", "v", value))
	}
	v, err := c.Do(b.w.readGroup(">")...)
	if b.got = deliveries(v); err != nil || len(b.got) != 4 {
		t.Fatal(b.got, err)
	}
	for _, d := range b.got {
		if fault := b.ledger.deliver(b.ledger.now(), d, "c"); fault != "" {
			t.Fatal(fault)
		}
	}
	has := b.ledger.try("2", "c")
	was := b.do("XACK", queues[0], queueGroup, b.got[1].id) == "1"
	if fault := b.ledger.ack(b.ledger.now(), "2", has, was); fault != "" || !has || !was {
		t.Fatal(has, was, fault)
	}
	return b
}

func (b *queueBed) consumer(name string) *consumer {
	return &consumer{queueUser: queueUser{ledger: &b.ledger, name: name, failf: func(format string, args ...any) {
		b.faults = append(b.faults, fmt.Sprintf(format, args...))
	}}}
}

// do executes a command in which {first} and {second} stand for the IDs of the first two entries.
func (b *queueBed) do(args ...string) string {
	b.t.Helper()
	for i := range args {
		if len(b.got) > 1 {
			args[i] = strings.NewReplacer("{first}", b.got[0].id, "{second}", b.got[1].id).Replace(args[i])
		}
	}
	v, err := b.c.Do(args...)
	if err != nil || v.Err() != nil {
		b.t.Fatal(args, text(v), err)
	}
	return text(v)
}

// want fails the test unless there is one such fault, or none where none is wanted.
func (b *queueBed) want(faults []string, want string) {
	b.t.Helper()
	all := strings.Join(faults, "\n")
	if !strings.Contains(all, want) || (all == "") != (want == "") {
		b.t.Errorf("found %q, want %q", all, want)
	}
}

// TestQueueFaultsAreNoticed damages queues behind the back of their users, and shows that checks at rest notice.
func TestQueueFaultsAreNoticed(t *testing.T) {
	for want, damage := range map[string][]string{
		"":                                      {"PING"},
		"was added, and is not there":           {"XDEL", queues[0], "{first}"},
		"was delivered, and will be again":      {"XGROUP", "SETID", queues[0], queueGroup, "0"},
		"and is pending at d":                   {"XCLAIM", queues[0], queueGroup, "d", "0", "{first}"},
		"acknowledged, and is not pending":      {"XACK", queues[0], queueGroup, "{first}"},
		"was acknowledged, and is pending":      {"XCLAIM", queues[0], queueGroup, "c", "0", "{second}", "FORCE"},
		"without what was added with it":        {"DEL", queues[1]},
		"in the queue: false":                   {"XDEL", queues[0], "{first}"},
		"in the queue: true, delivered up to 0": {"XGROUP", "SETID", queues[0], queueGroup, "0"},
	} {
		t.Run(want, func(t *testing.T) {
			b := newQueueBed(t)
			b.do(damage...)
			state, err := readQueues(b.c)
			if err != nil {
				t.Fatal(err)
			}
			b.want(queueFaults(state, b.ledger.known()), want)
		})
	}
}

// TestConsumersNoticeFaults does the same of what consumers notice by themselves.
func TestConsumersNoticeFaults(t *testing.T) {
	again := []string{"XGROUP", "SETID", queues[0], queueGroup, "0"}
	for want, test := range map[string]struct {
		name   string
		damage []string
	}{
		"":                                   {"c", []string{"PING"}},
		"1 was delivered to c, and now to d": {"d", again},
		"1 was delivered to c, and now to c": {"c", again},
		"1 is not pending at c any more":     {"c", []string{"XACK", queues[0], queueGroup, "{first}"}},
	} {
		t.Run(want, func(t *testing.T) {
			b, rnd := newQueueBed(t), rand.New(rand.NewPCG(1, 1))
			b.do(test.damage...)
			w := b.consumer(test.name)
			for range 15 {
				if _, ok := w.write(rnd, b.c); !ok {
					t.Fatal("the server does not answer")
				}
			}
			b.want(b.faults, want)
		})
	}
	t.Run("acknowledged", func(t *testing.T) {
		b := newQueueBed(t)
		b.w.held = b.got[:1]
		b.do("XACK", queues[0], queueGroup, "{first}")
		b.w.acknowledge(rand.New(rand.NewPCG(1, 1)), b.c)
		b.want(b.faults, "1 is not pending, and was delivered to c")
	})
}

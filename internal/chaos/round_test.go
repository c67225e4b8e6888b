package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
)

const (
	patience    = 3 * time.Minute  // for anything that must come
	roundLimit  = 15 * time.Minute // for a round
	fillKeys    = 20_000
	fillBytes   = 300
	shortFilled = 2_000
)

// round is a set of servers, what is done to them, and what they have to show for it.
type round struct {
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand
	tally   *tally
	ringDir string
	chain   []*node // the primary, who follows it, who follows that
	load    *load

	mu        sync.Mutex
	history   []string              // what was done
	processes map[*node]*os.Process // of the nodes
	late      bool                  // the time is up
	began     time.Time
}

// shapes are what chains are made of.
var shapes = [][]kind{
	{ours, ours}, {ours, ours}, {redis, ours}, {ours, redis}, {redis, ours, ours}, {ours, ours, redis},
	{ours, ours, ours},
}

// newRound draws the servers of a round.
func newRound(t *testing.T, seed uint64, all *tally) *round {
	need.Program(t, "redis-server")
	r := emptyRound(t, seed, all)
	shape := shapes[r.rnd.IntN(len(shapes))]
	if !*flagLong {
		shape = shapes[int(seed)%len(shapes)]
	}
	for _, k := range shape {
		r.add(drawSpec(r.rnd, k))
	}
	return r
}

func emptyRound(t *testing.T, seed uint64, all *tally) *round {
	return &round{
		t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), tally: all, ringDir: need.MemoryDir(t),
		processes: map[*node]*os.Process{}, began: time.Now(),
	}
}

// add adds a server to the chain.
func (r *round) add(s spec) {
	n := newNode(r, string(rune('A'+len(r.chain))), s)
	r.note("%s is %s, port %s, proxy %d", n.name, n.spec, n.port, n.proxy.port)
	r.chain = append(r.chain, n)
}

// watch bounds the round's time, and ends its servers when the test ends.
func (r *round) watch() {
	watchdog := time.AfterFunc(roundLimit, r.giveUp)
	r.t.Cleanup(func() {
		watchdog.Stop()
		for _, n := range r.chain {
			n.end()
		}
		if r.t.Failed() {
			r.explain()
		}
	})
}

// run does everything.
func (r *round) run() {
	r.watch()
	for _, n := range r.chain {
		n.start()
	}
	r.fill(map[bool]int{true: fillKeys, false: shortFilled}[*flagLong])
	r.load = startLoad(r, r.chain[0].addr, r.chain)
	defer func() {
		if r.t.Failed() {
			r.killAll() // else writers might wait for somebody who hangs
		}
		r.load.stop()
		r.tally.add(func(a *tally) {
			a.written += r.load.written.Load()
			a.read += r.load.read.Load()
		})
	}()
	for i, n := range r.chain[1:] {
		n.follow(r.chain[i])
	}
	r.settle()
	for i, s := range r.plan() {
		r.note("%s", s.name)
		s.run(r)
		r.tally.add(func(a *tally) { a.steps[s.name]++ })
		r.settle()
		if i%5 == 4 {
			r.check()
		}
		if r.t.Failed() {
			return
		}
	}
	r.check()
	if r.load.read.Load() == 0 {
		r.t.Error("nobody has looked at the accounts")
	}
}

// plan draws the steps.
func (r *round) plan() (steps []step) {
	cuts, others := 1, 1
	if *flagLong {
		cuts, others = 9, 2
	}
	for range cuts {
		steps = append(steps, linkSteps[r.rnd.IntN(len(linkSteps))])
	}
	for range others {
		steps = append(steps, fullSteps[r.rnd.IntN(len(fullSteps))], killSteps[r.rnd.IntN(len(killSteps))],
			roleSteps[r.rnd.IntN(len(roleSteps))])
	}
	r.rnd.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	return steps
}

// fill gives the primary something that takes a while to transfer.
func (r *round) fill(keys int) {
	c, err := redistest.Dial(r.chain[0].addr)
	if err != nil {
		r.fatalf("%v", err)
	}
	defer c.Close()
	var batch [][]string
	for i := range keys {
		value := strings.Repeat(strconv.FormatUint(r.rnd.Uint64(), 36), fillBytes/12)
		if batch = append(batch, []string{"SET", "fill:" + strconv.Itoa(i), value}); len(batch) == 500 || i == keys-1 {
			if _, ok := pipeline(c, batch...); !ok {
				r.note("the filling was interrupted")
				return
			}
			batch = batch[:0]
		}
	}
}

// settle waits until every link is up.
func (r *round) settle() {
	r.t.Helper()
	r.eventually("all links are up", func() bool {
		return !slices.ContainsFunc(r.chain[1:], func(n *node) bool { return !n.linked() })
	})
}

// eventually waits for something that must come; the round ends if it does not.
func (r *round) eventually(what string, is func() bool) {
	r.t.Helper()
	end := time.Now().Add(patience)
	for wait := 5 * time.Millisecond; !is(); wait = min(2*wait, 100*time.Millisecond) {
		r.mu.Lock()
		late := r.late
		r.mu.Unlock()
		if late || time.Now().After(end) {
			r.fatalf("waiting until %s", what)
		}
		time.Sleep(wait)
	}
}

// giveUp ends a round that takes too long: its processes are killed, so nobody waits for them any more.
func (r *round) giveUp() {
	r.failf("the round takes more than %v", roundLimit)
	r.mu.Lock()
	r.late = true
	r.mu.Unlock()
	r.killAll()
}

// killAll kills all processes; from any goroutine.
func (r *round) killAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.processes {
		_ = p.Kill() // it may have ended
	}
}

func (r *round) noteProcess(n *node, p *os.Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes[n] = p
}

// note adds to the history of the round.
func (r *round) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, fmt.Sprintf("%s %6.2f s: ", time.Now().Format("15:04:05.000"),
		time.Since(r.began).Seconds())+fmt.Sprintf(format, args...))
}

// latest is the end of the history of the round.
func (r *round) latest() string {
	const most = 5
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.history[max(0, len(r.history)-most):], "\n")
}

// failf fails the test; from any goroutine.
func (r *round) failf(format string, args ...any) {
	r.note(format, args...)
	r.t.Errorf(format, args...)
}

// fatalf ends the round; on its own goroutine.
func (r *round) fatalf(format string, args ...any) {
	r.t.Helper()
	r.note(format, args...)
	r.t.Fatalf(format, args...)
}

// explain prints what is to be known of a round that has failed.
func (r *round) explain() {
	long := ""
	if *flagLong {
		long = " -long"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	again := fmt.Sprintf("-run '^%s$' -v", r.t.Name())
	if strings.HasPrefix(r.t.Name(), "TestChaos/") {
		again = fmt.Sprintf("-run TestChaos -v -rounds 1 -from %d%s", r.seed, long)
	}
	r.t.Logf("again: go test ./internal/chaos %s\n%s", again, strings.Join(r.history, "\n"))
	for _, n := range r.chain {
		r.t.Logf("the log of %s (%s):\n%s", n.name, n.spec, n.lastLog())
	}
}

package chaos

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// The databases: random commands use 0 to 2 and 15, which they also exchange.
const (
	accountsDB      = "8"
	otherAccountsDB = "10" // is exchanged with the other one
	ledgerDB        = "9"
	queuesDB        = "11"
)

// accounts are the keys whose sum is zero. A key that is not there counts as zero.
var accounts = func() (keys []string) {
	for i := range 16 {
		keys = append(keys, "account:"+strconv.Itoa(i))
	}
	return keys
}()

// load is the writers and readers of a round.
type load struct {
	r    *round
	quit chan struct{}
	gate sync.RWMutex // held for reading while something is written
	wg   sync.WaitGroup

	primary atomic.Pointer[string] // the address to write to
	written atomic.Int64           // commands
	read    atomic.Int64           // sums
	ledger  ledger
}

// ledger has what clients were told by WAIT that a replica has.
type ledger struct {
	mu    sync.Mutex
	acked map[string]string
	jobs  map[string]*job // of queues, by their value
	code  string          // of the library toldLibrary
	epoch int             // of the newest reset
}

// reset forgets everything, as it may be lost.
func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked, l.jobs, l.code = map[string]string{}, map[string]*job{}, ""
	l.epoch++
}

func (l *ledger) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// note adds a key that was written in an epoch, unless that is over.
func (l *ledger) note(epoch int, key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch {
		l.acked[key] = value
	}
}

func (l *ledger) all() (keys, values []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, value := range l.acked {
		keys, values = append(keys, key), append(values, value)
	}
	return keys, values
}

// startLoad begins to write to the primary, and to read from all.
func startLoad(r *round, primary string, all []*node) *load {
	l := &load{r: r, quit: make(chan struct{})}
	l.ledger.reset()
	l.primary.Store(&primary)
	for i := range 2 {
		w := &randomWriter{seed: r.seed*1000 + uint64(i)}
		l.writer(rand.New(rand.NewPCG(r.seed, uint64(10+i))), w.write)
	}
	l.writer(rand.New(rand.NewPCG(r.seed, 20)), transfer)
	l.writer(rand.New(rand.NewPCG(r.seed, 21)), mixed)
	t := &teller{ledger: &l.ledger}
	l.writer(rand.New(rand.NewPCG(r.seed, 22)), t.write)
	l.queueUsers(l.carefulUser)
	for _, n := range all {
		l.wg.Go(func() { l.readSums(n) })
	}
	return l
}

func (l *load) stop() {
	close(l.quit)
	l.wg.Wait()
}

// rest returns true after a while, or false when the load ends.
func (l *load) rest(d time.Duration) bool {
	select {
	case <-l.quit:
		return false
	case <-time.After(d):
		return true
	}
}

// writer writes to whoever is the primary until the load ends. What write writes is whole when it returns; it returns
// false if it needs another connection.
func (l *load) writer(rnd *rand.Rand, write func(rnd *rand.Rand, c *redistest.Conn) (n int, ok bool)) {
	l.wg.Go(func() {
		for l.rest(10 * time.Millisecond) {
			addr := *l.primary.Load()
			c, err := redistest.Dial(addr)
			if err != nil {
				continue
			}
			for ok := true; ok && addr == *l.primary.Load() && l.rest(time.Duration(1+rnd.IntN(8))*time.Millisecond); {
				var n int
				l.gate.RLock()
				n, ok = write(rnd, c)
				l.gate.RUnlock()
				l.written.Add(int64(n))
			}
			_ = c.Close() // it may have been lost
		}
	})
}

// pipeline sends commands at once and gives their replies; false: the connection is of no use any more.
func pipeline(c *redistest.Conn, commands ...[]string) (replies []resp.Value, ok bool) {
	for _, args := range commands {
		c.Queue(args...)
	}
	if c.Flush() != nil {
		return nil, false
	}
	for range commands {
		v, err := c.Receive()
		if err != nil || notPrimary(v) {
			return nil, false
		}
		replies = append(replies, v)
	}
	return replies, true
}

// notPrimary tells whether a reply says that a server can't be written to.
func notPrimary(v resp.Value) bool {
	if v.Err() == nil {
		return false
	}
	word, _, _ := strings.Cut(string(v.Str), " ")
	return word == "READONLY" || word == "LOADING" || word == "MASTERDOWN"
}

// randomWriter sends random commands of all types, some in transactions over several shards.
type randomWriter struct {
	seed  uint64
	queue [][]string
}

func (w *randomWriter) write(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	if len(w.queue) < 64 {
		grammar := redistest.Everything().Without("flushall").Without("multi", "exec", "discard")
		w.seed++
		w.queue = redistest.Stream(grammar, w.seed, 5000, time.Now().Unix())
	}
	n := 1 + rnd.IntN(30)
	commands := w.queue[:n]
	w.queue = w.queue[n:]
	if rnd.IntN(3) == 0 {
		commands = append(append([][]string{{"MULTI"}}, commands...), []string{"EXEC"})
	}
	_, ok := pipeline(c, commands...)
	return n, ok
}

// transfer moves something from some accounts to others, in a transaction or by a script.
func transfer(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	db := []string{accountsDB, otherAccountsDB}[rnd.IntN(2)]
	if replies, ok := pipeline(c, []string{"SELECT", db}); !ok || replies[0].Err() != nil {
		return 0, false
	}
	if rnd.IntN(2) == 0 {
		return transferByScript(rnd, c)
	}
	// This has worked before the rest is sent: half a transfer would be wrong.
	if replies, ok := pipeline(c, []string{"MULTI"}); !ok || replies[0].Err() != nil {
		return 0, false
	}
	var commands [][]string
	for range 1 + rnd.IntN(3) {
		amount := strconv.Itoa(1 + rnd.IntN(100))
		from, to := accounts[rnd.IntN(len(accounts))], accounts[rnd.IntN(len(accounts))]
		commands = append(commands, []string{"DECRBY", from, amount}, []string{"INCRBY", to, amount})
	}
	if rnd.IntN(10) == 0 {
		commands = append(commands, []string{"SWAPDB", accountsDB, otherAccountsDB})
	}
	_, ok := pipeline(c, append(commands, []string{"EXEC"})...)
	return len(commands), ok
}

// mixed writes big values and keys that expire, exchanges databases, and has the primary save.
func mixed(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	key := strconv.Itoa(rnd.IntN(40))
	var command []string
	switch n := rnd.IntN(100); {
	case n < 1:
		command = []string{"BGSAVE"}
	case n < 2:
		command = []string{"BGREWRITEAOF"}
	case n < 4:
		command = []string{"SWAPDB", strconv.Itoa(rnd.IntN(3)), strconv.Itoa(rnd.IntN(3))}
	case n < 7:
		command = []string{"SET", "big:" + key, strings.Repeat(key, 1<<rnd.IntN(20))}
	case n < 9:
		command = []string{"APPEND", "big:" + key, strings.Repeat("x", 1<<rnd.IntN(14))}
	case n < 12:
		command = []string{"RPUSH", "list:" + key}
		for i := range 1 + rnd.IntN(500) {
			command = append(command, strings.Repeat("e", i%50)+strconv.Itoa(i))
		}
	case n < 14:
		command = []string{"DEL", "big:" + key, "list:" + key}
	case n < 60:
		command = []string{"SET", "brief:" + key, "x", "PX", strconv.Itoa(1 + rnd.IntN(300))}
	case n < 70:
		command = []string{"PEXPIRE", "list:" + key, strconv.Itoa(1 + rnd.IntN(300))}
	default:
		command = []string{"GET", "brief:" + key} // deletes what has expired
	}
	_, ok := pipeline(c, command)
	return 1, ok
}

// teller writes what must not be lost, waits until a replica has it, and at times removes everything.
type teller struct {
	ledger *ledger
	n      int
}

func (t *teller) write(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	if rnd.IntN(400) == 0 {
		t.ledger.reset()
		_, ok := pipeline(c, []string{"FLUSHALL", []string{"SYNC", "ASYNC"}[rnd.IntN(2)]})
		t.ledger.reset()
		return 1, ok
	}
	if replies, ok := pipeline(c, []string{"SELECT", ledgerDB}); !ok || replies[0].Err() != nil {
		return 0, false
	}
	epoch := t.ledger.now()
	t.n++
	if rnd.IntN(50) == 0 {
		return t.load(epoch, c)
	}
	key, value := "told:"+strconv.Itoa(t.n%1000), strconv.Itoa(t.n)
	t.ledger.forget(key)
	replies, ok := pipeline(c, []string{"SET", key, value}, []string{"WAIT", "1", "100"})
	if ok && text(replies[0]) == "OK" && replies[1].Int >= 1 {
		t.ledger.note(epoch, key, value)
	}
	return 2, ok
}

// forget removes a key that is written again.
func (l *ledger) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.acked, key)
}

// readSums looks at the accounts of a server until the load ends: they are balanced at every moment.
func (l *load) readSums(n *node) {
	for l.rest(20 * time.Millisecond) {
		c, err := redistest.Dial(n.addr)
		if err != nil {
			continue
		}
		replies, ok := pipeline(c, []string{"SELECT", accountsDB})
		for ok = ok && replies[0].Err() == nil; ok && l.rest(3*time.Millisecond); {
			if replies, ok = pipeline(c, append([]string{"MGET"}, accounts...)); !ok || replies[0].Err() != nil {
				break
			}
			sum := int64(0)
			for _, elem := range replies[0].Elems {
				if balance, err := strconv.ParseInt(text(elem), 10, 64); err == nil {
					sum += balance
				}
			}
			l.read.Add(1)
			if sum != 0 {
				l.r.failf("the accounts of %s are not balanced: %d, %s", n.name, sum, text(replies[0]))
				return
			}
		}
		_ = c.Close() // it may have been lost
	}
}

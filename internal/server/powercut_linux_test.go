package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/vfs/vfstest"
)

// powerCutsEnv is the environment variable that says how often the power is cut for each policy.
const powerCutsEnv = "FULMEN_POWERCUTS"

// TestPowerCutOfServer cuts the power of the file system on which the program writes its append-only file under load.
// always has lost nothing that was acknowledged, everysec nothing older than a second (two beside other tests);
// transactions are whole, what one connection has written has no gap, and the start is never refused.
func TestPowerCutOfServer(t *testing.T) {
	vfstest.OnExt4(t, 1<<30, func(disk *vfstest.Ext4) {
		// Beside other tests a thread of the server's may have to wait for a processor.
		cuts, lossTime := 2/min(proofShare, 2), 2*time.Second
		if text := os.Getenv(powerCutsEnv); text != "" {
			var err error
			lossTime = time.Second
			if cuts, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
		for i, policy := range []string{"always", "everysec", "no"} {
			p := &powerCuts{
				t: t, disk: disk, policy: policy, lossTime: lossTime,
				dir: filepath.Join(disk.Dir, policy), ring: need.MemoryDir(t),
				rnd: rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano()))),
			}
			if err := os.Mkdir(p.dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for round := range cuts {
				p.round(round)
			}
			p.oldBoot()
			t.Logf("%s: %d cuts, %d writes acknowledged, %d of them lost", policy, cuts, p.acked, p.lost)
			if p.acked == 0 {
				t.Error("nothing was acknowledged")
			}
		}
	})
}

const (
	cutLists    = 8 // connections that append numbers to a list of their own, from 0 on
	cutAccounts = 6 // what is on all of them is nothing together
)

// powerCuts are the rounds of one policy: each goes on with what the one before has left.
type powerCuts struct {
	t         *testing.T
	disk      *vfstest.Ext4
	policy    string
	lossTime  time.Duration // how old what everysec loses may be
	dir, ring string
	rnd       *rand.Rand
	length    [cutLists]int // of the lists at the beginning of the round

	boots       int
	acked, lost int
}

// cutLoad is what is written in a round.
type cutLoad struct {
	p    *powerCuts
	addr string
	quit chan struct{}
	all  sync.WaitGroup

	mu    sync.Mutex
	acks  [cutLists][]time.Time // when the appending of each number was acknowledged
	total int
	last  time.Time // when the last command was sent that was acknowledged
}

func (p *powerCuts) args() []string {
	return []string{"--dir", p.dir, "--appendonly", "yes", "--appendfsync", p.policy, "--aof-ring-dir", p.ring,
		"--save", "", "--shards", "4", "--auto-aof-rewrite-percentage", "0"}
}

// round loads a server, cuts the power, and looks at what there is then.
func (p *powerCuts) round(n int) {
	p.t.Helper()
	server := startProcess(p.t, p.args()...)
	load := &cutLoad{p: p, addr: server.addr, quit: make(chan struct{})}
	for i := range cutLists {
		load.all.Go(func() { load.appendTo(i) })
	}
	load.all.Go(load.transfer)
	least := 1000 + p.rnd.IntN(1000)
	began := time.Now()
	eventually(p.t, "enough was written", func() bool {
		load.mu.Lock()
		defer load.mu.Unlock()
		// What everysec promises is about what is older than a second.
		return load.total >= least && (p.policy != "everysec" || load.last.Sub(began) > p.lossTime+time.Second)
	})
	if n%2 == 1 {
		p.ask(server.addr, "BGREWRITEAOF")
		time.Sleep(time.Duration(p.rnd.IntN(20)) * time.Millisecond) // wherever it is then
	}
	cutAt := time.Now()
	p.cut(server.cmd.Process)
	server.done <- <-server.done
	close(load.quit)
	load.all.Wait()
	p.powerBack()
	if n%2 == 1 { // once more, while it recovers
		cmd := exec.Command(program.Path(p.t), append(p.args(), "--port", need.Port(p.t))...)
		if err := cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		time.Sleep(time.Duration(p.rnd.IntN(30)) * time.Millisecond)
		p.cut(cmd.Process)
		_ = cmd.Wait() // it was killed
		p.powerBack()
	}
	server = startProcess(p.t, p.args()...)
	p.check(server, load, cutAt)
	if err := server.stop(); err != nil {
		p.t.Fatal(err)
	}
}

// cut cuts the power of the file system, and that of the process.
func (p *powerCuts) cut(process *os.Process) {
	p.t.Helper()
	if err := errors.Join(p.disk.Cut(), process.Kill()); err != nil {
		p.t.Fatal(err)
	}
}

// powerBack brings the power back. What was in memory is gone, and the system has been started anew.
func (p *powerCuts) powerBack() {
	p.t.Helper()
	p.disk.Cycle()
	p.newBoot()
	names, err := filepath.Glob(filepath.Join(p.ring, "*"))
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(name))
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

const bootID = "/proc/sys/kernel/random/boot_id"

// newBoot has programs that are started from now on read another boot id: in the test's own mount namespace, another
// file lies over that of the system.
func (p *powerCuts) newBoot() {
	p.t.Helper()
	before, err := os.ReadFile(bootID)
	if err != nil {
		p.t.Fatal(err)
	}
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x\n", p.rnd.Uint32(), p.rnd.Uint64N(1<<48))
	file := filepath.Join(p.t.TempDir(), "boot_id")
	if err := os.WriteFile(file, []byte(id), 0o444); err != nil {
		p.t.Fatal(err)
	}
	commands := [][]string{{"umount", bootID}, {"mount", "--bind", file, bootID}}
	if p.boots++; p.boots == 1 {
		commands = commands[1:]
	}
	p.run(commands)
	if now, err := os.ReadFile(bootID); err != nil || string(now) != id || string(now) == string(before) {
		p.t.Fatalf("the boot id is %q, want %q: %v", now, id, err)
	}
}

// oldBoot has programs read the system's boot id again.
func (p *powerCuts) oldBoot() { p.run([][]string{{"umount", bootID}}) }

func (p *powerCuts) run(commands [][]string) {
	p.t.Helper()
	for _, c := range commands {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			p.t.Fatalf("%q: %v\n%s", c, err, out)
		}
	}
}

// ask sends one command.
func (p *powerCuts) ask(addr string, args ...string) resp.Value {
	p.t.Helper()
	c, err := redistest.Dial(addr)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	v, err := c.Do(args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// over tells whether the round is.
func (l *cutLoad) over() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// appendTo appends numbers to a list, some at a time, until the connection ends or a write is refused.
func (l *cutLoad) appendTo(list int) {
	c, err := redistest.Dial(l.addr)
	if err != nil {
		l.p.t.Error(err)
		return
	}
	defer c.Close()
	rnd := rand.New(rand.NewPCG(uint64(list), 1))
	for next := l.p.length[list]; !l.over(); {
		sent, n := time.Now(), 1+rnd.IntN(8)
		for i := range n {
			c.Queue("RPUSH", fmt.Sprint("list", list), strconv.Itoa(next+i))
		}
		if err := c.Flush(); err != nil {
			return
		}
		for range n {
			v, err := c.Receive()
			if err != nil || v.Kind != resp.KindInt {
				return
			}
			l.note(list, sent)
		}
		next += n
	}
}

func (l *cutLoad) note(list int, sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks[list] = append(l.acks[list], time.Now())
	l.total++
	if sent.After(l.last) {
		l.last = sent
	}
}

// transfer moves amounts from one account to another.
func (l *cutLoad) transfer() {
	c, err := redistest.Dial(l.addr)
	if err != nil {
		l.p.t.Error(err)
		return
	}
	defer c.Close()
	for i := 0; !l.over(); i++ {
		from, to, amount := i%cutAccounts, (i*5+1)%cutAccounts, strconv.Itoa(i%97)
		c.Queue("MULTI")
		c.Queue("DECRBY", fmt.Sprint("account", from), amount)
		c.Queue("INCRBY", fmt.Sprint("account", to), amount)
		c.Queue("EXEC")
		if c.Flush() != nil {
			return
		}
		for range 4 {
			if _, err := c.Receive(); err != nil {
				return
			}
		}
	}
}

// check compares what there is with what was promised.
func (p *powerCuts) check(server *process, load *cutLoad, cutAt time.Time) {
	p.t.Helper()
	// The last reply that left tells that what was so much older was on the disk then; how late the replies have
	// arrived here says nothing of the server.
	before := load.last
	if before.After(cutAt) {
		before = cutAt
	}
	before = before.Add(-p.lossTime)
	for list, acks := range load.acks {
		promised := 0
		for _, at := range acks {
			if p.policy == "always" || p.policy == "everysec" && at.Before(before) {
				promised++
			}
		}
		have := p.ask(server.addr, "LRANGE", fmt.Sprint("list", list), "0", "-1").Elems
		for i, v := range have {
			if string(v.Str) != strconv.Itoa(i) {
				p.t.Fatalf("%s: list%d has %s at %d", p.policy, list, v.Str, i)
			}
		}
		if least := p.length[list] + promised; len(have) < least {
			p.t.Errorf("%s: list%d has %d elements; %d were there before, %d were acknowledged, %d of them promised",
				p.policy, list, len(have), p.length[list], len(acks), promised)
		}
		p.acked += len(acks)
		p.lost += max(p.length[list]+len(acks)-len(have), 0)
		p.length[list] = len(have)
	}
	sum := 0
	for i := range cutAccounts {
		sum += int(p.ask(server.addr, "INCRBY", fmt.Sprint("account", i), "0").Int)
	}
	if sum != 0 {
		p.t.Errorf("%s: the accounts have %d together: a transaction is not whole", p.policy, sum)
	}
}

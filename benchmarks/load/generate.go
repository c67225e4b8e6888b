package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"fulmen/benchmarks/stat"
)

// Plan is one run of Generate. It ends after Requests commands (if not 0), after Duration (if not 0), or at the end
// of the input (UntilEOF), whichever comes first, and fails after Deadline.
type Plan struct {
	Addr       string        `json:"addr"`
	Work       Work          `json:"work"`
	Sequential bool          `json:"sequential"` // keys in ascending order instead of random ones
	PerSecond  float64       `json:"per_second"` // 0: closed loop; else open loop: commands per second, one at a time
	Spin       bool          `json:"spin"`       // open loop: never sleep; exact where the client has a core of its own
	Requests   uint64        `json:"requests"`
	Duration   time.Duration `json:"duration_ns"`
	UntilEOF   bool          `json:"until_eof"`
	Deadline   time.Duration `json:"deadline_ns"` // 0: Duration and a minute
	Seed       uint64        `json:"seed"`
	From       uint64        `json:"from"` // what "^" of a script stands for first
}

// maxPending bounds the commands that an open loop has under way on one connection.
const maxPending = 1 << 16

// generator is the state of one Generate: one thread, one epoll, some connections.
type generator struct {
	plan    Plan
	epoll   int
	timer   int // wakes a sleeping open loop at its next send time; -1 in a closed loop
	conns   []*link
	byFD    map[int32]*link
	rnd     random
	nextKey uint64
	sent    uint64 // what "^" stands for next
	issued  uint64
	done    uint64
	start   time.Time
	next    time.Time // open loop: intended time of the next command
	turn    int       // open loop: connection of the next command
	latency stat.Histogram
	in      []byte
	ended   atomic.Bool // the input has ended
}

// link is one connection.
type link struct {
	fd       int
	template []byte // Work.Pipeline commands (one in an open loop); the digits of the keys are overwritten each time
	digits   []int  // where the 12 digits of each key are in template
	marks    []byte // of a script: what stands for each of them there, '=' for a further "#" of a command
	half     int    // the offset of the second half of a mix's template: its SET
	values   []int  // where each value written begins in template, if they are to be random
	out      []byte // what the socket has not taken yet
	writing  bool   // epoll also waits until the socket takes more
	in       replies
	pending  int
	sent     time.Time   // closed loop: when the pipeline was sent
	intended []time.Time // open loop: a ring of the intended send times of pending commands
	head     int
}

// Generate runs a plan on the calling goroutine's thread. input is read only for its end, and only if it is not nil.
func Generate(plan Plan, input io.Reader) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if plan.Deadline == 0 {
		plan.Deadline = plan.Duration + time.Minute
	}
	g := &generator{plan: plan, rnd: random{state: plan.Seed}, timer: -1, sent: plan.From}
	g.byFD, g.in = map[int32]*link{}, make([]byte, 64<<10)
	defer g.close()
	if err := g.open(); err != nil {
		return Result{}, err
	}
	if input != nil {
		go func() {
			_, _ = io.Copy(io.Discard, input) // Whatever ends the input ends the run.
			g.ended.Store(true)
		}()
	}
	if err := g.loop(); err != nil {
		return Result{}, err
	}
	h := &g.latency
	return Result{
		Commands: g.done, Elapsed: time.Since(g.start), Max: h.Max(),
		P50: h.Quantile(0.5), P99: h.Quantile(0.99), P999: h.Quantile(0.999), P9999: h.Quantile(0.9999),
		Next: g.sent,
	}, nil
}

func (g *generator) open() (err error) {
	work := g.plan.Work
	if work.Clients < 1 || work.Pipeline < 1 || work.Keys < 1 {
		return fmt.Errorf("load: needs clients, pipeline and keys, has %+v", work)
	}
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("load: epoll: %w", err)
	}
	if g.plan.PerSecond > 0 {
		if g.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
			return fmt.Errorf("load: timerfd: %w", err)
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(g.timer)}
		if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, g.timer, &event); err != nil {
			return fmt.Errorf("load: epoll: %w", err)
		}
	}
	for range work.Clients {
		fd, err := dial(g.plan.Addr)
		if err != nil {
			return err
		}
		c := &link{fd: fd}
		g.conns = append(g.conns, c)
		g.byFD[int32(fd)] = c
		if g.plan.PerSecond > 0 {
			work.Pipeline = 1
			c.intended = make([]time.Time, maxPending)
		}
		if err := c.prepare(work); err != nil {
			return err
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return fmt.Errorf("load: epoll: %w", err)
		}
	}
	return nil
}

func (g *generator) close() {
	for _, c := range g.conns {
		_ = unix.Close(c.fd) // Nothing to be done about it at the end.
	}
	for _, fd := range []int{g.timer, g.epoll} {
		if fd > 0 {
			_ = unix.Close(fd)
		}
	}
}

// dial opens a non-blocking TCP connection to a numeric IPv4 address.
func dial(addr string) (int, error) {
	target, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("load: socket: %w", err)
	}
	to := &unix.SockaddrInet4{Port: target.Port, Addr: [4]byte(target.IP.To4())}
	err = errors.Join(unix.Connect(fd, to), unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetNonblock(fd, true))
	if err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("load: connect %s: %w", addr, err)
	}
	return fd, nil
}

// prepareScript builds the template of a work with a script.
func (c *link) prepareScript(work Work) error {
	commands := strings.Split(work.Script, "; ")
	if work.Pipeline%len(commands) != 0 {
		return fmt.Errorf("load: %d commands by turns don't fit pipeline %d", len(commands), work.Pipeline)
	}
	for i := range work.Pipeline {
		words, own := strings.Fields(commands[i%len(commands)]), false
		c.template = fmt.Appendf(c.template, "*%d\r\n", len(words))
		for _, word := range words {
			at := strings.IndexAny(word, "#@~%^")
			if at < 0 {
				c.template = appendBulk(c.template, []byte(word))
				continue
			}
			bulk := word[:at] + strings.Repeat("0", numberWidth(word[at])) + word[at+1:]
			c.template = appendBulk(c.template, []byte(bulk))
			c.digits = append(c.digits, len(c.template)-2-len(bulk)+at)
			mark := word[at]
			if mark == '#' && own {
				mark = '='
			}
			c.marks = append(c.marks, mark)
			own = own || mark == '#'
		}
	}
	return nil
}

// prepare builds the connection's template.
func (c *link) prepare(work Work) error {
	if work.Script != "" {
		return c.prepareScript(work)
	}
	value := make([]byte, work.ValueBytes)
	for i := range value {
		value[i] = 'x'
	}
	key := func() {
		c.template = append(c.template, "$16\r\n"...)
		c.template = appendKey(c.template, "key:", 0)
		c.digits = append(c.digits, len(c.template)-12)
		c.template = append(c.template, '\r', '\n')
	}
	get := func() {
		c.template = append(c.template, "*2\r\n$3\r\nGET\r\n"...)
		key()
	}
	set := func() {
		c.template = append(c.template, "*3\r\n$3\r\nSET\r\n"...)
		key()
		c.template = appendBulk(c.template, value)
		if work.RandomValues {
			c.values = append(c.values, len(c.template)-2-len(value))
		}
	}
	for i := range work.Pipeline {
		switch work.Command {
		case "get":
			get()
		case "set":
			set()
		case "mset":
			c.template = append(c.template, "*21\r\n$4\r\nMSET\r\n"...)
			for range msetKeys {
				key()
				c.template = appendBulk(c.template, value)
			}
		case "mix":
			if work.Pipeline == 1 {
				get()
				c.half = len(c.template)
				set()
			} else if i%2 == 0 {
				get()
			} else {
				set()
			}
		default:
			return fmt.Errorf("load: unknown command %q", work.Command)
		}
	}
	return nil
}

func (g *generator) loop() error {
	g.start = time.Now()
	g.next = g.start
	deadline := g.start.Add(g.plan.Deadline)
	if g.plan.PerSecond <= 0 {
		for _, c := range g.conns {
			if g.wantsMore(g.start) {
				if err := g.sendPipeline(c, g.start); err != nil {
					return err
				}
			}
		}
	}
	events := make([]unix.EpollEvent, 256)
	for {
		now := time.Now()
		more := g.wantsMore(now)
		if !more && g.issued == g.done {
			return nil
		}
		if now.After(deadline) {
			return fmt.Errorf("load: %s: %d of %d commands answered after %v",
				g.plan.Work, g.done, g.issued, g.plan.Deadline)
		}
		timeoutMs := 100
		if more && g.plan.PerSecond > 0 {
			if err := g.sendDue(now); err != nil {
				return err
			}
			if g.plan.Spin {
				timeoutMs = 0
			} else if err := g.armTimer(); err != nil {
				return err
			}
		}
		n, err := unix.EpollWait(g.epoll, events, timeoutMs)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("load: epoll: %w", err)
		}
		for i := range max(n, 0) {
			if err := g.handle(events[i]); err != nil {
				return err
			}
		}
	}
}

func (g *generator) wantsMore(now time.Time) bool {
	p := &g.plan
	return (p.Requests == 0 || g.issued < p.Requests) &&
		(p.Duration == 0 || now.Sub(g.start) < p.Duration) && !g.ended.Load()
}

func (g *generator) handle(event unix.EpollEvent) error {
	c := g.byFD[event.Fd]
	if c == nil {
		return nil // The timer: the loop looks at the clock anyway.
	}
	if event.Events&unix.EPOLLOUT != 0 {
		if err := g.flush(c); err != nil {
			return err
		}
	}
	if event.Events&^uint32(unix.EPOLLOUT) == 0 {
		return nil
	}
	n, err := unix.Read(c.fd, g.in)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load: read: %w", err)
	}
	if n == 0 {
		return errors.New("load: the server closed a connection")
	}
	complete, err := c.in.feed(g.in[:n])
	if err != nil {
		return err
	}
	if complete > c.pending {
		return errors.New("load: more replies than commands")
	}
	now := time.Now()
	c.pending -= complete
	g.done += uint64(complete)
	if g.plan.PerSecond > 0 {
		for range complete {
			g.latency.Record(now.Sub(c.intended[c.head]), 1)
			c.head = (c.head + 1) % maxPending
		}
		return nil
	}
	g.latency.Record(now.Sub(c.sent), uint64(complete))
	if c.pending == 0 && g.wantsMore(now) {
		return g.sendPipeline(c, now)
	}
	return nil
}

// sendPipeline sends the connection's next commands of a closed loop.
func (g *generator) sendPipeline(c *link, now time.Time) error {
	n := g.plan.Work.Pipeline
	out, digits := c.template, c.digits
	if c.half > 0 {
		out, digits = g.alternate(c)
	}
	g.putKeys(c, digits)
	g.putValues(c, len(out))
	c.sent = now
	c.pending = n
	g.issued += uint64(n)
	c.out = append(c.out, out...)
	return g.flush(c)
}

// alternate picks the GET or the SET of a mix's template, in turn.
func (g *generator) alternate(c *link) (out []byte, digits []int) {
	if g.issued%2 == 0 {
		return c.template[:c.half], c.digits[:1]
	}
	return c.template[c.half:], c.digits[1:]
}

func (g *generator) putKeys(c *link, digits []int) {
	own := uint64(0) // of the present command of a script
	for i, at := range digits {
		mark := byte('#')
		if c.marks != nil {
			mark = c.marks[i]
		}
		n := own
		switch {
		case mark == '=':
		case mark == '^':
			n = g.sent
			g.sent++
		case mark == '%':
			n = g.rnd.next() % 1e12
		case g.plan.Sequential && mark != '@':
			n = g.nextKey
			g.nextKey = (g.nextKey + 1) % g.plan.Work.Keys
		default:
			n = g.rnd.next() % g.plan.Work.Keys
		}
		if mark == '#' {
			own = n
		}
		putDigits(c.template[at:at+numberWidth(mark)], n)
	}
}

// putValues puts new random bytes into the values of the template; n is the length of what is going to be sent.
func (g *generator) putValues(c *link, n int) {
	if c.half > 0 && n == c.half {
		return // a GET
	}
	for _, at := range c.values {
		for value := c.template[at : at+g.plan.Work.ValueBytes]; len(value) > 0; {
			var eight [8]byte
			binary.LittleEndian.PutUint64(eight[:], g.rnd.next())
			value = value[copy(value, eight[:]):]
		}
	}
}

// numberWidth returns how many digits stand for a mark.
func numberWidth(mark byte) int {
	if mark == '~' {
		return 10
	}
	return 12
}

// sendDue sends every command of an open loop whose time has come.
func (g *generator) sendDue(now time.Time) error {
	for !g.next.After(now) {
		c := g.conns[g.turn]
		g.turn = (g.turn + 1) % len(g.conns)
		if c.pending == maxPending {
			return fmt.Errorf("load: the server is %d commands behind on one connection", c.pending)
		}
		out, digits := c.template, c.digits
		if c.half > 0 {
			out, digits = g.alternate(c)
		}
		g.putKeys(c, digits)
		g.putValues(c, len(out))
		c.intended[(c.head+c.pending)%maxPending] = g.next
		c.pending++
		g.issued++
		c.out = append(c.out, out...)
		if err := g.flush(c); err != nil {
			return err
		}
		// Independent clients arrive at exponential distances.
		g.next = g.next.Add(time.Duration(-math.Log(g.rnd.unit()) / g.plan.PerSecond * float64(time.Second)))
	}
	return nil
}

// armTimer wakes epoll at the next send time.
func (g *generator) armTimer() error {
	wait := max(time.Until(g.next), 1)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	if err := unix.TimerfdSettime(g.timer, 0, &spec, nil); err != nil {
		return fmt.Errorf("load: timerfd: %w", err)
	}
	return nil
}

// flush gives the socket what it takes and asks epoll for the rest.
func (g *generator) flush(c *link) error {
	n := 0
	for n < len(c.out) {
		written, err := unix.Write(c.fd, c.out[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return fmt.Errorf("load: write: %w", err)
		}
		n += written
	}
	c.out = c.out[:copy(c.out, c.out[n:])]
	if writing := len(c.out) > 0; writing != c.writing {
		c.writing = writing
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}
		if writing {
			event.Events |= unix.EPOLLOUT
		}
		if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_MOD, c.fd, &event); err != nil {
			return fmt.Errorf("load: epoll: %w", err)
		}
	}
	return nil
}

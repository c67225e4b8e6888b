package server

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"fulmen/internal/resp"
)

const (
	// migrateIdleMs is how long a connection to a target is kept for the next MIGRATE, migrateIdle how many are.
	migrateIdleMs = 10_000
	migrateIdle   = 64
	// migrateChunk is how much is written to a target before the timeout begins anew.
	migrateChunk = 64 << 10
	// migrateLine is the longest reply of a target that is understood.
	migrateLine = 4096
)

var (
	errMigrateConnect = &resp.Error{Code: "IOERR", Msg: "error or timeout connecting to the client"}
	errMigrateWrite   = &resp.Error{Code: "IOERR", Msg: "error or timeout writing to target instance"}
	errMigrateRead    = &resp.Error{Code: "IOERR", Msg: "error or timeout reading to target instance"}
)

// migrator has the connections to targets of MIGRATE and the goroutines that use them. Safe from any goroutine; the
// zero value is ready for use.
type migrator struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	closed bool
	cancel context.CancelFunc // nil before the first
	ctx    context.Context
	idle   []*migrateConn // the one used last at the end
	busy   map[*migrateConn]bool
}

// migrateConn is a connection to a target.
type migrateConn struct {
	net    net.Conn
	in     *bufio.Reader
	addr   string
	db     int64 // selected there
	usedMs int64
}

// unknownDB is the database that is selected where nobody knows which.
const unknownDB = math.MinInt64

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// run does a round of a migration on a goroutine of its own, which posts its letter then.
func (g *migrator) run(m *migration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		m.err = errMigrateConnect
		m.s.conn.Loop().Post(&m.Letter)
		return
	}
	if g.ctx == nil {
		g.ctx, g.cancel = context.WithCancel(context.Background())
		g.busy = map[*migrateConn]bool{}
	}
	ctx := g.ctx
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		m.exchange(g, ctx)
		m.s.conn.Loop().Post(&m.Letter)
	}()
}

// close ends all connections and waits for the rounds that are under way.
func (g *migrator) close() {
	g.mu.Lock()
	g.closed = true
	if g.cancel != nil {
		g.cancel()
	}
	for c := range g.busy {
		_ = c.net.Close() // whoever uses it learns of it
	}
	for _, c := range g.idle {
		_ = c.net.Close()
	}
	g.idle = nil
	g.mu.Unlock()
	g.wg.Wait()
}

// cached returns how many connections are kept.
func (g *migrator) cached() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.idle)
}

// sweep closes connections that nobody has used for some time.
func (g *migrator) sweep(nowMs int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.idle) > 0 && nowMs-g.idle[0].usedMs > migrateIdleMs {
		_ = g.idle[0].net.Close()
		g.idle = g.idle[1:]
	}
}

// get returns a connection to an address, one that is kept if there is one.
func (g *migrator) get(ctx context.Context, addr string, timeout time.Duration) (*migrateConn, error) {
	g.mu.Lock()
	for i := len(g.idle) - 1; i >= 0; i-- {
		if c := g.idle[i]; c.addr == addr {
			g.idle = append(g.idle[:i:i], g.idle[i+1:]...)
			g.busy[c] = true
			g.mu.Unlock()
			return c, nil
		}
	}
	g.mu.Unlock()
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &migrateConn{net: conn, in: bufio.NewReaderSize(conn, migrateLine), addr: addr, db: unknownDB}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	g.busy[c] = true
	return c, nil
}

// put takes a connection back, to keep it or to close it.
func (g *migrator) put(c *migrateConn, keep bool, nowMs int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.busy, c)
	if !keep || g.closed {
		_ = c.net.Close() // of its errors those that matter were seen
		return
	}
	c.usedMs = nowMs
	if g.idle = append(g.idle, c); len(g.idle) > migrateIdle {
		_ = g.idle[0].net.Close()
		g.idle = g.idle[1:]
	}
}

// exchange sends the round's payloads and notes which were acknowledged, and the error if there was one. A connection
// that fails before anything was acknowledged is replaced once: it may have been closed at the other end long ago.
func (m *migration) exchange(g *migrator, ctx context.Context) {
	for try := 0; ; try++ {
		c, err := g.get(ctx, m.addr, time.Duration(m.timeoutMs)*time.Millisecond)
		if err != nil {
			if m.err = errMigrateConnect; errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) {
				m.err = errMigrateWrite // it is only then that Redis notices
			}
			return
		}
		e, replies, failure := m.over(c)
		g.put(c, failure == nil, m.s.srv.set.Clock.NowMs())
		if m.err = e; e != nil || failure == nil {
			return // what the target says is more than that it said no more
		}
		if replies > 0 || try > 0 || errors.Is(failure, os.ErrDeadlineExceeded) {
			m.err = errMigrateRead
			if errors.Is(failure, errMigrateWrite) {
				m.err = errMigrateWrite
			}
			return
		}
	}
}

// over is exchange over one connection: what the target said against it, how many RESTOREs it replied to, and why the
// connection can't be used any more.
func (m *migration) over(c *migrateConn) (said *resp.Error, replies int, failure error) {
	var head []byte
	if m.auth != nil {
		head = resp.AppendCommandStrings(head, m.auth...)
	}
	selects := c.db != m.migrateTarget.db
	if selects {
		head = resp.AppendCommandStrings(head, "SELECT", strconv.FormatInt(m.migrateTarget.db, 10))
	}
	for _, b := range [][]byte{head, m.body} {
		for len(b) > 0 {
			chunk := b[:min(len(b), migrateChunk)]
			m.extend(c)
			if _, err := c.net.Write(chunk); err != nil {
				return nil, 0, errors.Join(errMigrateWrite, err)
			}
			b = b[len(chunk):]
		}
	}
	c.db = unknownDB
	refusal := func() error {
		m.extend(c)
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] == '-' && said == nil {
			text := string(line[1:])
			for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
				text = text[:len(text)-1]
			}
			said = resp.Errorf("ERR", "Target instance replied with error: %s", text)
		}
		return nil
	}
	for _, due := range []bool{m.auth != nil, selects} {
		if due {
			if err := refusal(); err != nil {
				return nil, 0, err
			}
		}
	}
	refused := said // then no RESTORE has done what it should
	for i := range m.keys {
		before := said
		said = nil
		err := refusal()
		m.acked[i] = err == nil && said == nil && refused == nil
		if before != nil {
			said = before
		}
		if err != nil {
			return said, i, err
		}
	}
	if said == nil {
		c.db = m.migrateTarget.db
	}
	return said, len(m.keys), nil
}

// extend begins the timeout anew.
func (m *migration) extend(c *migrateConn) {
	// It fails if the connection was closed, and so does what follows.
	_ = c.net.SetDeadline(time.UnixMilli(m.s.srv.set.Clock.NowMs() + m.timeoutMs))
}

// Package console shows a running server to its operators over HTTP: /metrics for Prometheus, /status as JSON for
// people and programs, /healthz for whoever restarts what is broken.
//
// It knows HTTP and the form of the figures; it knows no shard and no configuration. A Source gives it the figures,
// and its owner the listeners. Nothing can be changed through it, and it asks for no password: who may reach its
// address may read, but for pages that a browser was lured into asking for under another name: requests have to name
// the console by its own address or name.
//
// # Ownership
//
// A Console is used from any goroutine. Each request runs on a goroutine of net/http, away from the event loops, and
// meets them only in what the Source reads. The Source is not asked after the channel that Stop returns is closed.
//
// # Bounds
//
// Connections, the time for a header, a request, a reply and between requests, the size of headers, and the number of
// reports made at the same time are all limited (see limits). Bodies are not read: a request that brings one is refused
// and its connection closed. A connection too many is closed unanswered, a report too many answered with 503.
package console

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Source is the server as the console sees it. Its methods are called from any goroutine.
type Source interface {
	// Status gives all figures as they are now. The result is the caller's own. It must not wait for anything that
	// a client's command can hold up.
	Status() *Status
	// Health is nil if the server serves, else it says why not. It is asked often and must be quick.
	Health() error
}

// limits bound what clients of the console can make it hold.
type limits struct {
	conns       int           // open connections; more are closed
	reports     int           // reports made at the same time; more wait
	wait        time.Duration // for one's turn to make a report
	header      time.Duration // to send a request's header
	request     time.Duration // to send a whole request
	reply       time.Duration // to take the reply
	idle        time.Duration // between two requests
	drain       time.Duration // for running requests when the console stops
	headerBytes int
}

// standardLimits leave room for some dashboards and scrapers. The descriptors come out of those that the server
// reserves beside its clients'.
var standardLimits = limits{
	conns: 32, reports: 2, wait: time.Second,
	header: 5 * time.Second, request: 10 * time.Second, reply: 10 * time.Second, idle: 30 * time.Second,
	drain: time.Second, headerBytes: 8 << 10,
}

// Console serves the figures of one Source until it is stopped.
type Console struct {
	source  Source
	limits  limits
	log     func(text string)
	http    http.Server
	metrics *metrics.Set
	conns   chan struct{} // a token for each open connection
	reports chan struct{} // a token for each report that is being made
	serving sync.WaitGroup
	// hosts are what requests may name beside loopback addresses, in lower case.
	hosts      []string
	anyAddress bool // they may name any address

	mu        sync.Mutex
	listeners []net.Listener
	stopped   chan struct{} // nil until Stop
}

// New gives a console that does not listen yet. bind are the addresses that it is configured to listen on: a request
// that names another host is refused. log gets lines about clients that misbehave and sockets that fail.
func New(source Source, bind []string, log func(text string)) *Console {
	c := newConsole(source, log, standardLimits)
	c.takeHosts(bind)
	return c
}

func newConsole(source Source, logLine func(text string), l limits) *Console {
	c := &Console{
		source: source, limits: l, log: logLine,
		conns: make(chan struct{}, l.conns), reports: make(chan struct{}, l.reports),
		metrics: metrics.NewSet(),
	}
	c.metrics.RegisterMetricsWriter(c.writeMetrics)
	c.http = http.Server{
		Handler:           c.handler(),
		ReadHeaderTimeout: l.header,
		ReadTimeout:       l.request,
		WriteTimeout:      l.reply,
		IdleTimeout:       l.idle,
		MaxHeaderBytes:    l.headerBytes,
		ErrorLog:          log.New(lineWriter(logLine), "", 0),

		DisableGeneralOptionsHandler: true,
	}
	return c
}

// lineWriter fits a function to the logger that net/http wants.
type lineWriter func(text string)

// Write implements io.Writer; it is given one line at a time.
func (w lineWriter) Write(p []byte) (int, error) {
	w("http console: " + string(p[:max(len(p)-1, 0)]))
	return len(p), nil
}

// Serve serves connections of ln from now on, and closes it when the console stops.
func (c *Console) Serve(ln net.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		_ = ln.Close() // nobody has connected
		return
	}
	c.listeners = append(c.listeners, ln)
	c.serving.Go(func() {
		err := c.http.Serve(&boundedListener{ln, c.conns})
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			c.log("http console: serving " + ln.Addr().String() + ": " + err.Error())
		}
	})
}

// Stop closes the listeners at once, so that their addresses are free when it returns, and lets requests that are
// running end for a second. The channel is closed when the connections are gone and the Source is no longer in use.
func (c *Console) Stop() (done <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return c.stopped
	}
	c.stopped = make(chan struct{})
	for _, ln := range c.listeners {
		_ = ln.Close() // it is out of use whatever close(2) says
	}
	go c.finish()
	return c.stopped
}

func (c *Console) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), c.limits.drain)
	defer cancel()
	_ = c.http.Shutdown(ctx) // its errors: time is up, or a listener was closed before
	_ = c.http.Close()
	c.serving.Wait()
	// net/http does not wait for handlers; whoever has all tokens knows that none is left in the Source.
	for range c.limits.reports {
		c.reports <- struct{}{}
	}
	close(c.stopped)
}

// boundedListener closes connections beyond a limit as soon as they are accepted.
type boundedListener struct {
	net.Listener
	tokens chan struct{}
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.tokens <- struct{}{}:
			return &boundedConn{Conn: nc, tokens: l.tokens}, nil
		default:
			_ = nc.Close() // refused
		}
	}
}

// boundedConn gives its token back when it is closed.
type boundedConn struct {
	net.Conn
	tokens chan struct{}
	once   sync.Once
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.tokens })
	return err
}

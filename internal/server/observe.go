package server

import (
	"math"
	"slices"
	"strings"
	"sync"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// observation is what the server notes of commands: who asks for it, and what the slow log and the latency monitor
// have kept.
type observation struct {
	mu       sync.Mutex // guards what follows, and the making of Server.observers
	tracking bool
	slowNs   int64 // from which a call is slow, MaxInt64: none is
	eventNs  int64 // from which a call is an event of the latency monitor, MaxInt64: none is
	monitors []*monitor

	slowLog slowLog
	latency latencyMonitor
}

// observe takes over parameters.
func (srv *Server) observe(v *config.Values) {
	o := &srv.observation
	o.slowLog.setMax(v.SlowLogEntries)
	o.latency.setThreshold(v.LatencyFromMs)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tracking = v.LatencyTracking
	o.slowNs, o.eventNs = math.MaxInt64, math.MaxInt64
	if us := v.SlowLogFromUs; us >= 0 && us <= math.MaxInt64/1_000 {
		o.slowNs = us * 1_000
	}
	if ms := v.LatencyFromMs; ms > 0 && ms <= math.MaxInt64/1_000_000 {
		o.eventNs = ms * 1_000_000
	}
	srv.publishObservers()
}

// publishObservers has calls observed as the observation's fields say; with its lock held.
func (srv *Server) publishObservers() {
	o := &srv.observation
	next := &command.Observers{Tracking: o.tracking, FromNs: min(o.slowNs, o.eventNs)}
	monitors, slowNs, eventNs := slices.Clone(o.monitors), o.slowNs, o.eventNs
	if len(monitors) > 0 {
		next.FromNs = 0
	}
	if len(monitors) > 0 {
		next.Begins = func(c *command.Ctx, row *command.Row) { srv.feedMonitors(monitors, c, row) }
	}
	next.Observe = func(c *command.Ctx, row *command.Row, ns int64) {
		if ns >= slowNs && !c.Wait.On && row.Flags&command.SkipSlowlog == 0 {
			srv.noteSlow(c, row, ns)
		}
		if ns >= eventNs && !c.Wait.On {
			srv.observation.latency.add(commandEvent(row), ns, c.NowMs)
		}
		if len(monitors) > 0 && !c.Woken && row.Flags&(command.SkipMonitor|command.Admin) == 0 {
			srv.feedMonitors(monitors, c, row)
		}
	}
	srv.observers.Store(next)
}

// commandEvent names a call for the latency monitor.
func commandEvent(row *command.Row) string {
	if row.Flags&command.Fast != 0 {
		return "fast-command"
	}
	return "command"
}

// redacted stands for what must not be shown.
const redacted = "(redacted)"

// shownArgs returns the arguments of a call without its secrets.
func shownArgs(row *command.Row, args [][]byte) [][]byte {
	if row.Secret == nil {
		return args
	}
	secret := row.Secret(nil, args)
	if len(secret) == 0 {
		return args
	}
	args = slices.Clone(args)
	for _, i := range secret {
		args[i] = []byte(redacted)
	}
	return args
}

// secretOfAuth: whatever AUTH is given, unless it is too much.
func secretOfAuth(dst []int, args [][]byte) []int {
	if len(args) > 3 {
		return dst
	}
	for i := 1; i < len(args); i++ {
		dst = append(dst, i)
	}
	return dst
}

// secretOfHello: user and password behind the option AUTH.
func secretOfHello(dst []int, args [][]byte) []int {
	for i := 2; i < len(args); {
		switch word := cString(args[i]); {
		case strings.EqualFold(word, "auth") && i+2 < len(args):
			dst = append(dst, i+1, i+2)
			i += 3
		case strings.EqualFold(word, "setname"):
			i += 2
		default:
			return dst
		}
	}
	return dst
}

// secretOfConfigSet: values of parameters that must not be shown.
func secretOfConfigSet(dst []int, args [][]byte) []int {
	for i := 2; i+1 < len(args); i += 2 {
		if config.Sensitive(string(args[i])) {
			dst = append(dst, i+1)
		}
	}
	return dst
}

// appendArgs appends arguments as MONITOR shows them.
func appendArgs(dst []byte, args [][]byte) []byte {
	for i, a := range args {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = resp.AppendQuoted(dst, a)
	}
	return dst
}

package server

import (
	"slices"
	"strconv"
	"sync/atomic"

	"fulmen/internal/resp"
	"fulmen/reactor"
	"fulmen/shard/command"
)

// monitorPendingBytes is how much a monitor's loop may be behind with taking over lines before the monitor is cut.
// What it has taken over counts as the client's output and is bounded as that.
const monitorPendingBytes = 64 << 20

// monitor is a session that is shown all commands. Whoever executes one pushes a line onto its stack, in the order of
// execution; a letter has the session's own loop send them.
type monitor struct {
	reactor.Letter
	s *Session

	// Atomic.
	lines   atomic.Pointer[monitorLine]
	posted  atomic.Bool  // the letter is under way
	pending atomic.Int64 // bytes of lines
}

// monitorLine is a line on a monitor's stack; text is shared between monitors.
type monitorLine struct {
	next *monitorLine
	text []byte
}

func monitorRow() *command.Row {
	return &command.Row{Info: command.Info{
		Name: "monitor", Arity: 1, Flags: command.Admin | command.NoScript | command.Loading | command.Stale,
		Group: "server", Since: "1.0.0", Summary: "Listen for all requests received by the server in real time",
	}, RunSession: onSession(cmdMonitor)}
}

// MONITOR
func cmdMonitor(s *Session) error {
	if s.executing {
		return resp.Errorf("ERR", "MONITOR isn't allowed for DENY BLOCKING client")
	}
	if s.monitor != nil || s.follower.Load() != nil {
		return nil // as Redis: no reply
	}
	s.monitor = &monitor{s: s}
	s.monitor.Letter.To = s.monitor
	s.monitoring.Store(true)
	s.refresh()
	o := &s.srv.observation
	o.mu.Lock()
	o.monitors = append(o.monitors, s.monitor)
	s.srv.publishObservers()
	o.mu.Unlock()
	s.c.Observers = s.srv.observers.Load() // for the rest of the batch
	s.c.OK()
	return nil
}

// endMonitor ends what MONITOR began, if it did. What was pushed before is sent before the reply.
func (s *Session) endMonitor() {
	m := s.monitor
	if m == nil {
		return
	}
	s.monitor = nil
	s.monitoring.Store(false)
	s.refresh()
	o := &s.srv.observation
	o.mu.Lock()
	o.monitors = slices.DeleteFunc(o.monitors, func(x *monitor) bool { return x == m })
	s.srv.publishObservers()
	o.mu.Unlock()
	if !s.closed && s.reply == replyOn {
		s.c.Out = append(s.c.Out, m.take()...)
	}
}

// feedMonitors shows a call to the monitors. It runs on the loop that executes, mostly under a baton.
func (srv *Server) feedMonitors(monitors []*monitor, c *command.Ctx, row *command.Row) {
	text := srv.monitorText(c, row)
	for _, m := range monitors {
		m.push(text)
	}
}

// monitorText is a call's line: time, database, client and arguments.
func (srv *Server) monitorText(c *command.Ctx, row *command.Row) []byte {
	const guess = 128
	us := srv.set.Clock.NowUs()
	text := append(make([]byte, 0, guess), '+')
	text = strconv.AppendInt(text, us/1e6, 10)
	text = append(text, '.')
	micros := strconv.AppendInt(nil, us%1e6+1e6, 10) // a 1 in front keeps leading zeros
	text = append(text, micros[1:]...)
	text = append(text, " ["...)
	text = strconv.AppendInt(text, int64(c.DBID), 10)
	text = append(text, ' ')
	s := c.Session.(*Session)
	if c.Scripted {
		text = append(text, "lua"...)
	} else if path, isUnix := s.unixPath(); isUnix {
		text = append(append(text, "unix:"...), path...)
	} else {
		text = append(text, s.addr...)
	}
	text = append(text, "] "...)
	text = appendArgs(text, shownArgs(row, c.Args))
	return append(text, "\r\n"...)
}

// push hands a line to the monitor's loop. A monitor whose loop is too far behind is cut.
func (m *monitor) push(text []byte) {
	if m.pending.Add(int64(len(text))) > monitorPendingBytes {
		m.s.killFromAfar()
		return
	}
	line := &monitorLine{text: text}
	for {
		line.next = m.lines.Load()
		if m.lines.CompareAndSwap(line.next, line) {
			break
		}
	}
	if m.posted.CompareAndSwap(false, true) {
		m.s.conn.Loop().Post(&m.Letter)
	}
}

// take returns the lines that were pushed, in their order.
func (m *monitor) take() []byte {
	var first *monitorLine
	size := 0
	for line := m.lines.Swap(nil); line != nil; {
		next := line.next
		line.next = first
		first = line
		size += len(line.text)
		line = next
	}
	m.pending.Add(int64(-size))
	out := make([]byte, 0, size)
	for ; first != nil; first = first.next {
		out = append(out, first.text...)
	}
	return out
}

// Deliver implements reactor.Recipient on the session's loop: it sends what was pushed.
func (m *monitor) Deliver(*reactor.Loop, *reactor.Letter) {
	m.posted.Store(false)
	if lines := m.take(); !m.s.closed && m.s.monitor == m && m.s.reply == replyOn {
		m.s.write(lines, true)
	}
}

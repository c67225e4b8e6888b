package server

import (
	"fmt"
	"sync"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// The slow log keeps so many arguments of a command, and so many bytes of each.
const (
	slowArgs     = 32
	slowArgBytes = 128
)

// slowEntry is a slow command.
type slowEntry struct {
	id, timeSec, us int64
	args            [][]byte
	addr, name      string
}

// slowLog keeps the latest slow commands, the oldest first. Safe from any goroutine; its lock is taken for slow
// commands and by SLOWLOG.
type slowLog struct {
	mu      sync.Mutex
	max     int64
	nextID  int64
	entries []slowEntry
}

func (l *slowLog) setMax(n int64) {
	l.mu.Lock()
	l.max = n
	l.trim()
	l.mu.Unlock()
}

// trim drops what is too much; with the lock held.
func (l *slowLog) trim() {
	if over := int64(len(l.entries)) - l.max; over > 0 {
		clear(l.entries[:over])
		l.entries = l.entries[over:]
	}
}

func (l *slowLog) add(e slowEntry) {
	l.mu.Lock()
	e.id = l.nextID
	l.nextID++
	l.entries = append(l.entries, e)
	l.trim()
	l.mu.Unlock()
}

// latest returns up to n entries, the newest first; all of them if n is negative.
func (l *slowLog) latest(n int64) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := int64(len(l.entries))
	if n < 0 || n > have {
		n = have
	}
	out := make([]slowEntry, 0, n)
	for i := have - 1; i >= have-n; i-- {
		out = append(out, l.entries[i])
	}
	return out
}

func (l *slowLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *slowLog) reset() {
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
}

// noteSlow puts a call into the slow log. It may run on another loop than its session's.
func (srv *Server) noteSlow(c *command.Ctx, row *command.Row, ns int64) {
	s := c.Session.(*Session)
	addr, name := s.addr, orEmpty(s.name.Load())
	if c.Scripted {
		addr, name = "?:0", "" // scripts are no clients
	}
	srv.observation.slowLog.add(slowEntry{
		timeSec: srv.set.Clock.NowMs() / 1000, us: ns / 1000, args: slowArguments(shownArgs(row, c.Args)),
		addr: addr, name: name,
	})
}

// slowArguments copies arguments as far as the slow log keeps them.
func slowArguments(args [][]byte) [][]byte {
	kept := args
	if len(args) > slowArgs {
		kept = args[:slowArgs-1]
	}
	out := make([][]byte, 0, len(kept)+1)
	for _, a := range kept {
		if len(a) > slowArgBytes {
			a = fmt.Appendf(a[:slowArgBytes:slowArgBytes], "... (%d more bytes)", len(a)-slowArgBytes)
		} else {
			a = append([]byte(nil), a...)
		}
		out = append(out, a)
	}
	if len(args) > slowArgs {
		out = append(out, fmt.Appendf(nil, "... (%d more arguments)", len(args)-len(kept)))
	}
	return out
}

func slowlogRow() *command.Row {
	sub := func(name string, arity int, since, summary, complexity string, run func(*Session) error) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: arity, Flags: command.Admin | command.Loading | command.Stale, Group: "server",
			Since: since, Summary: summary, Complexity: complexity,
		}, RunSession: onSession(run)}
	}
	get := sub("get", -2, "2.2.12", "Get the slow log's entries", "O(N) where N is the number of entries returned",
		cmdSlowlogGet)
	get.Tips = []string{"request_policy:all_nodes", "nondeterministic_output"}
	get.History = []command.Change{{Since: "4.0.0", What: "Added client IP address, port and name to the reply."}}
	get.Args = "count:integer?"
	length := sub("len", 2, "2.2.12", "Get the slow log's length", "O(1)", cmdSlowlogLen)
	length.Tips = []string{"request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"}
	reset := sub("reset", 2, "2.2.12", "Clear all entries from the slow log",
		"O(N) where N is the number of entries in the slowlog", cmdSlowlogReset)
	reset.Tips = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	help := sub("help", 2, "6.2.0", "Show helpful text about the different subcommands", "O(1)", cmdSlowlogHelp)
	help.Flags &^= command.Admin
	return &command.Row{Info: command.Info{
		Name: "slowlog", Arity: -2, Group: "server", Since: "2.2.12", Summary: "A container for slow log commands",
		Complexity: "Depends on subcommand.",
	}, Subs: []*command.Row{get, help, length, reset}}
}

// SLOWLOG GET [count]
func cmdSlowlogGet(s *Session) error {
	n := int64(10)
	if len(s.c.Args) > 3 {
		return resp.ErrSubcommandSyntax(s.c.Args[0], s.c.Args[1])
	}
	if len(s.c.Args) == 3 {
		var ok bool
		if n, ok = resp.ParseInt(s.c.Args[2]); !ok || n < -1 {
			return resp.Errorf("ERR", "count should be greater than or equal to -1")
		}
	}
	entries := s.srv.observation.slowLog.latest(n)
	c := s.c
	c.Array(len(entries))
	for i := range entries {
		e := &entries[i]
		c.Array(6)
		c.Int(e.id)
		c.Int(e.timeSec)
		c.Int(e.us)
		c.Array(len(e.args))
		for _, a := range e.args {
			c.Bulk(a)
		}
		c.BulkString(e.addr)
		c.BulkString(e.name)
	}
	return nil
}

// SLOWLOG LEN
func cmdSlowlogLen(s *Session) error {
	s.c.Int(int64(s.srv.observation.slowLog.len()))
	return nil
}

// SLOWLOG RESET
func cmdSlowlogReset(s *Session) error {
	s.srv.observation.slowLog.reset()
	s.c.OK()
	return nil
}

// slowlogHelp is the text of SLOWLOG HELP but for what Help adds.
const slowlogHelp = `GET [<count>]
    Return top <count> entries from the slowlog (default: 10, -1 mean all).
    Entries are made of:
    id, timestamp, time in microseconds, arguments array, client IP and port,
    client name
LEN
    Return the length of the slowlog.
RESET
    Reset the slowlog.
`

// SLOWLOG HELP
func cmdSlowlogHelp(s *Session) error {
	s.c.Help(slowlogHelp)
	return nil
}

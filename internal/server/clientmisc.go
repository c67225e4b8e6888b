package server

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

var (
	errPauseMode        = resp.Errorf("ERR", "CLIENT PAUSE mode must be WRITE or ALL")
	errUnblockReason    = resp.Errorf("ERR", "CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	errTimeoutNoInteger = resp.Errorf("ERR", "timeout is not an integer or out of range")
	errTimeoutNegative  = resp.Errorf("ERR", "timeout is negative")
	errTimeoutRange     = resp.Errorf("ERR", "timeout is out of range")
)

// errSubcommandUse refuses a subcommand of CLIENT that has too many arguments.
func errSubcommandUse(name []byte) *resp.Error {
	return resp.Errorf("ERR", "unknown subcommand or wrong number of arguments for '%.128s'. Try CLIENT HELP.",
		cString(name))
}

// timeoutMs reads a timeout in milliseconds and returns when it ends; 0, a timeout of none, ends at 0.
func timeoutMs(arg []byte, nowMs int64) (endMs int64, err error) {
	n, ok := resp.ParseInt(arg)
	switch {
	case !ok:
		return 0, errTimeoutNoInteger
	case n < 0:
		return 0, errTimeoutNegative
	case n > math.MaxInt64-nowMs:
		return 0, errTimeoutRange
	case n == 0:
		return 0, nil
	}
	return nowMs + n, nil
}

func clientNoTouchRow() *command.Row {
	return clientSub("no-touch", 3, "7.2.0",
		"Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
		"enabled(ON|OFF)", cmdClientNoTouch)
}

func clientUnblockRow() *command.Row {
	row := clientSub("unblock", -3, "5.0.0",
		"Unblock a client blocked in a blocking command from a different connection",
		"client-id:integer timeout_error?(TIMEOUT|ERROR)", cmdClientUnblock)
	row.Flags |= command.Admin
	row.Complexity = "O(log N) where N is the number of client connections"
	return row
}

// CLIENT NO-TOUCH ON|OFF
func cmdClientNoTouch(s *Session) error {
	a := s.c.ArgsFrom(2)
	switch {
	case a.Option("on"):
		s.setNoTouch(true)
	case a.Option("off"):
		s.setNoTouch(false)
	default:
		return resp.ErrSyntax
	}
	s.c.OK()
	return nil
}

func (s *Session) setNoTouch(on bool) {
	s.noTouch.Store(on)
	s.c.NoTouch = on
}

// blocked is a command that waits for keys, as CLIENT UNBLOCK sees it.
type blocked interface {
	// Unblock ends the wait from any goroutine, with an error or as if its time were up, and tells whether it was
	// still on. The reply leaves on the session's own loop.
	Unblock(withError bool) bool
	// Timed tells whether the wait ends at some time. Safe from any goroutine.
	Timed() bool
	// RoleChanged ends the wait with an error, since the server is a replica now; all batons are held.
	RoleChanged()
}

// CLIENT UNBLOCK client-id [TIMEOUT|ERROR]
func cmdClientUnblock(s *Session) error {
	c := s.c
	if len(c.Args) > 4 {
		return errSubcommandUse(c.Args[1])
	}
	withError := false
	if a := c.ArgsFrom(3); a.More() && !a.Option("timeout") {
		if !a.Option("error") {
			return errUnblockReason
		}
		withError = true
	}
	id, ok := resp.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	done := false
	if x := s.srv.clients.find(uint64(id)); x != nil {
		if b := x.blocked.Load(); b != nil {
			done = (*b).Unblock(withError)
		}
	}
	c.Bool(done)
	return nil
}

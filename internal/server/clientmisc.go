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
	errNoTracking       = resp.Errorf("ERR", "CLIENT TRACKING ON is not supported yet")
	errCaching          = resp.Errorf("ERR", "CLIENT CACHING can be called only when the client is in tracking mode "+
		"with OPTIN or OPTOUT mode enabled")
	errOneRedirect   = resp.Errorf("ERR", "A client can only redirect to a single other client")
	errRedirectGone  = resp.Errorf("ERR", "The client ID you want redirect to does not exist")
	errPrefixNoBcast = resp.Errorf("ERR", "PREFIX option requires BCAST mode to be enabled")
	errOptBcast      = resp.Errorf("ERR", "OPTIN and OPTOUT are not compatible with BCAST")
	errBothOpts      = resp.Errorf("ERR", "You can't specify both OPTIN mode and OPTOUT mode")
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

// clientTrackingRows are the subcommands of client-side caching, of which there is none yet: what they say is what
// Redis says while a client tracks nothing.
func clientTrackingRows() []*command.Row {
	tracking := clientSub("tracking", -3, "6.0.0", "Enable or disable server assisted client side caching support",
		"status(ON|OFF) client-id:integer=REDIRECT? prefix=PREFIX?*+ BCAST? OPTIN? OPTOUT? NOLOOP?", cmdClientTracking)
	tracking.Complexity = "O(1). Some options may introduce additional complexity."
	return []*command.Row{
		clientSub("caching", 3, "6.0.0", "Instruct the server about tracking or not keys in the next request",
			"mode(YES|NO)", func(*Session) error { return errCaching }),
		clientSub("getredir", 2, "6.0.0", "Get tracking notifications redirection client ID if any", "",
			cmdClientGetRedir),
		tracking,
		clientSub("trackinginfo", 2, "6.2.0",
			"Return information about server assisted client side caching for the current connection", "",
			cmdClientTrackingInfo),
	}
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

// CLIENT GETREDIR
func cmdClientGetRedir(s *Session) error {
	s.c.Int(-1)
	return nil
}

// CLIENT TRACKINGINFO
func cmdClientTrackingInfo(s *Session) error {
	c := s.c
	c.Map(3)
	c.BulkString("flags")
	c.SetOf(1)
	c.BulkString("off")
	c.BulkString("redirect")
	c.Int(-1)
	c.BulkString("prefixes")
	c.Array(0)
	return nil
}

// trackingOptions are the options of CLIENT TRACKING.
type trackingOptions struct {
	redirect                     int64
	prefixes                     int
	bcast, optIn, optOut, noLoop bool
}

// CLIENT TRACKING ON|OFF [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]
func cmdClientTracking(s *Session) error {
	var o trackingOptions
	a := s.c.ArgsFrom(3)
	for a.More() {
		o.read(s, &a)
	}
	if err := a.Err(); err != nil {
		return err
	}
	status := s.c.ArgsFrom(2)
	switch {
	case status.Option("off"):
		s.c.OK()
		return nil
	case !status.Option("on"):
		return resp.ErrSyntax
	case !o.bcast && o.prefixes > 0:
		return errPrefixNoBcast
	case o.bcast && (o.optIn || o.optOut):
		return errOptBcast
	case o.optIn && o.optOut:
		return errBothOpts
	}
	return errNoTracking
}

// read reads one option; a has the error if there is one.
func (o *trackingOptions) read(s *Session, a *command.Args) {
	switch {
	case a.Left() > 1 && a.Option("redirect"):
		if o.redirect != 0 {
			a.Fail(errOneRedirect)
			return
		}
		if o.redirect = a.Int(); a.Err() == nil && s.srv.clients.find(uint64(o.redirect)) == nil {
			a.Fail(errRedirectGone)
		}
	case a.Option("bcast"):
		o.bcast = true
	case a.Option("optin"):
		o.optIn = true
	case a.Option("optout"):
		o.optOut = true
	case a.Option("noloop"):
		o.noLoop = true
	case a.Left() > 1 && a.Option("prefix"):
		a.Bytes()
		o.prefixes++
	default:
		a.Syntax()
	}
}

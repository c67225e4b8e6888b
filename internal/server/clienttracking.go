package server

import (
	"slices"
	"strings"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

var (
	errCaching = resp.Errorf("ERR", "CLIENT CACHING can be called only when the client is in tracking mode "+
		"with OPTIN or OPTOUT mode enabled")
	errCachingYes    = resp.Errorf("ERR", "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	errCachingNo     = resp.Errorf("ERR", "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	errOneRedirect   = resp.Errorf("ERR", "A client can only redirect to a single other client")
	errRedirectGone  = resp.Errorf("ERR", "The client ID you want redirect to does not exist")
	errPrefixNoBcast = resp.Errorf("ERR", "PREFIX option requires BCAST mode to be enabled")
	errOptBcast      = resp.Errorf("ERR", "OPTIN and OPTOUT are not compatible with BCAST")
	errBothOpts      = resp.Errorf("ERR", "You can't specify both OPTIN mode and OPTOUT mode")
	errSwitchBcast   = resp.Errorf("ERR", "You can't switch BCAST mode on/off before disabling tracking for this "+
		"client, and then re-enabling it with a different mode.")
	errSwitchOpts = resp.Errorf("ERR", "You can't switch OPTIN/OPTOUT mode before disabling tracking for this "+
		"client, and then re-enabling it with a different mode.")
)

// clientTrackingRows are the subcommands of client-side caching.
func clientTrackingRows() []*command.Row {
	tracking := clientSub("tracking", -3, "6.0.0", "Enable or disable server assisted client side caching support",
		"status(ON|OFF) client-id:integer=REDIRECT? prefix=PREFIX?*+ BCAST? OPTIN? OPTOUT? NOLOOP?", cmdClientTracking)
	tracking.Complexity = "O(1). Some options may introduce additional complexity."
	return []*command.Row{
		clientSub("caching", 3, "6.0.0", "Instruct the server about tracking or not keys in the next request",
			"mode(YES|NO)", cmdClientCaching),
		clientSub("getredir", 2, "6.0.0", "Get tracking notifications redirection client ID if any", "",
			cmdClientGetRedir),
		tracking,
		clientSub("trackinginfo", 2, "6.2.0",
			"Return information about server assisted client side caching for the current connection", "",
			cmdClientTrackingInfo),
	}
}

// CLIENT CACHING YES|NO
func cmdClientCaching(s *Session) error {
	t := s.tracker.Load()
	if !t.has(trackOn) {
		return errCaching
	}
	switch a := s.c.ArgsFrom(2); {
	case a.Option("yes"):
		if !t.has(trackOptIn) {
			return errCachingYes
		}
	case a.Option("no"):
		if !t.has(trackOptOut) {
			return errCachingNo
		}
	default:
		return resp.ErrSyntax
	}
	t.caching = true
	s.noteTracking()
	s.c.OK()
	return nil
}

// CLIENT GETREDIR
func cmdClientGetRedir(s *Session) error {
	s.c.Int(s.tracker.Load().redirectID())
	return nil
}

// CLIENT TRACKINGINFO
func cmdClientTrackingInfo(s *Session) error {
	c, t := s.c, s.tracker.Load()
	words := []string{"off"}
	var prefixes []string
	if t.has(trackOn) {
		prefixes = t.prefixes
		words[0] = "on"
		for _, f := range [...]struct {
			on   bool
			word string
		}{
			{t.has(trackBcast), "bcast"},
			{t.has(trackOptIn), "optin"},
			{t.has(trackOptIn) && t.caching, "caching-yes"},
			{t.has(trackOptOut), "optout"},
			{t.has(trackOptOut) && t.caching, "caching-no"},
			{t.has(trackNoLoop), "noloop"},
			{t.has(trackBroken), "broken_redirect"},
		} {
			if f.on {
				words = append(words, f.word)
			}
		}
	}
	c.Map(3)
	c.BulkString("flags")
	c.SetOf(len(words))
	for _, w := range words {
		c.BulkString(w)
	}
	c.BulkString("redirect")
	c.Int(t.redirectID())
	c.BulkString("prefixes")
	c.Array(len(prefixes))
	for _, p := range prefixes {
		c.BulkString(p)
	}
	return nil
}

// trackingOptions are the options of CLIENT TRACKING.
type trackingOptions struct {
	to       *redirection
	prefixes []string
	flags    trackerFlags
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
		s.untrack()
	case !status.Option("on"):
		return resp.ErrSyntax
	default:
		if err := o.check(s.tracker.Load()); err != nil {
			return err
		}
		s.track(o.flags, o.to, o.prefixes)
	}
	s.c.OK()
	return nil
}

// read reads one option; a has the error if there is one.
func (o *trackingOptions) read(s *Session, a *command.Args) {
	switch {
	case a.Left() > 1 && a.Option("redirect"):
		if o.to != nil {
			a.Fail(errOneRedirect)
			return
		}
		id := a.Int()
		if a.Err() != nil {
			return
		}
		to := s.srv.clients.find(uint64(id))
		if to == nil {
			a.Fail(errRedirectGone)
			return
		}
		o.to = &redirection{id: id, s: to}
	case a.Option("bcast"):
		o.flags |= trackBcast
	case a.Option("optin"):
		o.flags |= trackOptIn
	case a.Option("optout"):
		o.flags |= trackOptOut
	case a.Option("noloop"):
		o.flags |= trackNoLoop
	case a.Left() > 1 && a.Option("prefix"):
		o.prefixes = append(o.prefixes, string(a.Bytes()))
	default:
		a.Syntax()
	}
}

// check tells what forbids the options for a session that tracks as t does, which may be nil.
func (o *trackingOptions) check(t *tracker) error {
	const optional = trackOptIn | trackOptOut
	was := trackerFlags(0)
	if t != nil {
		was = t.flags.Load()
	}
	bcast := o.flags&trackBcast != 0
	switch {
	case !bcast && len(o.prefixes) > 0:
		return errPrefixNoBcast
	case was&trackOn != 0 && (was^o.flags)&trackBcast != 0:
		return errSwitchBcast
	case bcast && o.flags&optional != 0:
		return errOptBcast
	case o.flags&optional == optional:
		return errBothOpts
	case o.flags&optional != 0 && was&optional != 0 && (was^o.flags)&optional != 0:
		return errSwitchOpts
	case bcast && t != nil:
		return overlap(o.prefixes, t.prefixes)
	}
	return overlap(o.prefixes, nil)
}

// overlap tells which of some prefixes begins another, or one of those that the session has already, or the other way
// round.
func overlap(prefixes, had []string) error {
	i := firstOverlapping(prefixes, had)
	if i < 0 {
		return nil
	}
	p := prefixes[i]
	begins := func(q string) bool { return strings.HasPrefix(q, p) || strings.HasPrefix(p, q) }
	if k := slices.IndexFunc(had, begins); k >= 0 {
		return resp.Errorf("ERR", "Prefix '%s' overlaps with an existing prefix '%s'. Prefixes for a single "+
			"client must not overlap.", cString([]byte(p)), cString([]byte(had[k])))
	}
	q := prefixes[i+1+slices.IndexFunc(prefixes[i+1:], begins)]
	return resp.Errorf("ERR", "Prefix '%s' overlaps with another provided prefix '%s'. Prefixes for a single client "+
		"must not overlap.", cString([]byte(p)), cString([]byte(q)))
}

// firstOverlapping returns the first of some prefixes that begins another one, of these or of had, or that one of them
// begins; -1 if there is none. In order all that one begins come behind it, so that it is a matter of neighbours.
func firstOverlapping(prefixes, had []string) int {
	all := slices.Concat(prefixes, had)
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int { return strings.Compare(all[i], all[k]) })
	first, shortest := len(prefixes), -1
	for _, i := range order {
		if shortest >= 0 && strings.HasPrefix(all[i], all[shortest]) {
			first = min(first, i, shortest)
		} else {
			shortest = i
		}
	}
	if first == len(prefixes) {
		return -1
	}
	return first
}

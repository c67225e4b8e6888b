package server

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// killFilter says which clients CLIENT KILL means.
type killFilter struct {
	id       uint64  // 0: any
	addr     *string // nil: any
	laddr    *string
	kind     string // "": any
	minAgeMs int64  // 0: any
	keepSelf bool
}

func (f *killFilter) matches(x, self *Session) bool {
	switch {
	case f.id != 0 && x.id != f.id,
		f.addr != nil && x.addr != *f.addr,
		f.laddr != nil && x.laddr != *f.laddr,
		f.kind != "" && f.kind != x.kind(),
		f.minAgeMs > 0 && self.c.NowMs-x.born < f.minAgeMs,
		f.keepSelf && x == self:
		return false
	}
	return true
}

// CLIENT KILL ip:port | [ID client-id] [TYPE type] [USER username] [ADDR ip:port] [LADDR ip:port]
// [SKIPME YES|NO] [MAXAGE seconds]
func cmdClientKill(s *Session) error {
	if len(s.c.Args) == 3 {
		addr := cString(s.c.Args[2])
		if s.kill(&killFilter{addr: &addr}) == 0 {
			return resp.ErrNoSuchClient
		}
		s.c.OK()
		return nil
	}
	f := killFilter{keepSelf: true}
	a := s.c.ArgsFrom(2)
	for a.More() {
		if a.Left() < 2 {
			return resp.ErrSyntax
		}
		if e := f.read(&a); e != nil {
			return e
		}
	}
	if err := a.Err(); err != nil {
		return err
	}
	s.c.Int(int64(s.kill(&f)))
	return nil
}

// read reads one pair of option and value. The only user there is, is everybody's.
func (f *killFilter) read(a *command.Args) *resp.Error {
	switch {
	case a.Option("id"):
		n := a.IntOr(resp.ErrClientIDZero)
		if a.Err() != nil || n <= 0 {
			return resp.ErrClientIDZero
		}
		f.id = uint64(n)
	case a.Option("type"):
		kind, e := clientType(a.Bytes())
		if e != nil {
			return e
		}
		f.kind = kind
	case a.Option("addr"):
		addr := cString(a.Bytes())
		f.addr = &addr
	case a.Option("laddr"):
		laddr := cString(a.Bytes())
		f.laddr = &laddr
	case a.Option("user"):
		if user := a.Bytes(); string(user) != "default" {
			return resp.Errorf("ERR", "No such user '%s'", cString(user))
		}
	case a.Option("maxage"):
		return f.readMaxAge(a)
	case a.Option("skipme"):
		switch {
		case a.Option("yes"):
			f.keepSelf = true
		case a.Option("no"):
			f.keepSelf = false
		default:
			return resp.ErrSyntax
		}
	default:
		return resp.ErrSyntax
	}
	return nil
}

// readMaxAge reads the age in seconds from which a client is too old.
func (f *killFilter) readMaxAge(a *command.Args) *resp.Error {
	seconds := a.IntOr(resp.ErrMaxAge)
	switch {
	case a.Err() != nil:
		return resp.ErrMaxAge
	case seconds <= 0:
		return resp.ErrMaxAgeZero
	}
	f.minAgeMs = min(seconds, math.MaxInt64/1000) * 1000
	return nil
}

// killFromAfar has the session's loop close it. Safe from any goroutine.
func (s *Session) killFromAfar() {
	if s.killNow.CompareAndSwap(false, true) {
		s.conn.Loop().Post(&s.killMail)
	}
}

// kill closes the clients that match and returns their number. The session itself goes after its reply.
func (s *Session) kill(f *killFilter) (n int) {
	for _, x := range s.srv.clients.all() {
		if !f.matches(x, s) {
			continue
		}
		n++
		if x == s {
			s.killed = true
		} else {
			x.killFromAfar()
		}
	}
	return n
}

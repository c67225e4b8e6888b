package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func connectionRows() []*command.Row {
	anytime := command.NoScript | command.Loading | command.Stale | command.Fast | command.NoAuth | command.AllowBusy
	return []*command.Row{
		{Info: command.Info{
			Name: "ping", Arity: -1, Flags: command.Fast, Categories: command.CatConnection, Group: "connection",
			Since: "1.0.0", Summary: "Ping the server", Complexity: "O(1)",
			Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}, Args: "message?",
		}, Canary: true, Listener: true, RunSession: onSession(cmdPing)},
		{Info: command.Info{
			Name: "echo", Arity: 2, Flags: command.Loading | command.Stale | command.Fast,
			Categories: command.CatConnection, Group: "connection", Since: "1.0.0",
			Summary: "Echo the given string", Complexity: "O(1)", Args: "message",
		}, RunSession: onSession(cmdEcho)},
		{Info: command.Info{
			Name: "select", Arity: 2, Flags: command.Loading | command.Stale | command.Fast,
			Categories: command.CatConnection, Group: "connection", Since: "1.0.0",
			Summary: "Change the selected database for the current connection", Complexity: "O(1)",
			Args: "index:integer",
		}, RunSession: onSession(cmdSelect)},
		{Info: command.Info{
			Name: "auth", Arity: -2, Flags: anytime, Categories: command.CatConnection, Group: "connection",
			Since: "1.0.0", Summary: "Authenticate to the server",
			Complexity: "O(N) where N is the number of passwords defined for the user",
			History:    []command.Change{{Since: "6.0.0", What: "Added ACL style (username and password)."}},
			Args:       "username?@6.0.0 password",
		}, Secret: secretOfAuth, RunSession: onSession(cmdAuth)},
		{Info: command.Info{
			Name: "hello", Arity: -1, Flags: anytime, Categories: command.CatConnection, Group: "connection",
			Since: "6.0.0", Summary: "Handshake with Redis", Complexity: "O(1)",
			History: []command.Change{{Since: "6.2.0", What: "`protover` made optional; when called without " +
				"arguments " +
				"the command reports the current connection's context."}},
			Args: "arguments?(protover:integer username_password=AUTH?(username password) clientname=SETNAME?)",
		}, Secret: secretOfHello, RunSession: onSession(cmdHello)},
		{Info: command.Info{
			Name: "reset", Arity: 1, Flags: anytime, Categories: command.CatConnection, Group: "connection",
			Since: "6.2.0", Summary: "Reset the connection", Complexity: "O(1)",
		}, InMulti: true, EvenOOM: true, Listener: true, RunSession: onSession(cmdReset)},
		{Info: command.Info{
			Name: "quit", Arity: -1, Flags: anytime, Categories: command.CatConnection, Group: "connection",
			Since: "1.0.0", Summary: "Close the connection", Complexity: "O(1)",
		}, InMulti: true, EvenOOM: true, Listener: true, RunSession: onSession(cmdQuit)},
	}
}

// PING [message]
func cmdPing(s *Session) error {
	c := s.c
	switch message := c.Args[1:]; {
	case len(message) > 1:
		return resp.ErrWrongArity("ping")
	case s.listens(): // who waits for messages reads nothing else
		c.Array(2)
		c.BulkString("pong")
		c.Bulk(bytes.Join(message, nil))
	case len(message) == 1:
		c.Bulk(message[0])
	default:
		c.Simple("PONG")
	}
	return nil
}

// ECHO message
func cmdEcho(s *Session) error {
	s.c.Bulk(s.c.Args[1])
	return nil
}

// SELECT index
func cmdSelect(s *Session) error {
	a := s.c.ArgsFrom(1)
	id := s.c.DBIndex(&a)
	if a.Err() != nil {
		return a.Err()
	}
	s.selectDB(id)
	s.c.OK()
	return nil
}

// login checks a user's password; the only user is "default".
func (s *Session) login(user, pass []byte) *resp.Error {
	want := s.srv.cfg.Values().RequirePass
	if string(user) != "default" || (want != "" && !samePassword(pass, want)) {
		return resp.ErrWrongPass
	}
	s.setAuthed(true)
	return nil
}

// samePassword compares in a time that says nothing about either.
func samePassword(got []byte, want string) bool {
	a, b := sha256.Sum256(got), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// AUTH [username] password
func cmdAuth(s *Session) error {
	args := s.c.Args
	if len(args) > 3 {
		return resp.ErrSyntax
	}
	user, pass := []byte("default"), args[len(args)-1]
	if len(args) == 3 {
		user = args[1]
	} else if s.srv.cfg.Values().RequirePass == "" {
		return resp.ErrAuthNoPassword
	}
	if e := s.login(user, pass); e != nil {
		return e
	}
	s.c.OK()
	return nil
}

// HELLO [protover [AUTH username password] [SETNAME clientname]]
func cmdHello(s *Session) error {
	a := s.c.ArgsFrom(1)
	proto := s.proto
	if a.More() {
		proto = int(a.IntOr(resp.ErrProtoNotInteger))
		if a.Err() == nil && (proto < 2 || proto > 3) {
			return resp.ErrNoProto
		}
	}
	if err := a.Err(); err != nil {
		return err
	}
	// One option after the other takes effect, also those before one that fails.
	for a.More() {
		var e *resp.Error
		switch {
		case a.Left() >= 3 && a.Option("auth"):
			e = s.login(a.Bytes(), a.Bytes())
		case a.Left() >= 2 && a.Option("setname"):
			e = s.setName(a.Bytes())
		default:
			e = resp.ErrHelloOption(a.Bytes())
		}
		if e != nil {
			return e
		}
	}
	if !s.authed {
		return resp.ErrNoAuthHello
	}
	s.setProto(proto)
	c := s.c
	c.Map(7)
	c.BulkString("server")
	c.BulkString("redis")
	c.BulkString("version")
	c.BulkString(RedisVersion)
	c.BulkString("proto")
	c.Int(int64(proto))
	c.BulkString("id")
	c.Int(int64(s.id))
	c.BulkString("mode")
	c.BulkString("standalone")
	c.BulkString("role")
	c.BulkString("master")
	c.BulkString("modules")
	c.Array(0)
	return nil
}

var errNotNormal = resp.Errorf("ERR", "can only reset normal connections")

// RESET
func cmdReset(s *Session) error {
	if s.follower.Load() != nil {
		return errNotNormal
	}
	if s.multi != nil {
		s.endMulti()
	}
	s.forgetWatches()
	s.endMonitor()
	s.endSubscriptions()
	s.selectDB(0)
	s.setProto(2)
	s.name.Store(nil)
	s.noEvict.Store(false)
	s.setNoTouch(false)
	s.untrack()
	s.reply = replyOn
	s.setAuthed(s.srv.cfg.Values().RequirePass == "")
	s.c.Simple("RESET")
	return nil
}

// QUIT
func cmdQuit(s *Session) error {
	s.c.OK()
	s.killed = true
	return nil
}

package server

import (
	"fmt"
	"strings"

	"fulmen/internal/resp"
	"fulmen/replica"
	"fulmen/shard/command"
)

func replicaofRows() []*command.Row {
	row := func(name, since, summary string) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: 3, Flags: command.Admin | command.NoAsyncLoading | command.NoScript | command.Stale,
			Group: "server", Since: since, Summary: summary, Complexity: "O(1)",
			Args: "args(host-port(host port:integer)|no-one(NO ONE))", Route: command.RouteAll,
		}, EndsSync: true, RunSession: onSession(cmdReplicaof)}
	}
	old := row("slaveof", "1.0.0", "Make the server a replica of another instance, or promote it as master.")
	old.DeprecatedSince, old.ReplacedBy = "5.0.0", "`REPLICAOF`"
	return []*command.Row{old, row("replicaof", "5.0.0",
		"Make the server a replica of another instance, or promote it as master.")}
}

var (
	errPrimaryPort      = resp.Errorf("ERR", "Invalid master port")
	errReplicaofFailing = resp.Errorf("ERR", "REPLICAOF not allowed while failing over.")
	errReplicaofReplica = resp.Errorf("ERR", "Command is not valid when client is a replica.")
)

// REPLICAOF host port | NO ONE
func cmdReplicaof(s *Session) error {
	u := &s.srv.upstream
	if s.srv.failover.now.Load() != nil {
		return errReplicaofFailing
	}
	host, port := cString(s.c.Args[1]), cString(s.c.Args[2])
	link := u.link.Load()
	if strings.EqualFold(host, "no") && strings.EqualFold(port, "one") {
		if link != nil {
			u.promote()
			s.srv.log.Info("MASTER MODE enabled (user request from '" + s.describe(s.srv.set.Clock.NowMs()) + "')")
		}
		return s.noteReplicaof("")
	}
	if s.follower.Load() != nil {
		return errReplicaofReplica // it would disconnect itself
	}
	number, ok := resp.ParseInt(s.c.Args[2])
	if !ok || number < 0 || number > 65535 {
		return errPrimaryPort
	}
	n := int(number)
	if link != nil && strings.EqualFold(link.host, host) && link.port == n {
		s.srv.log.Info("REPLICAOF would result into synchronization with the master we are already connected with. " +
			"No operation performed.")
		s.c.Simple("OK Already connected to specified master")
		return nil
	}
	u.start(host, n, nil)
	if s.executing {
		u.anonymous.Store(true) // what the transaction has written so far has no position yet
	}
	s.srv.log.Info(fmt.Sprintf("REPLICAOF %s:%d enabled (user request from '%s')", host, n,
		s.describe(s.srv.set.Clock.NowMs())))
	return s.noteReplicaof(fmt.Sprintf("%s %d", host, n))
}

// noteRole has CONFIG GET and REWRITE tell what has changed the role, where nobody is to be told that they can't.
func (srv *Server) noteRole(replicaof string) {
	if err := srv.cfg.Override("replicaof", replicaof); err != nil {
		srv.log.Warn("replicaof: " + err.Error())
	}
}

// noteReplicaof has CONFIG GET and REWRITE tell what REPLICAOF has changed, and replies.
func (s *Session) noteReplicaof(value string) error {
	if err := s.srv.cfg.Override("replicaof", value); err != nil {
		return resp.Errorf("ERR", "%s", err.Error())
	}
	s.c.OK()
	return nil
}

// linkOptions say how the primary is spoken with now.
func (srv *Server) linkOptions(host string, port int) replica.LinkOptions {
	v := srv.cfg.Values()
	own := v.ReplicaAnnouncePort
	if own == 0 {
		own = v.Port
	}
	return replica.LinkOptions{
		Addr: hostPort(host, port), User: v.PrimaryUser, Password: v.PrimaryAuth, ListeningPort: own,
		IP: v.ReplicaAnnounceIP, Source: v.BindSource, TimeoutMs: v.ReplTimeoutSeconds * 1000, Clock: srv.set.Clock,
		Flows: srv.flowRequest(v),
		Note:  func(text string) { srv.log.Info(text) },
	}
}

package server

import (
	"fmt"
	"strconv"
	"strings"

	"fulmen/internal/resp"
	"fulmen/replica"
	"fulmen/shard/command"
)

func replicaRows() []*command.Row {
	sync := command.Admin | command.NoScript | command.NoAsyncLoading | command.NoMulti
	return []*command.Row{
		{Info: command.Info{
			Name: "psync", Arity: -3, Flags: sync, Group: "server", Since: "2.8.0",
			Summary: "Internal command used for replication", Args: "replicationid offset:integer",
			RouteOf: routePsync,
		}, RunSession: onSession(cmdPsync)},
		{Info: command.Info{
			Name: "sync", Arity: 1, Flags: sync, Group: "server", Since: "1.0.0",
			Summary: "Internal command used for replication",
		}, RunSession: onSession(cmdSync)},
		{Info: command.Info{
			Name: "replconf", Arity: -1, Group: "server", Since: "3.0.0", Complexity: "O(1)",
			Flags:   command.Admin | command.NoScript | command.Loading | command.Stale | command.AllowBusy,
			Summary: "An internal command for configuring the replication stream", Syscmd: true,
		}, RunSession: onSession(cmdReplconf)},
		{Info: command.Info{
			Name: "role", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.Fast,
			Categories: command.CatAdmin | command.CatDangerous, Group: "server", Since: "2.8.12", Complexity: "O(1)",
			Summary: "Return the role of the instance in the context of replication",
		}, RunSession: onSession(cmdRole)},
	}
}

var (
	errPendingOutput = resp.Errorf("ERR", "SYNC and PSYNC are invalid with pending output")
	errNoPrimary     = &resp.Error{Code: "NOMASTERLINK", Msg: "Can't SYNC while not connected with my master"}
	errFiltered      = resp.Errorf("ERR", "Filtered replica requires EOF capability")
	errFailingOver   = &resp.Error{Code: "NOMASTERLINK", Msg: "Can't SYNC while failing over"}
)

// routePsync: to take over the role is changed.
func routePsync(args [][]byte) command.Route {
	if asksToTakeOver(args) {
		return command.RouteAll
	}
	return command.RouteKeys
}

// asksToTakeOver tells whether a PSYNC comes from a primary that hands over to the server.
func asksToTakeOver(args [][]byte) bool {
	return len(args) > 3 && strings.EqualFold(cString(args[3]), "failover")
}

// PSYNC replicationid offset [FAILOVER]
func cmdPsync(s *Session) error {
	args := s.c.Args
	if s.follower.Load() != nil {
		return nil // as Redis: no reply
	}
	if asksToTakeOver(args) {
		if err := s.takeOver(cString(args[1])); err != nil {
			return err
		}
	}
	offset, ok := resp.ParseInt(args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	f, err := s.beginFollowing(true)
	if f == nil {
		return err
	}
	if !s.srv.replication.resume(f, cString(args[1]), offset) {
		s.srv.replication.awaitSync(f)
	}
	return nil
}

// SYNC
func cmdSync(s *Session) error {
	if s.follower.Load() != nil {
		return nil
	}
	f, err := s.beginFollowing(false)
	if f != nil {
		s.srv.replication.awaitSync(f)
	}
	return err
}

// beginFollowing makes the client a replica; nil and perhaps an error to be replied: it becomes none.
func (s *Session) beginFollowing(psync bool) (*follower, error) {
	link := s.srv.upstream.link.Load()
	switch {
	case s.srv.failover.now.Load() != nil:
		return nil, errFailingOver
	case link != nil && linkState(link.state.Load()) != linkConnected:
		return nil, errNoPrimary
	case len(s.c.Out) > 0 || s.conn.OutputBytes() > 0:
		return nil, errPendingOutput
	case s.intro != nil && s.intro.noData && !s.intro.eof:
		return nil, errFiltered
	}
	r := &s.srv.replication
	f, err := r.follow(s, psync)
	if err != nil {
		s.srv.log.Warn("A replica can't be served: " + err.Error())
		s.killed = true
		return nil, nil
	}
	s.srv.log.Info("Replica " + f.name() + " asks for synchronization")
	return f, nil
}

// resume has a replica go on where it was, if the stream still has that; false: it needs all data.
func (r *replication) resume(f *follower, id string, offset int64) bool {
	log, h := r.srv.log, r.history.Load()
	refuse := func(why string) bool {
		if id != "?" {
			r.refusedPartials.Add(1)
		}
		log.Info(why)
		return false
	}
	switch {
	case id == "?":
		return refuse("Full resync requested by replica " + f.name())
	case h.Has(id, offset):
	case strings.EqualFold(id, h.ID2) && h.SecondOffset != replica.NoSecond:
		return refuse(fmt.Sprintf("Partial resynchronization not accepted: Requested offset for second ID was %d, but "+
			"I can reply up to %d", offset, h.SecondOffset))
	default:
		return refuse(fmt.Sprintf("Partial resynchronization not accepted: Replication ID mismatch (Replica asked for "+
			"'%s', my replication IDs are '%s' and '%s')", id, h.ID, h.ID2))
	}
	if offset < 1 {
		return refuse("Partial resynchronization not accepted: there is no offset " + strconv.FormatInt(offset, 10))
	}
	src, err := r.stream().Open(uint64(offset)-1, f.feed.Ring)
	if err != nil {
		return refuse(fmt.Sprintf("Unable to partial resync with replica %s for lack of backlog (Replica request was: "+
			"%d): %v.", f.name(), offset, err))
	}
	r.partialSyncs.Add(1)
	log.Info(fmt.Sprintf("Partial resynchronization request from %s accepted. Sending %d bytes of backlog starting "+
		"from offset %d.", f.name(), src.LagBytes(), offset))
	r.mu.Lock()
	r.wantBacklog = r.backlog == nil // the log was there for another reason
	r.mu.Unlock()
	hello := "+CONTINUE\r\n"
	if f.intro.psync2 {
		hello = "+CONTINUE " + h.ID + "\r\n"
	}
	f.feed.SetSent(src.LSN())
	f.src.Store(&src)
	f.ackMs.Store(r.srv.set.Clock.NowMs())
	f.state.Store(int32(online))
	f.hand(&handover{hello: []byte(hello), src: src})
	go f.run()
	return true
}

// awaitSync has a replica wait for all data.
func (r *replication) awaitSync(f *follower) {
	r.fullSyncs.Add(1)
	go f.run()
	f.state.Store(int32(awaitsCut))
	v := r.srv.cfg.Values()
	if v.DisklessSync && v.DisklessSyncDelaySeconds > 0 {
		r.srv.log.Info("Delay next BGSAVE for diskless SYNC")
	}
	r.beginDue(v, r.srv.set.Clock.NowMs())
}

// REPLCONF option value [option value ...]: what a replica says of itself before it asks for the data and, without a
// reply, how much it has.
func cmdReplconf(s *Session) error {
	a := s.c.ArgsFrom(1)
	if a.Left()%2 != 0 {
		return resp.ErrSyntax
	}
	in := s.intro
	if in == nil {
		in = &introduction{}
		s.intro = in
	}
	for a.More() {
		silent, err := s.introduce(in, &a)
		if silent {
			return err // as Redis: none even of what can't be read
		}
		if err == nil {
			err = a.Err()
		}
		if err != nil {
			return err
		}
	}
	s.c.OK()
	return nil
}

// introduce reads one option of REPLCONF; silent: there is no reply.
func (s *Session) introduce(in *introduction, a *command.Args) (silent bool, err error) {
	switch {
	case a.Option("listening-port"):
		in.port = a.Int()
	case a.Option("ip-address"):
		return false, in.setIP(a.Bytes())
	case a.Option("capa"):
		switch {
		case a.Option("eof"):
			in.eof = true
		case a.Option("psync2"):
			in.psync2 = true
		default: // as Redis: what it doesn't know it has no use for
			if r, ok := replica.ParseFlowRequest(cString(a.Bytes())); ok {
				in.flows = r
			}
		}
	case a.Option("version"):
		a.Bytes() // there is none that is treated differently
	case a.Option("ack"):
		return true, s.noteAck(a)
	case a.Option("getack"):
		a.Bytes()
		if s.primary != nil {
			s.primary.sendAck()
		}
		return true, nil
	case a.Option("fulmen-flow"):
		return true, s.fetchFlow(cString(a.Bytes()))
	case a.Option("rdb-only"):
		n := a.Int()
		if a.Err() == nil && (n < 0 || n > 1) {
			return false, errNumLocal
		}
		in.rdbOnly = n == 1
	case a.Option("rdb-filter-only"):
		return false, in.setFilter(cString(a.Bytes()))
	default:
		return false, resp.Errorf("ERR", "Unrecognized REPLCONF option: %s", cString(a.Bytes()))
	}
	return false, nil
}

// noteAck reads what a replica says it has. Others are not answered either.
func (s *Session) noteAck(a *command.Args) error {
	lsn := a.Int()
	var fsync int64
	if a.Left() >= 2 && a.Option("fack") {
		fsync = a.Int()
	}
	f := s.follower.Load()
	if f == nil || a.Err() != nil || lsn < 0 || fsync < 0 {
		return nil
	}
	f.acknowledge(uint64(lsn), uint64(fsync), s.c.NowMs)
	return nil
}

// maxIPBytes is how long an address may be, in Redis the length of its buffer.
const maxIPBytes = 256

func (in *introduction) setIP(ip []byte) error {
	if len(ip) >= maxIPBytes {
		return resp.Errorf("ERR", "REPLCONF ip-address provided by replica instance is too long: %d bytes", len(ip))
	}
	in.ip = string(ip)
	return nil
}

// setFilter reads what alone a replica wants to have.
func (in *introduction) setFilter(words string) error {
	in.noData, in.noFunctions = true, true
	for _, word := range strings.Fields(words) {
		if !strings.EqualFold(word, "functions") {
			return resp.Errorf("ERR", "Unsupported rdb-filter-only option: %s", word)
		}
		in.noFunctions = false
	}
	return nil
}

// ROLE
func cmdRole(s *Session) error {
	r, c := &s.srv.replication, s.c
	if link := s.srv.upstream.link.Load(); link != nil {
		c.Array(5)
		c.BulkString("slave")
		c.BulkString(link.host)
		c.Int(int64(link.port))
		c.BulkString(linkState(link.state.Load()).String())
		c.Int(link.roleOffset())
		return nil
	}
	c.Array(3)
	c.BulkString("master")
	c.Int(int64(r.stream().Offset()))
	var list []*follower
	for _, f := range *r.followers.Load() {
		if f.shownState() == online {
			list = append(list, f)
		}
	}
	c.Array(len(list))
	for _, f := range list {
		ip, port := f.address()
		c.Array(3)
		c.BulkString(ip)
		c.BulkString(strconv.FormatInt(port, 10))
		c.BulkString(strconv.FormatUint(f.ackLSN.Load(), 10))
	}
	return nil
}

package server

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"fulmen/internal/pubsub"
	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func clientRows() []*command.Row {
	return []*command.Row{{
		Info: command.Info{
			Name: "client", Arity: -2, Group: "connection", Since: "2.4.0",
			Summary: "A container for client connection commands", Complexity: "Depends on subcommand.",
		},
		Subs: slices.Concat(clientPauseRows(), clientTrackingRows(), []*command.Row{
			clientSub("getname", 2, "2.6.9", "Get the current connection name", "", cmdClientGetName),
			clientHelpRow(),
			clientSub("id", 2, "5.0.0", "Returns the client ID for the current connection", "", cmdClientID),
			clientInfoRow(), clientKillRow(), clientListRow(), clientNoEvictRow(),
			clientNoTouchRow(), clientUnblockRow(),
			clientSub("reply", 3, "3.2.0", "Instruct the server whether to reply to commands",
				"on_off_skip(ON|OFF|SKIP)",
				cmdClientReply),
			clientSetInfoRow(),
			clientSub("setname", 3, "2.6.9", "Set the current connection name", "connection-name", cmdClientSetName),
		}),
		KeepsCaching: true,
	}}
}

// clientSub is a subcommand with what most of them have in common.
func clientSub(name string, arity int, since, summary, args string, run func(*Session) error) *command.Row {
	return &command.Row{Info: command.Info{
		Name: name, Arity: arity, Flags: command.NoScript | command.Loading | command.Stale,
		Categories: command.CatConnection, Group: "connection", Since: since, Summary: summary,
		Complexity: "O(1)", Args: args,
	}, RunSession: onSession(run)}
}

func clientHelpRow() *command.Row {
	row := clientSub("help", 2, "5.0.0", "Show helpful text about the different subcommands", "", cmdClientHelp)
	row.Flags &^= command.NoScript
	return row
}

func clientInfoRow() *command.Row {
	row := clientSub("info", 2, "6.2.0", "Returns information about the current client connection.", "", cmdClientInfo)
	row.Tips = []string{"nondeterministic_output"}
	return row
}

func clientNoEvictRow() *command.Row {
	row := clientSub("no-evict", 3, "7.0.0", "Set client eviction mode for the current connection",
		"enabled(ON|OFF)", cmdClientNoEvict)
	row.Flags |= command.Admin
	return row
}

// clientSetInfoRow is worded as in Redis 7.2, which brought it.
func clientSetInfoRow() *command.Row {
	row := clientSub("setinfo", 4, "7.2.0", "Sets information specific to the client or connection.",
		"attr(libname=lib-name|libver=lib-ver)", cmdClientSetInfo)
	row.Tips = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	return row
}

func clientListRow() *command.Row {
	row := clientSub("list", -2, "2.4.0", "Get the list of client connections",
		"normal_master_replica_pubsub=TYPE?@5.0.0(NORMAL|MASTER|REPLICA|PUBSUB) id=ID?@6.2.0(client-id:integer*)",
		cmdClientList)
	row.Flags |= command.Admin
	row.Complexity = "O(N) where N is the number of client connections"
	row.Tips = []string{"nondeterministic_output"}
	row.History = []command.Change{
		{Since: "2.8.12", What: "Added unique client `id` field."},
		{Since: "5.0.0", What: "Added optional `TYPE` filter."},
		{Since: "6.0.0", What: "Added `user` field."},
		{Since: "6.2.0", What: "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter."},
		{Since: "7.0.0", What: "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."},
		{Since: "7.0.3", What: "Added `ssub` field."},
	}
	return row
}

func clientKillRow() *command.Row {
	row := clientSub("kill", -3, "2.4.0", "Kill the connection of a client",
		"filter('ip:port'!2.8.12|new-format*(client-id:integer=ID?@2.8.12|"+
			"normal_master_slave_pubsub=TYPE?@2.8.12(NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB)|"+
			"username=USER?|'ip:port'=ADDR?|'ip:port'=LADDR?@6.2.0|yes/no=SKIPME?))", cmdClientKill)
	row.Flags |= command.Admin
	row.Complexity = "O(N) where N is the number of client connections"
	row.History = []command.Change{
		{Since: "2.8.12", What: "Added new filter format."},
		{Since: "2.8.12", What: "`ID` option."},
		{Since: "3.2.0", What: "Added `master` type in for `TYPE` option."},
		{Since: "5.0.0", What: "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward " +
			"compatibility."},
		{Since: "6.2.0", What: "`LADDR` option."},
	}
	return row
}

// CLIENT ID
func cmdClientID(s *Session) error {
	s.c.Int(int64(s.id))
	return nil
}

// CLIENT GETNAME
func cmdClientGetName(s *Session) error {
	if name := s.name.Load(); name != nil {
		s.c.BulkString(*name)
	} else {
		s.c.Null()
	}
	return nil
}

// CLIENT SETNAME connection-name
func cmdClientSetName(s *Session) error {
	if e := s.setName(s.c.Args[2]); e != nil {
		return e
	}
	s.c.OK()
	return nil
}

// cString returns what C sees of an argument as a string: what stands before its first NUL.
func cString(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}

// printable tells whether b has no spaces or control characters, which would break CLIENT LIST.
func printable(b []byte) bool {
	for _, c := range b {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

func (s *Session) setName(name []byte) *resp.Error {
	if !printable(name) {
		return resp.ErrClientName
	}
	if len(name) == 0 {
		s.name.Store(nil)
		return nil
	}
	text := string(name)
	s.name.Store(&text)
	return nil
}

// CLIENT SETINFO LIB-NAME|LIB-VER value
func cmdClientSetInfo(s *Session) error {
	option, value := s.c.Args[2], s.c.Args[3]
	var field *atomic.Pointer[string]
	switch a := s.c.ArgsFrom(2); {
	case a.Option("lib-name"):
		field = &s.libName
	case a.Option("lib-ver"):
		field = &s.libVer
	default:
		return resp.Errorf("ERR", "Unrecognized option '%s'", cString(option))
	}
	if !printable(value) {
		return resp.Errorf("ERR", "%s cannot contain spaces, newlines or special characters.", cString(option))
	}
	text := string(value)
	field.Store(&text)
	s.c.OK()
	return nil
}

// CLIENT NO-EVICT ON|OFF
func cmdClientNoEvict(s *Session) error {
	a := s.c.ArgsFrom(2)
	switch {
	case a.Option("on"):
		s.noEvict.Store(true)
	case a.Option("off"):
		s.noEvict.Store(false)
	default:
		return resp.ErrSyntax
	}
	s.c.OK()
	return nil
}

// CLIENT REPLY ON|OFF|SKIP
func cmdClientReply(s *Session) error {
	if s.follower.Load() != nil {
		return nil // nothing but the stream may be sent to it
	}
	a := s.c.ArgsFrom(2)
	switch {
	case a.Option("on"):
		s.reply = replyOn
		s.c.OK()
	case a.Option("off"):
		s.reply = replyOff
	case a.Option("skip"):
		if s.reply != replyOff {
			s.reply = replySkipNext
		}
	default:
		return resp.ErrSyntax
	}
	s.refresh()
	return nil
}

// publishRunning lets CLIENT LIST see what the command that runs occupies.
func (s *Session) publishRunning() {
	size := 0
	for _, a := range s.c.Args {
		size += len(a)
	}
	s.parkedBytes.Store(int64(size))
	s.queryBytes.Store(int64(s.loop.offered))
	s.lastMs.Store(s.c.NowMs)
}

// CLIENT INFO
func cmdClientInfo(s *Session) error {
	s.publishRunning()
	defer s.parkedBytes.Store(0)
	s.c.Verbatim("txt", s.describe(s.c.NowMs)+"\n")
	return nil
}

// CLIENT LIST [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]
func cmdClientList(s *Session) error {
	a := s.c.ArgsFrom(2)
	clients := s.srv.clients.all()
	switch {
	case !a.More():
	case a.Left() == 2 && a.Option("type"):
		kind, e := clientType(a.Bytes())
		if e != nil {
			return e
		}
		clients = slices.DeleteFunc(clients, func(x *Session) bool { return x.kind() != kind })
	case a.Left() > 1 && a.Option("id"):
		clients = withIDs(clients, &a)
	default:
		return resp.ErrSyntax
	}
	if err := a.Err(); err != nil {
		return err
	}
	s.publishRunning()
	defer s.parkedBytes.Store(0)
	var text strings.Builder
	for _, x := range clients {
		text.WriteString(x.describe(s.c.NowMs))
		text.WriteByte('\n')
	}
	s.c.Verbatim("txt", text.String())
	return nil
}

// withIDs reads ids and returns their sessions in the order of the ids, of which one may be named twice; ids of
// nobody are skipped. all is sorted by id.
func withIDs(all []*Session, a *command.Args) (named []*Session) {
	for a.More() {
		id := uint64(a.IntOr(resp.ErrInvalidClientID))
		i, found := slices.BinarySearchFunc(all, id, func(x *Session, id uint64) int { return cmp.Compare(x.id, id) })
		if found {
			named = append(named, all[i])
		}
	}
	return named
}

// clientType reads a client type's name.
func clientType(name []byte) (string, *resp.Error) {
	switch kind := strings.ToLower(cString(name)); kind {
	case "normal", "pubsub", "master":
		return kind, nil
	case "slave", "replica":
		return "replica", nil
	}
	return "", resp.ErrUnknownClientType([]byte(cString(name)))
}

// kind is the session's client type. Safe from any goroutine.
func (s *Session) kind() string {
	if s.feeds() {
		return "replica"
	}
	if s.isPrimary.Load() {
		return "master"
	}
	if s.subscriptions() > 0 {
		return "pubsub"
	}
	return "normal"
}

func orEmpty(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// flags are the session's flags in CLIENT LIST, in Redis's order.
func (s *Session) flags() string {
	text := make([]byte, 0, 8)
	for _, f := range [...]struct {
		on   bool
		name byte
	}{
		{s.feeds(), 'S'},
		{s.isPrimary.Load(), 'M'},
		{s.monitoring.Load(), 'O'},
		{s.subscriptions() > 0, 'P'},
		{s.queued.Load() >= 0, 'x'},
		{s.waiting.Load() || s.blocked.Load() != nil, 'b'},
		{s.tracker.Load().has(trackOn), 't'},
		{s.tracker.Load().has(trackBroken), 'R'},
		{s.tracker.Load().has(trackBcast), 'B'},
		{s.dirtyCAS(), 'd'},
		{s.closing.Load(), 'c'},
		{s.killNow.Load(), 'A'},
		{s.unix, 'U'},
		{s.noEvict.Load(), 'e'},
		{s.noTouch.Load(), 'T'},
	} {
		if f.on {
			text = append(text, f.name)
		}
	}
	if len(text) == 0 {
		return "N"
	}
	return string(text)
}

// dirtyCAS tells whether EXEC would fail because of a watched key. Safe from any goroutine.
func (s *Session) dirtyCAS() bool {
	w := s.watching.Load()
	return w != nil && w.Dirty()
}

// describe is the session's line in CLIENT LIST. Safe from any goroutine.
func (s *Session) describe(nowMs int64) string {
	flags := s.flags()
	cmd := "NULL"
	if i := s.lastRow.Load(); i > 0 {
		cmd = s.srv.table.All()[i-1].FullName
	}
	qbuf, qcap := s.queryBytes.Load(), s.queryCap.Load()
	omem := s.outBytes.Load()
	events := "r"
	if omem > 0 {
		events = "rw"
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d "+
		"multi=%d qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=0 rbp=0 obl=0 oll=%d omem=%d "+
		"tot-mem=%d events=%s cmd=%s user=default redir=%d resp=%d lib-name=%s lib-ver=%s",
		s.id, s.addr, s.laddr, s.fd, orEmpty(s.name.Load()), max(nowMs-s.born, 0)/1000,
		max(nowMs-s.lastMs.Load(), 0)/1000, flags, s.pubDB.Load(), s.subCounts[pubsub.Channel].Load(),
		s.subCounts[pubsub.Pattern].Load(), s.subCounts[pubsub.ShardChannel].Load(), s.queued.Load(),
		qbuf, max(qcap-qbuf, 0), s.parkedBytes.Load(), s.multiBytes.Load(),
		s.outChunks.Load(), omem, s.memoryBytes(), events, cmd, s.tracker.Load().redirectID(), s.pubProto.Load(),
		orEmpty(s.libName.Load()), orEmpty(s.libVer.Load()))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sessionBytes is what a connection costs without its buffers: session, connection, engine's state.
const sessionBytes = 2048

// memoryBytes is what the session occupies. Safe from any goroutine.
func (s *Session) memoryBytes() int64 {
	return sessionBytes + s.queryCap.Load() + s.outBytes.Load() + s.replyBytes.Load() + s.transactionBytes() +
		s.parkedBytes.Load() + s.subBytes.Load()
}

// transactionBytes is what MULTI and WATCH made the session keep. Safe from any goroutine.
func (s *Session) transactionBytes() int64 {
	return s.multiBytes.Load() + s.watchBytes.Load()
}

// clientHelp is the text of CLIENT HELP but for what Help adds.
const clientHelp = `CACHING (YES|NO)
    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.
GETREDIR
    Return the client ID we are redirecting to when tracking is enabled.
GETNAME
    Return the name of the current connection.
ID
    Return the ID of the current connection.
INFO
    Return information about the current client connection.
KILL <ip:port>
    Kill connection made from <ip:port>.
KILL <option> <value> [<option> <value> [...]]
    Kill connections. Options are:
    * ADDR (<ip:port>|<unixsocket>:0)
      Kill connections made from the specified address
    * LADDR (<ip:port>|<unixsocket>:0)
      Kill connections made to specified local address
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Kill connections by type.
    * USER <username>
      Kill connections authenticated by <username>.
    * SKIPME (YES|NO)
      Skip killing current connection (default: yes).
    * ID <client-id>
      Kill connections by client id.
    * MAXAGE <maxage>
      Kill connections older than the specified age.
LIST [options ...]
    Return information about client connections. Options:
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Return clients of specified type.
UNPAUSE
    Stop the current client pause, resuming traffic.
PAUSE <timeout> [WRITE|ALL]
    Suspend all, or just write, clients for <timeout> milliseconds.
REPLY (ON|OFF|SKIP)
    Control the replies sent to the current connection.
SETNAME <name>
    Assign the name <name> to the current connection.
SETINFO <option> <value>
    Set client meta attr. Options are:
    * LIB-NAME: the client lib name.
    * LIB-VER: the client lib version.
UNBLOCK <clientid> [TIMEOUT|ERROR]
    Unblock the specified blocked client.
TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]
         [OPTIN] [OPTOUT] [NOLOOP]
    Control server assisted client side caching.
TRACKINGINFO
    Report tracking status for the current connection.
NO-EVICT (ON|OFF)
    Protect current client connection from eviction.
NO-TOUCH (ON|OFF)
    Will not touch LRU/LFU stats when this mode is on.
`

// CLIENT HELP
func cmdClientHelp(s *Session) error {
	s.c.Help(clientHelp)
	return nil
}

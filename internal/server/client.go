package server

import (
	"fmt"
	"strings"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func clientRows() []*command.Row {
	sub := func(name string, arity int, since, summary string, extra command.Flags, run func(*Session) error) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: arity, Flags: command.NoScript | command.Loading | command.Stale | extra,
			Categories: command.CatConnection, Group: "connection", Since: since, Summary: summary,
			Complexity: "O(1)",
		}, RunSession: onSession(run)}
	}
	list := sub("list", -2, "2.4.0", "Get the list of client connections", command.Admin, cmdClientList)
	list.Complexity = "O(N) where N is the number of client connections"
	list.Tips = []string{"nondeterministic_output"}
	kill := sub("kill", -3, "2.4.0", "Kill the connection of a client", command.Admin, cmdClientKill)
	kill.Complexity = "O(N) where N is the number of client connections"
	info := sub("info", 2, "6.2.0", "Returns information about the current client connection.", 0, cmdClientInfo)
	info.Tips = []string{"nondeterministic_output"}
	help := sub("help", 2, "5.0.0", "Show helpful text about the different subcommands", 0, cmdClientHelp)
	help.Flags &^= command.NoScript
	return []*command.Row{{
		Info: command.Info{
			Name: "client", Arity: -2, Group: "connection", Since: "2.4.0",
			Summary: "A container for client connection commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*command.Row{
			sub("getname", 2, "2.6.9", "Get the current connection name", 0, cmdClientGetName),
			help,
			sub("id", 2, "5.0.0", "Returns the client ID for the current connection", 0, cmdClientID),
			info, kill, list,
			sub("no-evict", 3, "7.0.0", "Set client eviction mode for the current connection", command.Admin,
				cmdClientNoEvict),
			sub("reply", 3, "3.2.0", "Instruct the server whether to reply to commands", 0, cmdClientReply),
			sub("setinfo", 4, "7.2.0", "Set client or connection specific info", 0, cmdClientSetInfo),
			sub("setname", 3, "2.6.9", "Set the current connection name", 0, cmdClientSetName),
		},
	}}
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
	name := strings.ToLower(string(option))
	if name != "lib-name" && name != "lib-ver" {
		return resp.Errorf("ERR", "Unrecognized option '%s'", option)
	}
	if !printable(value) {
		return resp.Errorf("ERR", "%s cannot contain spaces, newlines or special characters.", name)
	}
	text := string(value)
	if name == "lib-name" {
		s.libName.Store(&text)
	} else {
		s.libVer.Store(&text)
	}
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

// CLIENT INFO
func cmdClientInfo(s *Session) error {
	s.publish(s.c.NowMs)
	s.c.Verbatim("txt", s.describe(s.c.NowMs)+"\n")
	return nil
}

// CLIENT LIST [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id [client-id ...]]
func cmdClientList(s *Session) error {
	a := s.c.ArgsFrom(2)
	keep := func(*Session) bool { return true }
	switch {
	case !a.More():
	case a.Left() == 2 && a.Option("type"):
		kind, e := clientType(a.Bytes())
		if e != nil {
			return e
		}
		keep = func(*Session) bool { return kind == "normal" }
	case a.Left() > 1 && a.Option("id"):
		ids := map[uint64]bool{}
		for a.More() {
			ids[uint64(a.IntOr(resp.ErrInvalidClientID))] = true
		}
		keep = func(x *Session) bool { return ids[x.id] }
	default:
		return resp.ErrSyntax
	}
	if err := a.Err(); err != nil {
		return err
	}
	s.publish(s.c.NowMs)
	var text strings.Builder
	for _, x := range s.srv.clients.all() {
		if keep(x) {
			text.WriteString(x.describe(s.c.NowMs))
			text.WriteByte('\n')
		}
	}
	s.c.Verbatim("txt", text.String())
	return nil
}

// clientType reads a client type's name.
func clientType(name []byte) (string, *resp.Error) {
	switch kind := strings.ToLower(string(name)); kind {
	case "normal", "pubsub", "master":
		return kind, nil
	case "slave", "replica":
		return "replica", nil
	}
	return "", resp.ErrUnknownClientType(name)
}

func orEmpty(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// describe is the session's line in CLIENT LIST. Safe from any goroutine.
func (s *Session) describe(nowMs int64) string {
	flags := ""
	if s.queued.Load() >= 0 {
		flags += "x"
	}
	if s.laddr == s.addr && strings.HasSuffix(s.addr, ":0") {
		flags += "U"
	}
	if s.noEvict.Load() {
		flags += "e"
	}
	if flags == "" {
		flags = "N"
	}
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
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=0 psub=0 ssub=0 "+
		"multi=%d watch=%d qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=%d rbs=0 rbp=0 obl=0 oll=%d omem=%d tot-mem=%d "+
		"events=%s cmd=%s user=default redir=-1 resp=%d lib-name=%s lib-ver=%s",
		s.id, s.addr, s.laddr, s.fd, orEmpty(s.name.Load()), max(nowMs-s.born, 0)/1000,
		max(nowMs-s.lastMs.Load(), 0)/1000, flags, s.pubDB.Load(), s.queued.Load(), s.watched.Load(), qbuf,
		max(qcap-qbuf, 0), s.multiBytes.Load(), btoi(omem > 0), omem, s.memoryBytes(), events, cmd, s.pubProto.Load(),
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
	return sessionBytes + s.queryCap.Load() + s.outBytes.Load() + s.multiBytes.Load()
}

// killFilter says which clients CLIENT KILL means.
type killFilter struct {
	id          uint64
	hasID       bool
	addr, laddr string
	user, kind  string
	maxAge      int64
	hasMaxAge   bool
	keepSelf    bool
}

func (f *killFilter) matches(x, self *Session, nowMs int64) bool {
	switch {
	case f.hasID && x.id != f.id,
		f.addr != "" && x.addr != f.addr,
		f.laddr != "" && x.laddr != f.laddr,
		f.kind != "" && f.kind != "normal",
		f.user != "" && f.user != "default",
		f.hasMaxAge && (nowMs-x.born)/1000 < f.maxAge,
		f.keepSelf && x == self:
		return false
	}
	return true
}

// CLIENT KILL ip:port | [ID client-id] [TYPE type] [USER username] [ADDR ip:port] [LADDR ip:port]
// [SKIPME YES|NO] [MAXAGE seconds]
func cmdClientKill(s *Session) error {
	if len(s.c.Args) == 3 {
		if s.kill(&killFilter{addr: string(s.c.Args[2])}) == 0 {
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

// read reads one pair of option and value.
func (f *killFilter) read(a *command.Args) *resp.Error {
	switch {
	case a.Option("id"):
		n := a.IntOr(resp.ErrClientIDZero)
		if a.Err() != nil || n <= 0 {
			return resp.ErrClientIDZero
		}
		f.id, f.hasID = uint64(n), true
	case a.Option("type"):
		kind, e := clientType(a.Bytes())
		if e != nil {
			return e
		}
		f.kind = kind
	case a.Option("addr"):
		f.addr = string(a.Bytes())
	case a.Option("laddr"):
		f.laddr = string(a.Bytes())
	case a.Option("user"):
		f.user = string(a.Bytes())
		if f.user != "default" {
			return resp.Errorf("ERR", "No such user '%s'", f.user)
		}
	case a.Option("maxage"):
		f.maxAge, f.hasMaxAge = a.Int(), true
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

// kill closes the clients that match and returns their number. The session itself goes after its reply.
func (s *Session) kill(f *killFilter) (n int) {
	for _, x := range s.srv.clients.all() {
		if !f.matches(x, s, s.c.NowMs) {
			continue
		}
		n++
		if x == s {
			s.killed = true
		} else if x.killNow.CompareAndSwap(false, true) {
			x.conn.Loop().Post(&x.killMail)
		}
	}
	return n
}

// CLIENT HELP
func cmdClientHelp(s *Session) error {
	s.help("CLIENT", []string{
		"GETNAME", "    Return the name of the current connection.",
		"ID", "    Return the ID of the current connection.",
		"INFO", "    Return information about the current client connection.",
		"KILL <ip:port>", "    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]", "    Kill connections. Options are:",
		"    * ADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made from the specified address",
		"    * LADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made to specified local address",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Kill connections by type.",
		"    * USER <username>", "      Kill connections authenticated by <username>.",
		"    * SKIPME (YES|NO)", "      Skip killing current connection (default: yes).",
		"    * ID <client-id>", "      Kill connections by client id.",
		"    * MAXAGE <maxage>", "      Kill connections older than the specified age.",
		"LIST [options ...]", "    Return information about client connections. Options:",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Return clients of specified type.",
		"    * ID <client-id> [<client-id> ...]", "      Return clients of specified IDs only.",
		"NO-EVICT (ON|OFF)", "    Protect current client connection from eviction.",
		"REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection.",
		"SETINFO <option> <value>", "    Set client meta attr. Options are:",
		"    * LIB-NAME: the client lib name.", "    * LIB-VER: the client lib version.",
		"SETNAME <name>", "    Assign the name <name> to the current connection.",
	})
	return nil
}

// help replies a container's help as Redis lays it out.
func (s *Session) help(container string, lines []string) {
	s.c.Array(len(lines) + 3)
	s.c.Simple(container + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, line := range lines {
		s.c.Simple(line)
	}
	s.c.Simple("HELP")
	s.c.Simple("    Print this help.")
}

package server

import (
	"bytes"
	"math"
	"strings"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/glob"
	"fulmen/internal/resp"
	"fulmen/replica"
	"fulmen/shard/command"
)

func debugRow() *command.Row {
	return &command.Row{Info: command.Info{
		Name: "debug", Arity: -2, Flags: command.Admin | command.NoScript | command.Loading | command.Stale,
		Group: "server", Since: "1.0.0", Summary: "A container for debugging commands",
		Complexity: "Depends on subcommand.", Syscmd: true, Route: command.RouteAll,
	}, Protected: command.ProtectedDebug, RunSession: onSession(cmdDebug)}
}

// debugHelp is the text of DEBUG HELP but for what Help adds.
const debugHelp = `CHANGE-REPL-ID
    Change the replication IDs of the instance.
    Dangerous: should be used only for testing the replication subsystem.
CONFIG-REWRITE-FORCE-ALL
    Like CONFIG REWRITE but writes all configuration options, including
    keywords not listed in original configuration file or default values.
DIGEST
    Output a hex signature representing the current DB content.
DIGEST-VALUE <key> [<key> ...]
    Output a hex signature of the values of all the specified keys.
ERROR <string>
    Return a Redis protocol error with <string> as message. Useful for clients
    unit tests to simulate Redis errors.
LOADAOF
    Flush the AOF buffers on disk and reload the AOF in memory.
LOG <message>
    Write <message> to the server log.
HTSTATS <dbid>
    Return hash table statistics of the specified Redis database.
HTSTATS-KEY <key>
    Like HTSTATS but for the hash table stored at <key>'s value.
OBJECT <key>
    Show low level info about ` + "`key`" + ` and associated value.
POPULATE <count> [<prefix>] [<size>]
    Create <count> string keys named key:<num>. If <prefix> is specified then
    it is used instead of the 'key' prefix.
PROTOCOL <type>
    Reply with a test value of the specified type. <type> can be: string,
    integer, double, bignum, null, array, set, map, attrib, push, verbatim,
    true, false.
RELOAD [option ...]
    Save the RDB on disk and reload it back to memory. Valid <option> values:
    * MERGE: conflicting keys will be loaded from RDB.
    * NOFLUSH: the existing database will not be removed before load, but
      the first conflicting key ends the load with an error.
    * NOSAVE: the database will be loaded from an existing RDB file.
    Examples:
    * DEBUG RELOAD: verify that the server is able to persist, flush and reload
      the database.
    * DEBUG RELOAD NOSAVE: replace the current database with the contents of an
      existing RDB file.
    * DEBUG RELOAD NOSAVE NOFLUSH MERGE: add the contents of an existing RDB
      file to the database.
SET-ACTIVE-EXPIRE <0|1>
    Setting it to 0 disables expiring keys in background when they are not
    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the
    default.
QUICKLIST-PACKED-THRESHOLD <size>
    Sets the threshold for elements to be inserted as plain vs packed nodes
    Default value is 1GB, allows values up to 4GB. Setting to 0 restores to default.
SLEEP <seconds>
    Stop the server for <seconds>. Decimals allowed.
STRINGMATCH-LEN <pattern> <string>
    Tell whether the glob-like <pattern> matches <string>.
PAUSE-CRON <0|1>
    Stop periodic cron job processing.
REPLYBUFFER PEAK-RESET-TIME <NEVER||RESET|time>
    Sets the time (in milliseconds) to wait between client reply buffer peak resets.
    In case NEVER is provided the last observed peak will never be reset
    In case RESET is provided the peak reset time will be restored to the default value
REPLYBUFFER RESIZING <0|1>
    Enable or disable the reply buffer resize cron job
`

// DEBUG subcommand [arg ...]
func cmdDebug(s *Session) error {
	if d := findDebugSub(s.c.Args); d != nil {
		return d.run(s, s.c.Args[2:])
	}
	return resp.ErrSubcommandSyntax(s.c.Args[0], s.c.Args[1])
}

// debugSub is a subcommand of DEBUG.
type debugSub struct {
	name     string
	min, max int // how many arguments it has
	run      func(s *Session, args [][]byte) error
}

// findDebugSub returns the subcommand that a call of DEBUG names with as many arguments as it may have; nil: none.
func findDebugSub(args [][]byte) *debugSub {
	sub, n := cString(args[1]), len(args)-2
	for i := range debugSubs {
		if d := &debugSubs[i]; strings.EqualFold(sub, d.name) && n >= d.min && n <= d.max {
			return d
		}
	}
	return nil
}

// debugSubs are DEBUG's subcommands with the number of their arguments. As in Redis they have no rows.
var debugSubs = [...]debugSub{
	{"change-repl-id", 0, 0, debugChangeReplID},
	{"config-rewrite-force-all", 0, 0, debugRewriteAll},
	{"digest", 0, 0, debugDigest},
	{"digest-value", 0, math.MaxInt, debugDigestValue},
	{"error", 1, 1, debugError},
	{"help", 0, 0, debugPrintHelp},
	{"htstats", 1, 2, debugHTStats},
	{"htstats-key", 1, 2, debugHTStatsKey},
	{"listpack", 1, 1, debugListpack},
	{"loadaof", 0, 0, debugLoadAOF},
	{"log", 1, 1, debugLog},
	{"object", 1, 1, debugObject},
	{"pause-cron", 1, 1, debugPauseCron},
	{"populate", 1, 3, debugPopulate},
	{"protocol", 1, 1, debugProtocol},
	{"quicklist", 1, 2, debugQuicklist},
	{"quicklist-packed-threshold", 1, 1, debugPackedThreshold},
	{"reload", 0, math.MaxInt, debugReload},
	{"replybuffer", 2, 2, debugReplyBuffer},
	{"set-active-expire", 1, 1, debugActiveExpire},
	{"set-disable-deny-scripts", 1, 1, debugDenyScripts},
	{"sleep", 1, 1, debugSleep},
	{"stringmatch-len", 2, 2, debugStringMatch},
}

// DEBUG CONFIG-REWRITE-FORCE-ALL
func debugRewriteAll(s *Session, _ [][]byte) error {
	if err := s.srv.rewriteConfig((*config.Config).RewriteAll); err != nil {
		return resp.Errorf("ERR", "CONFIG-REWRITE-FORCE-ALL failed: %s", err.Error())
	}
	return debugOK(s, nil)
}

func debugOK(s *Session, _ [][]byte) error {
	s.c.OK()
	return nil
}

func debugPrintHelp(s *Session, _ [][]byte) error {
	s.c.Help(debugHelp)
	return nil
}

// DEBUG SLEEP seconds: with all batons, so that the whole server stands still.
func debugSleep(s *Session, args [][]byte) error {
	time.Sleep(sleepTime(args[0]))
	return debugOK(s, nil)
}

func debugDigest(s *Session, _ [][]byte) error {
	s.c.Simple(s.srv.digest(s.c.NowMs))
	return nil
}

// isOn reads a switch as C's atoi does.
func isOn(text []byte) bool { return math.Trunc(leadingNumber(text)) != 0 }

func debugActiveExpire(s *Session, args [][]byte) error {
	s.srv.activeExpireOff.Store(!isOn(args[0]))
	return debugOK(s, nil)
}

// DEBUG SET-DISABLE-DENY-SCRIPTS 0|1: scripts may call those of debugInScripts. Redis lets them call whatever they are
// denied otherwise, which does harm.
func debugDenyScripts(s *Session, args [][]byte) error {
	s.srv.scriptsDebug.Store(isOn(args[0]))
	return debugOK(s, nil)
}

// debugInScripts are the subcommands that a script may call if it is not denied them.
var debugInScripts = []string{
	"digest-value", "error", "log", "object", "protocol", "set-active-expire", "sleep", "stringmatch-len",
}

func debugPauseCron(s *Session, args [][]byte) error {
	s.srv.cronPaused.Store(isOn(args[0]))
	return debugOK(s, nil)
}

func debugChangeReplID(s *Session, _ [][]byte) error {
	s.srv.replication.setHistory(replica.NewHistory())
	s.srv.replication.notePlace()
	s.srv.log.Info("Changing replication IDs after receiving change-repl-id")
	return debugOK(s, nil)
}

func debugLog(s *Session, args [][]byte) error {
	s.srv.log.Warn("DEBUG LOG: " + cString(args[0]))
	return debugOK(s, nil)
}

// DEBUG ERROR text: the text is the whole line, without a code of our own, and is not counted as an error.
func debugError(s *Session, args [][]byte) error {
	s.c.Out = append(s.c.Out, '-')
	for _, c := range args[0] {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		s.c.Out = append(s.c.Out, c)
	}
	s.c.Out = append(s.c.Out, "\r\n"...)
	return nil
}

func debugStringMatch(s *Session, args [][]byte) error {
	s.c.Bool(glob.Match(args[0], args[1], false))
	return nil
}

// DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER|RESET|ms | RESIZING 0|1: reply buffers belong to the event loops and have no
// size of their own that could be changed.
func debugReplyBuffer(s *Session, args [][]byte) error {
	switch cString(bytes.ToLower(args[0])) {
	case "peak-reset-time":
		word := cString(bytes.ToLower(args[1]))
		if _, ok := resp.ParseInt(args[1]); !ok && word != "never" && word != "reset" {
			return resp.ErrNotInteger
		}
	case "resizing":
	default:
		return resp.ErrSubcommandSyntax(s.c.Args[0], s.c.Args[1])
	}
	return debugOK(s, nil)
}

// DEBUG QUICKLIST-PACKED-THRESHOLD size: without effect as long as there are no lists.
func debugPackedThreshold(s *Session, args [][]byte) error {
	const most = 1<<32 - 1<<20
	if n, ok := config.ParseMemory(cString(args[0])); !ok || n > most {
		return resp.Errorf("ERR", "argument must be a memory value bigger than 1 and smaller than 4gb")
	}
	return debugOK(s, nil)
}

// DEBUG PROTOCOL type
func debugProtocol(s *Session, args [][]byte) error {
	c := s.c
	ints := func() {
		for i := range int64(3) {
			c.Int(i)
		}
	}
	switch strings.ToLower(cString(args[0])) {
	case "string":
		c.BulkString("Hello World")
	case "integer":
		c.Int(12345)
	case "double":
		c.Out = resp.AppendDouble(c.Out, c.Proto, 3.141)
	case "bignum":
		c.Out = resp.AppendBigNumber(c.Out, c.Proto, "1234567999999999999999999999999999999")
	case "null":
		c.Null()
	case "array":
		c.Array(3)
		ints()
	case "set":
		c.SetOf(3)
		ints()
	case "map":
		c.Map(3)
		for i := range int64(3) {
			c.Int(i)
			c.Out = resp.AppendBool(c.Out, c.Proto, i == 1)
		}
	case "attrib":
		if c.Proto >= 3 {
			c.Out = resp.AppendAttribute(c.Out, 1)
			c.BulkString("key-popularity")
			c.Array(2)
			c.BulkString("key:123")
			c.Int(90)
		}
		c.BulkString("Some real reply following the attribute")
	case "push":
		if c.Proto < 3 {
			return resp.Errorf("ERR", "RESP2 is not supported by this command")
		}
		c.Out = resp.AppendPush(c.Out, c.Proto, 2)
		c.BulkString("server-cpu-usage")
		c.Int(42)
		c.BulkString("Some real reply following the push reply")
	case "true", "false":
		c.Out = resp.AppendBool(c.Out, c.Proto, strings.EqualFold(cString(args[0]), "true"))
	case "verbatim":
		c.Verbatim("txt", "This is a verbatim\nstring")
	default:
		return resp.Errorf("ERR", "Wrong protocol type name. Please use one of the following: "+
			"string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
	}
	return nil
}

// sleepTime reads seconds; what is no time to sleep is none.
func sleepTime(text []byte) time.Duration {
	if ns := leadingNumber(text) * float64(time.Second); ns > 0 && ns < math.MaxInt64 {
		return time.Duration(ns)
	}
	return 0
}

// leadingNumber reads the number that text begins with and ignores what follows; no number is 0. DEBUG reads all
// numbers with C's atoi and strtod, and so never complains about one.
func leadingNumber(text []byte) float64 {
	const longest = 32
	for n := min(len(text), longest); n > 0; n-- {
		if f, ok := resp.ParseFloat(text[:n]); ok {
			return f
		}
	}
	return 0
}

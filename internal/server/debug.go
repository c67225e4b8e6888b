package server

import (
	"math"
	"time"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func debugRow() *command.Row {
	return &command.Row{Info: command.Info{
		Name: "debug", Arity: -2, Flags: command.Admin | command.NoScript | command.Loading | command.Stale,
		Group: "server", Since: "1.0.0", Summary: "A container for debugging commands",
		Complexity: "Depends on subcommand.", Syscmd: true, Route: command.RouteAll,
	}, Protected: true, RunSession: onSession(cmdDebug)}
}

// debugHelp is the text of DEBUG HELP but for what Help adds.
const debugHelp = `DIGEST
    Output a hex signature representing the current DB content.
SET-ACTIVE-EXPIRE <0|1>
    Setting it to 0 disables expiring keys in background when they are not
    accessed (otherwise the Redis behavior). Setting it to 1 reenables back the
    default.
SLEEP <seconds>
    Stop the server for <seconds>. Decimals allowed.
`

// DEBUG SLEEP seconds | DIGEST | SET-ACTIVE-EXPIRE 0|1 | HELP
func cmdDebug(s *Session) error {
	a := s.c.ArgsFrom(1)
	switch {
	case a.Left() == 2 && a.Option("sleep"):
		time.Sleep(sleepTime(a.Bytes())) // with all batons: the whole server stands still
		s.c.OK()
	case a.Left() == 1 && a.Option("digest"):
		s.c.Simple(s.srv.digest(s.c.NowMs))
	case a.Left() == 2 && a.Option("set-active-expire"):
		s.srv.activeExpireOff.Store(math.Trunc(leadingNumber(a.Bytes())) == 0)
		s.c.OK()
	case a.Left() == 1 && a.Option("help"):
		s.c.Help(debugHelp)
	default:
		return resp.ErrSubcommandSyntax(s.c.Args[0], s.c.Args[1])
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

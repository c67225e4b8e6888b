package server

import (
	"errors"
	"strings"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func serverRows() []*command.Row {
	return []*command.Row{
		{Info: command.Info{
			Name: "info", Arity: -1, Flags: command.Loading | command.Stale, Categories: command.CatDangerous,
			Group: "server", Since: "1.0.0", Summary: "Get information and statistics about the server",
			Complexity: "O(1)",
			Tips:       []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
			History: []command.Change{
				{Since: "7.0.0", What: "Added support for taking multiple section arguments."}},
			Args: "section?*",
		}, RunSession: onSession(cmdInfo)},
		configRow(),
		debugRow(),
		memoryRow(),
		shutdownRow(),
		slowlogRow(),
		lolwutRow(),
		latencyRow(),
		monitorRow(),
		{Info: command.Info{
			Name: "time", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: "server",
			Since: "2.6.0", Summary: "Return the current server time", Complexity: "O(1)",
			Tips: []string{"nondeterministic_output"},
		}, RunSession: onSession(cmdTime)},
	}
}

func configRow() *command.Row {
	sub := func(name string, arity int, since, summary, complexity string, run func(*Session) error) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: arity, Flags: command.Admin | command.NoScript | command.Loading | command.Stale,
			Group: "server", Since: since, Summary: summary, Complexity: complexity,
		}, RunSession: onSession(run)}
	}
	get := sub("get", -3, "2.0.0", "Get the values of configuration parameters",
		"O(N) when N is the number of configuration parameters provided", cmdConfigGet)
	get.History = []command.Change{
		{Since: "7.0.0", What: "Added the ability to pass multiple pattern parameters in one call"}}
	get.Args = "parameter*(parameter)"
	set := sub("set", -4, "2.0.0", "Set configuration parameters to the given values",
		"O(N) when N is the number of configuration parameters provided", cmdConfigSet)
	set.History = []command.Change{
		{Since: "7.0.0", What: "Added the ability to set multiple parameters in one call."}}
	set.Args = "parameter_value*(parameter value)"
	set.Secret = secretOfConfigSet
	set.Tips = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	rewrite := sub("rewrite", 2, "2.8.0", "Rewrite the configuration file with the in memory configuration", "O(1)",
		cmdConfigRewrite)
	reset := sub("resetstat", 2, "2.0.0", "Reset the stats returned by INFO", "O(1)", cmdConfigResetStat)
	reset.Route = command.RouteAll
	help := sub("help", 2, "5.0.0", "Show helpful text about the different subcommands", "O(1)", cmdConfigHelp)
	help.Flags = command.Loading | command.Stale
	return &command.Row{
		Info: command.Info{
			Name: "config", Arity: -2, Group: "server", Since: "2.0.0",
			Summary: "A container for server configuration commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*command.Row{
			get, help, reset, rewrite, set,
		},
	}
}

func stringsOf(args [][]byte) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = string(a)
	}
	return out
}

// CONFIG GET parameter [parameter ...]
func cmdConfigGet(s *Session) error {
	pairs := s.srv.cfg.Get(stringsOf(s.c.Args[2:]))
	s.c.Map(len(pairs))
	for _, p := range pairs {
		s.c.BulkString(p.Name)
		s.c.BulkString(p.Value)
	}
	return nil
}

// CONFIG SET parameter value [parameter value ...]
func cmdConfigSet(s *Session) error {
	if err := s.srv.cfg.Set(stringsOf(s.c.Args[2:]), s.local); err != nil {
		return replyError(err)
	}
	s.c.Observers = s.srv.observers.Load() // this very call is observed as it has just said
	s.c.OK()
	return nil
}

// replyError turns an error of another package into a reply of code ERR.
func replyError(err error) *resp.Error {
	var e *resp.Error
	if errors.As(err, &e) {
		return e
	}
	return resp.Errorf("ERR", "%s", err.Error())
}

// CONFIG REWRITE
func cmdConfigRewrite(s *Session) error {
	if err := s.srv.rewriteConfig((*config.Config).Rewrite); err != nil {
		s.srv.log.Warn("CONFIG REWRITE failed: " + err.Error())
		if errors.Is(err, config.ErrNoFile) {
			return resp.ErrNoConfigFile
		}
		return resp.Errorf("ERR", "Rewriting config file: %s", err.Error())
	}
	s.srv.log.Info("CONFIG REWRITE executed with success.")
	s.c.OK()
	return nil
}

// CONFIG RESETSTAT
func cmdConfigResetStat(s *Session) error {
	for _, sh := range s.srv.set.Shards {
		sh.ResetStats()
		sh.ResetHolds()
	}
	for i, shared := range s.srv.shared {
		shared.reset()
		s.srv.loops[i].calls.ResetDurations()
	}
	s.srv.reactor.ResetTotals()
	s.srv.clientEvictor.evicted.Store(0)
	s.srv.defrag.reset(s.srv.set.Clock.NowNs())
	s.srv.evict.reset()
	s.srv.sampler.reset()
	s.srv.saves.resetStats()
	s.srv.aof.rewrites.resetStats()
	s.srv.replication.resetStats()
	s.c.OK()
	return nil
}

// configHelp is the text of CONFIG HELP but for what Help adds.
const configHelp = `GET <pattern>
    Return parameters matching the glob-like <pattern> and their values.
SET <directive> <value>
    Set the configuration <directive> to <value>.
RESETSTAT
    Reset statistics reported by the INFO command.
REWRITE
    Rewrite the configuration file.
`

// CONFIG HELP
func cmdConfigHelp(s *Session) error {
	s.c.Help(configHelp)
	return nil
}

// TIME
func cmdTime(s *Session) error {
	us := s.srv.set.Clock.NowUs()
	s.c.Array(2)
	s.c.Out = resp.AppendBulkInt(s.c.Out, us/1e6)
	s.c.Out = resp.AppendBulkInt(s.c.Out, us%1e6)
	return nil
}

// rewriteConfig puts the running configuration into the file it came from, whose new content is made of the old one.
func (srv *Server) rewriteConfig(rewrite func(c *config.Config, old []byte) ([]byte, error)) error {
	name := srv.cfg.File()
	if name == "" {
		return config.ErrNoFile
	}
	old, err := srv.files.ReadFile(name)
	if err != nil && !strings.Contains(err.Error(), "no such file") {
		return err
	}
	text, err := rewrite(srv.cfg, old)
	if err != nil {
		return err
	}
	return writeFileAtomic(srv.files, name, text)
}

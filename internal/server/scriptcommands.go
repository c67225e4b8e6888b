package server

import (
	"strings"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// scriptRows are the commands that run scripts, and SCRIPT.
func scriptRows() []*command.Row {
	const rw = command.KeyRW | command.KeyAccess | command.KeyUpdate
	const ro = command.KeyRO | command.KeyAccess
	eval := evalRow("eval", "2.6.0", "Execute a Lua script server side", rw, command.ScriptBySource, cmdEval)
	eval.Keys[0].Notes = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"
	evalRO := evalRow("eval_ro", "7.0.0", "Execute a read-only Lua script server side", ro, command.ScriptBySource,
		cmdEvalRO)
	evalRO.Keys[0].Notes = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"
	return []*command.Row{
		eval,
		evalRow("evalsha", "2.6.0", "Execute a Lua script server side", rw, command.ScriptBySHA, cmdEvalSHA),
		evalRO,
		evalRow("evalsha_ro", "7.0.0", "Execute a read-only Lua script server side", ro, command.ScriptBySHA,
			cmdEvalSHARO),
		scriptContainer(),
		functionCallRow("fcall", "Invoke a function", rw, cmdFCall),
		functionCallRow("fcall_ro", "Invoke a read-only function", ro, cmdFCallRO),
		functionRow(),
	}
}

// evalRow is a command that runs a script, with what all of them have in common.
func evalRow(name, since, summary string, keys command.KeyFlags, kind command.ScriptKind,
	run func(*Session) error) *command.Row {
	row := &command.Row{Info: command.Info{
		Name: name, Arity: -3,
		Flags: command.NoScript | command.Stale | command.SkipMonitor | command.NoMandatoryKeys | command.MovableKeys,
		Keys:  []command.KeySpec{{First: 2, Step: 1, Counted: true, Flags: keys}}, Categories: command.CatScripting,
		Group: "scripting", Since: since, Summary: summary, Complexity: "Depends on the script that is executed.",
		Args: "script numkeys:integer key?* arg?*",
	}, Script: kind, RunSession: onSession(run)}
	if kind == command.ScriptBySHA {
		row.Args = "sha1 numkeys:integer key?* arg?*"
	}
	if keys&command.KeyRO != 0 {
		row.Flags |= command.ReadOnly
	} else {
		row.Flags |= command.MayReplicate
	}
	return row
}

func scriptContainer() *command.Row {
	sub := func(name string, arity int, since, summary, complexity, args string, flags command.Flags,
		run func(*Session) error) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: arity, Flags: flags, Categories: command.CatScripting, Group: "scripting", Since: since,
			Summary: summary, Complexity: complexity, Args: args,
		}, RunSession: onSession(run)}
	}
	flush := sub("flush", -2, "2.6.0", "Remove all the scripts from the script cache.",
		"O(N) with N being the number of scripts in cache", "async?@6.2.0(ASYNC|SYNC)", command.NoScript,
		cmdScriptFlush)
	flush.Tips = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	flush.History = []command.Change{{Since: "6.2.0", What: "Added the `ASYNC` and `SYNC` flushing mode modifiers."}}
	load := sub("load", 3, "2.6.0", "Load the specified Lua script into the script cache.",
		"O(N) with N being the length in bytes of the script body.", "script", command.NoScript|command.Stale,
		cmdScriptLoad)
	load.Tips = flush.Tips
	exists := sub("exists", -3, "2.6.0", "Check existence of scripts in the script cache.",
		"O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).", "sha1*",
		command.NoScript, cmdScriptExists)
	exists.Tips = []string{"request_policy:all_shards", "response_policy:agg_logical_and"}
	kill := sub("kill", 2, "2.6.0", "Kill the script currently in execution.", "O(1)", "",
		command.NoScript|command.AllowBusy, cmdScriptKill)
	kill.Tips = []string{"request_policy:all_shards", "response_policy:one_succeeded"}
	return &command.Row{
		Info: command.Info{
			Name: "script", Arity: -2, Group: "scripting", Since: "2.6.0",
			Summary: "A container for Lua scripts management commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*command.Row{
			flush,
			sub("help", 2, "5.0.0", "Show helpful text about the different subcommands", "O(1)", "",
				command.Loading|command.Stale, cmdScriptHelp),
			sub("debug", 3, "3.2.0", "Set the debug mode for executed scripts.", "O(1)", "mode(YES|SYNC|NO)",
				command.NoScript, cmdScriptDebug),
			load, exists, kill,
		},
	}
}

// EVAL script numkeys [key [key ...]] [arg [arg ...]]
func cmdEval(s *Session) error { return s.eval(false) }

// EVALSHA sha1 numkeys [key [key ...]] [arg [arg ...]]
func cmdEvalSHA(s *Session) error { return s.eval(false) }

// EVAL_RO script numkeys [key [key ...]] [arg [arg ...]]
func cmdEvalRO(s *Session) error { return s.eval(true) }

// EVALSHA_RO sha1 numkeys [key [key ...]] [arg [arg ...]]
func cmdEvalSHARO(s *Session) error { return s.eval(true) }

// SCRIPT LOAD script
func cmdScriptLoad(s *Session) error {
	what, e := s.loop.scriptOf(s.c.Args[2])
	if e != nil {
		return e
	}
	s.c.BulkString(what.SHA)
	return nil
}

// SCRIPT EXISTS sha1 [sha1 ...]
func cmdScriptExists(s *Session) error {
	names := s.c.Args[2:]
	s.c.Array(len(names))
	for _, sha := range names {
		s.c.Bool(s.loop.scriptNamed(sha) != nil)
	}
	return nil
}

// SCRIPT FLUSH [ASYNC | SYNC]
func cmdScriptFlush(s *Session) error {
	a := s.c.ArgsFrom(2)
	if a.Left() > 1 || a.More() && !a.Option("async") && !a.Option("sync") {
		return resp.ErrScriptFlush
	}
	s.srv.scripts.flush() // what nobody has any more is freed in the background, in both modes
	s.c.OK()
	return nil
}

// SCRIPT KILL
func cmdScriptKill(s *Session) error {
	if e := s.srv.scripts.running.kill(false); e != nil {
		return e
	}
	s.c.OK()
	return nil
}

// SCRIPT DEBUG YES | SYNC | NO: there is no debugger, so scripts run as ever
func cmdScriptDebug(s *Session) error {
	if s.c.Bytes() > 0 || s.conn.OutputBytes() > 0 {
		return resp.ErrScriptDebugPipeline
	}
	switch strings.ToLower(string(s.c.Args[2])) {
	case "yes", "sync", "no":
		s.c.OK()
		return nil
	}
	return resp.ErrScriptDebug
}

// scriptHelp is the text of SCRIPT HELP but for what Help adds.
const scriptHelp = `DEBUG (YES|SYNC|NO)
    Set the debug mode for subsequent scripts executed.
EXISTS <sha1> [<sha1> ...]
    Return information about the existence of the scripts in the script cache.
FLUSH [ASYNC|SYNC]
    Flush the Lua scripts cache. Very dangerous on replicas.
    When called without the optional mode argument, the behavior is determined by the
    lazyfree-lazy-user-flush configuration directive. Valid modes are:
    * ASYNC: Asynchronously flush the scripts cache.
    * SYNC: Synchronously flush the scripts cache.
KILL
    Kill the currently executing Lua script.
LOAD <script>
    Load a script into the scripts cache without executing it.
`

// SCRIPT HELP
func cmdScriptHelp(s *Session) error {
	s.c.Help(scriptHelp)
	return nil
}

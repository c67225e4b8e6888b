package server

import (
	"fulmen/internal/glob"
	"fulmen/internal/resp"
	"fulmen/internal/script"
	"fulmen/persist/rdb"
	"fulmen/shard/command"
)

// functionRow is FUNCTION with its subcommands.
func functionRow() *command.Row {
	everywhere := []string{"request_policy:all_shards", "response_policy:all_succeeded"}
	sub := func(name string, arity int, summary, complexity, args string, flags command.Flags,
		run func(*Session) error) *command.Row {
		row := &command.Row{Info: command.Info{
			Name: name, Arity: arity, Flags: flags, Categories: command.CatScripting, Group: "scripting",
			Since: "7.0.0", Summary: summary, Complexity: complexity, Args: args,
		}, RunSession: onSession(run)}
		if flags&command.Write != 0 {
			row.Route, row.Tips = command.RouteAll, everywhere
		}
		return row
	}
	const write, oom = command.Write | command.NoScript, command.DenyOOM | command.Write | command.NoScript
	list := sub("list", -2, "List information about all the functions", "O(N) where N is the number of functions",
		"library-name-pattern=LIBRARYNAME? WITHCODE?", command.NoScript, cmdFunctionList)
	list.Tips, list.Route = []string{"nondeterministic_output_order"}, command.RouteAll
	dump := sub("dump", 2, "Dump all functions into a serialized binary payload",
		"O(N) where N is the number of functions", "", command.NoScript, cmdFunctionDump)
	dump.Route = command.RouteAll
	stats := sub("stats", 2, "Return information about the function currently running (name, description, duration)",
		"O(1)", "", command.NoScript|command.AllowBusy, cmdFunctionStats)
	stats.Tips = []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}
	kill := sub("kill", 2, "Kill the function currently in execution.", "O(1)", "",
		command.NoScript|command.AllowBusy, cmdFunctionKill)
	kill.Tips = []string{"request_policy:all_shards", "response_policy:one_succeeded"}
	return &command.Row{
		Info: command.Info{
			Name: "function", Arity: -2, Group: "scripting", Since: "7.0.0",
			Summary: "A container for function commands", Complexity: "Depends on subcommand.",
		},
		Subs: []*command.Row{
			sub("help", 2, "Show helpful text about the different subcommands", "O(1)", "",
				command.Loading|command.Stale, cmdFunctionHelp),
			sub("delete", 3, "Delete a function by name", "O(1)", "library-name", write, cmdFunctionChange),
			sub("flush", -2, "Deleting all functions", "O(N) where N is the number of functions deleted",
				"async?(ASYNC|SYNC)", write, cmdFunctionFlush),
			list,
			dump,
			sub("restore", -3, "Restore all the functions on the given payload",
				"O(N) where N is the number of functions on the payload",
				"serialized-value policy?(FLUSH|APPEND|REPLACE)", oom, cmdFunctionRestore),
			stats,
			sub("load", -3, "Create a function with the given arguments (name, code, description)",
				"O(1) (considering compilation time is redundant)", "REPLACE? function-code", oom,
				cmdFunctionLoad),
			kill,
		},
	}
}

// functionCallRow is a command that runs a function.
func functionCallRow(name, summary string, keys command.KeyFlags, run func(*Session) error) *command.Row {
	row := evalRow(name, "7.0.0", summary, keys, command.ScriptByName, run)
	row.Args, row.Complexity = "function numkeys:integer key?* arg?*", "Depends on the function that is executed."
	as := "RW and UPDATE"
	if keys&command.KeyRO != 0 {
		as = "RO and ACCESS"
	}
	row.Keys[0].Notes = "We cannot tell how the keys will be used so we assume the worst, " + as
	return row
}

// FCALL function numkeys [key [key ...]] [arg [arg ...]]
func cmdFCall(s *Session) error { return s.eval(false) }

// FCALL_RO function numkeys [key [key ...]] [arg [arg ...]]
func cmdFCallRO(s *Session) error { return s.eval(true) }

// FUNCTION LOAD [REPLACE] function-code
func cmdFunctionLoad(s *Session) error {
	name, err := s.changeFunctions()
	if err == nil {
		s.c.BulkString(name)
	}
	return err
}

// FUNCTION DELETE library-name
func cmdFunctionChange(s *Session) error {
	_, err := s.changeFunctions()
	if err == nil {
		s.c.OK()
	}
	return err
}

// FUNCTION FLUSH [ASYNC | SYNC]: what nobody has any more is freed in the background, in both modes
func cmdFunctionFlush(s *Session) error {
	a := s.c.ArgsFrom(2)
	if a.Left() > 1 {
		return resp.ErrSubcommandSyntax(s.c.Args[0], s.c.Args[1])
	}
	if a.More() && !a.Option("async") && !a.Option("sync") {
		return resp.ErrFunctionFlush
	}
	return cmdFunctionChange(s)
}

// FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]
func cmdFunctionRestore(s *Session) error {
	if len(s.c.Args) > 4 {
		return resp.ErrSubcommandSyntax(s.c.Args[0], s.c.Args[1])
	}
	return cmdFunctionChange(s)
}

// FUNCTION DUMP
func cmdFunctionDump(s *Session) error {
	s.c.Bulk(rdb.AppendFunctions(nil, s.srv.functions.codes(), s.c.Limits.CompressDumps))
	return nil
}

// FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]
func cmdFunctionList(s *Session) error {
	c := s.c
	var pattern []byte
	named, code := false, false
	a := c.ArgsFrom(2)
	for a.More() {
		switch {
		case !code && a.Option("withcode"):
			code = true
		case !named && a.Option("libraryname"):
			if !a.More() {
				return resp.ErrNoLibraryName
			}
			pattern, named = a.Bytes(), true
		default:
			return resp.Errorf("ERR", "Unknown argument %s", cString(a.Bytes()))
		}
	}
	var list []*script.Library
	for _, lib := range s.srv.functions.set.Load().All() {
		if !named || glob.Match(pattern, []byte(lib.Name), true) {
			list = append(list, lib)
		}
	}
	c.Array(len(list))
	for _, lib := range list {
		c.Map(3 + btoi(code))
		c.BulkString("library_name")
		c.BulkString(lib.Name)
		c.BulkString("engine")
		c.BulkString(lib.Engine)
		c.BulkString("functions")
		replyFunctions(c, lib)
		if code {
			c.BulkString("library_code")
			c.BulkString(lib.Code)
		}
	}
	return nil
}

// replyFunctions replies the functions of a library.
func replyFunctions(c *command.Ctx, lib *script.Library) {
	c.Array(len(lib.Functions()))
	for _, f := range lib.Functions() {
		c.Map(3)
		c.BulkString("name")
		c.BulkString(f.Name())
		c.BulkString("description")
		if f.Description != nil {
			c.BulkString(*f.Description)
		} else {
			c.Null()
		}
		c.BulkString("flags")
		names := f.Flags.Names()
		c.SetOf(len(names))
		for _, name := range names {
			c.Simple(name)
		}
	}
}

// FUNCTION KILL
func cmdFunctionKill(s *Session) error {
	if e := s.srv.scripts.running.kill(true); e != nil {
		return e
	}
	s.c.OK()
	return nil
}

// FUNCTION STATS
func cmdFunctionStats(s *Session) error {
	c, set := s.c, s.srv.functions.set.Load()
	running, e := s.srv.scripts.running.shown()
	if e != nil {
		return e
	}
	c.Map(2)
	c.BulkString("running_script")
	if running == nil {
		c.Null()
	} else {
		c.Map(3)
		c.BulkString("name")
		c.BulkString(running.name)
		c.BulkString("command")
		c.Array(len(running.args))
		for _, arg := range running.args {
			c.Bulk(arg)
		}
		c.BulkString("duration_ms")
		c.Int((c.Worker.NowNs - running.beganNs) / 1_000_000)
	}
	c.BulkString("engines")
	c.Map(1)
	c.BulkString("LUA")
	c.Map(2)
	c.BulkString("libraries_count")
	c.Int(int64(set.Len()))
	c.BulkString("functions_count")
	c.Int(int64(set.FunctionCount()))
	return nil
}

// functionHelp is the text of FUNCTION HELP but for what Help adds.
const functionHelp = `LOAD [REPLACE] <FUNCTION CODE>
    Create a new library with the given library name and code.
DELETE <LIBRARY NAME>
    Delete the given library.
LIST [LIBRARYNAME PATTERN] [WITHCODE]
    Return general information on all the libraries:
    * Library name
    * The engine used to run the Library
    * Library description
    * Functions list
    * Library code (if WITHCODE is given)
    It also possible to get only function that matches a pattern using LIBRARYNAME argument.
STATS
    Return information about the current function running:
    * Function name
    * Command used to run the function
    * Duration in MS that the function is running
    If no function is running, return nil
    In addition, returns a list of available engines.
KILL
    Kill the current running function.
FLUSH [ASYNC|SYNC]
    Delete all the libraries.
    When called without the optional mode argument, the behavior is determined by the
    lazyfree-lazy-user-flush configuration directive. Valid modes are:
    * ASYNC: Asynchronously flush the libraries.
    * SYNC: Synchronously flush the libraries.
DUMP
    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command
RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]
    Restore the libraries represented by the given payload, it is possible to give a restore policy to
    control how to handle existing libraries (default APPEND):
    * FLUSH: delete all existing libraries.
    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.
    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old
      libraries with the new libraries (notice that even on this option there is a chance of failure
      in case of functions name collision with another library).
`

// FUNCTION HELP
func cmdFunctionHelp(s *Session) error {
	s.c.Help(functionHelp)
	return nil
}

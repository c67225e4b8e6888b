package server

import (
	"fmt"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// moduleRow has the commands of Redis's modules, shared objects in machine code, so that clients that ask find out that
// none are loaded. None can be.
func moduleRow() *command.Row {
	sub := func(name string, arity int, since, summary, cost, args string, run func(*Session) error) *command.Row {
		return &command.Row{Info: command.Info{
			Name: name, Arity: arity, Flags: command.Admin | command.NoScript | command.NoAsyncLoading,
			Group: "server", Since: since, Summary: summary, Complexity: cost, Args: args,
		}, Protected: command.ProtectedModule, RunSession: onSession(run)}
	}
	list := sub("list", 2, "4.0.0", "List all modules loaded by the server",
		"O(N) where N is the number of loaded modules.", "", cmdModuleList)
	list.Flags, list.Protected = command.Admin|command.NoScript, command.Unprotected
	list.Tips = []string{"nondeterministic_output_order"}
	help := sub("help", 2, "5.0.0", "Show helpful text about the different subcommands", "O(1)", "", cmdModuleHelp)
	help.Flags, help.Protected = command.Loading|command.Stale, command.Unprotected
	return &command.Row{Info: command.Info{
		Name: "module", Arity: -2, Group: "server", Since: "4.0.0", Summary: "A container for module commands",
		Complexity: "Depends on subcommand.",
	}, Subs: []*command.Row{
		list, help,
		sub("load", -3, "4.0.0", "Load a module", "O(1)", "path:string arg:string?*", cmdModuleLoad),
		sub("loadex", -3, "7.0.0", "Load a module with extended parameters", "O(1)",
			"path:string configs=CONFIG?*+(name:string value:string) args=ARGS?*(arg:string)", cmdModuleLoad),
		sub("unload", 3, "4.0.0", "Unload a module", "O(1)", "name:string", cmdModuleUnload),
	}}
}

const moduleHelp = `LIST
    Return a list of loaded modules.
LOAD <path> [<arg> ...]
    Load a module library from <path>, passing to it any optional arguments.
LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]
    Load a module library from <path>, while passing it module configurations and optional arguments.
UNLOAD <name>
    Unload a module.
`

// MODULE HELP
func cmdModuleHelp(s *Session) error {
	s.c.Help(moduleHelp)
	return nil
}

// MODULE LIST
func cmdModuleList(s *Session) error {
	s.c.Array(0)
	return nil
}

// MODULE LOAD path [arg [arg ...]]
// MODULE LOADEX path [CONFIG name value [CONFIG name value ...]] [ARGS arg [arg ...]]
func cmdModuleLoad(s *Session) error {
	s.srv.log.Warn(fmt.Sprintf("Module %s failed to load: this server takes no modules", cString(s.c.Args[2])))
	return resp.ErrModuleLoad
}

// MODULE UNLOAD name
func cmdModuleUnload(s *Session) error { return resp.ErrNoSuchModule }

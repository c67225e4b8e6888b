package command

import (
	"bytes"
	"strings"

	"fulmen/internal/glob"
	"fulmen/internal/resp"
)

func commandRows() []*Row {
	container := Info{
		Name: "command", Arity: -1, Flags: Loading | Stale, Categories: CatConnection, Group: "server",
		Since: "2.8.13", Summary: "Get array of Redis command details",
		Complexity: "O(N) where N is the total number of Redis commands",
		Tips:       []string{"nondeterministic_output_order"},
	}
	return []*Row{{Info: container, Run: cmdCommand, Subs: []*Row{
		commandSub("list", -2, cmdCommandList, "7.0.0", "Get an array of Redis command names",
			"O(N) where N is the total number of Redis commands",
			"filterby=FILTERBY?(module-name=MODULE|category=ACLCAT|pattern:pattern=PATTERN)",
			"nondeterministic_output_order"),
		commandInfoRow(),
		commandSub("count", 2, cmdCommandCount, "2.8.13", "Get total number of Redis commands", "O(1)", ""),
		commandSub("docs", -2, cmdCommandDocs, "7.0.0", "Get array of specific Redis command documentation",
			"O(N) where N is the number of commands to look up", "command-name?*", "nondeterministic_output_order"),
		commandSub("getkeys", -4, cmdCommandGetKeys, "2.8.13", "Extract keys given a full Redis command",
			"O(N) where N is the number of arguments to the command", ""),
		commandSub("getkeysandflags", -4, cmdCommandGetKeysAndFlags, "7.0.0",
			"Extract keys and access flags given a full Redis command",
			"O(N) where N is the number of arguments to the command", ""),
		commandSub("help", 2, cmdCommandHelp, "5.0.0", "Show helpful text about the different subcommands", "O(1)",
			""),
	}}}
}

func commandInfoRow() *Row {
	row := commandSub("info", -2, cmdCommandInfo, "2.8.13",
		"Get array of specific Redis command details, or all when no argument is given.",
		"O(N) where N is the number of commands to look up", "command-name?*", "nondeterministic_output_order")
	row.History = []Change{{"7.0.0", "Allowed to be called with no argument to get info on all commands."}}
	return row
}

func commandSub(name string, arity int, run func(*Ctx) error, since, summary, complexity, args string,
	tips ...string) *Row {
	return &Row{Info: Info{
		Name: name, Arity: arity, Flags: Loading | Stale, Categories: CatConnection, Group: "server",
		Since: since, Summary: summary, Complexity: complexity, Args: args, Tips: tips,
	}, Run: run}
}

// COMMAND
func cmdCommand(c *Ctx) error {
	rows := c.Table.Rows()
	c.Array(len(rows))
	for _, row := range rows {
		c.rowInfo(row)
	}
	return nil
}

// COMMAND COUNT
func cmdCommandCount(c *Ctx) error {
	c.Int(int64(len(c.Table.Rows())))
	return nil
}

// COMMAND INFO [command-name [command-name ...]]
func cmdCommandInfo(c *Ctx) error {
	if len(c.Args) == 2 {
		return cmdCommand(c)
	}
	c.Array(len(c.Args) - 2)
	for _, name := range c.Args[2:] {
		if row := c.Table.LookupFull(name); row != nil {
			c.rowInfo(row)
		} else {
			c.Null()
		}
	}
	return nil
}

// rowInfo replies a row as COMMAND INFO shows it.
func (c *Ctx) rowInfo(row *Row) {
	first, last, step := row.keyRange()
	c.Array(10)
	c.BulkString(row.FullName)
	c.Int(int64(row.Arity))
	c.names(uint32(row.Flags), flagBit, len(flagNames), "")
	c.Int(int64(first))
	c.Int(int64(last))
	c.Int(int64(step))
	c.names(uint32(row.AllCategories()), categoryBit, len(categoryNames), "@")
	c.SetOf(len(row.Tips))
	for _, tip := range row.Tips {
		c.BulkString(tip)
	}
	c.SetOf(len(row.Keys))
	for i := range row.Keys {
		c.keySpec(&row.Keys[i])
	}
	if len(row.Subs) == 0 {
		c.SetOf(0)
		return
	}
	c.Array(len(row.Subs))
	for _, sub := range row.Subs {
		c.rowInfo(sub)
	}
}

// names replies the names of the bits set in flags as simple strings; bit i is what bit says.
func (c *Ctx) names(flags uint32, bit func(i int) (uint32, string), bits int, prefix string) {
	n := 0
	for i := range bits {
		if b, _ := bit(i); flags&b != 0 {
			n++
		}
	}
	c.SetOf(n)
	for i := range bits {
		if b, name := bit(i); flags&b != 0 {
			c.Simple(prefix + name)
		}
	}
}

func flagBit(i int) (uint32, string)     { return uint32(flagNames[i].flag), flagNames[i].name }
func categoryBit(i int) (uint32, string) { return 1 << i, categoryNames[i] }
func keyFlagBit(i int) (uint32, string)  { return 1 << i, keyFlagNames[i] }

func (c *Ctx) keyFlags(flags KeyFlags) { c.names(uint32(flags), keyFlagBit, len(keyFlagNames), "") }

func (c *Ctx) keySpec(spec *KeySpec) {
	if spec.Notes != "" {
		c.Map(4)
		c.BulkString("notes")
		c.BulkString(spec.Notes)
	} else {
		c.Map(3)
	}
	c.BulkString("flags")
	c.keyFlags(spec.Flags)
	c.BulkString("begin_search")
	if spec.Unknown {
		c.specPart("unknown")
		c.BulkString("find_keys")
		c.specPart("unknown")
		return
	}
	if spec.Keyword != "" {
		c.specPart("keyword", "keyword", spec.Keyword, "startfrom", spec.First)
	} else {
		c.specPart("index", "index", spec.First)
	}
	c.BulkString("find_keys")
	if spec.Counted {
		c.specPart("keynum", "keynumidx", 0, "firstkey", 1, "keystep", spec.Step)
		return
	}
	c.specPart("range", "lastkey", spec.Last, "keystep", spec.Step, "limit", spec.Limit)
}

// specPart replies one half of a key spec: its type and its numbers and words, each after its name.
func (c *Ctx) specPart(kind string, numbers ...any) {
	c.Map(2)
	c.BulkString("type")
	c.BulkString(kind)
	c.BulkString("spec")
	c.Map(len(numbers) / 2)
	for i := 0; i < len(numbers); i += 2 {
		c.BulkString(numbers[i].(string))
		if word, ok := numbers[i+1].(string); ok {
			c.BulkString(word)
		} else {
			c.Int(int64(numbers[i+1].(int)))
		}
	}
}

// COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]
func cmdCommandList(c *Ctx) error {
	filter := func(*Row) bool { return true }
	a := c.ArgsFrom(2)
	for a.More() {
		if a.Left() != 3 || !a.Option("filterby") {
			return resp.ErrSyntax
		}
		switch {
		case a.Option("module"):
			ours := string(cString(c.Args[a.At()])) == ModuleName
			filter = func(row *Row) bool { return ours && row.Flags&Module != 0 }
		case a.Option("aclcat"):
			category := categoryNamed(c.Args[a.At()])
			filter = func(row *Row) bool { return row.AllCategories()&category != 0 }
		case a.Option("pattern"):
			pattern := c.Args[a.At()]
			filter = func(row *Row) bool { return glob.Match(pattern, []byte(row.FullName), true) }
		default:
			a.Syntax()
		}
		a.Bytes()
	}
	if a.Err() != nil {
		return a.Err()
	}
	head, n := c.Mark(), 0
	for _, row := range c.Table.All() {
		if row.known() && filter(row) {
			c.BulkString(row.FullName)
			n++
		}
	}
	c.replace(head, 0, resp.AppendArray(nil, n))
	return nil
}

// categoryNamed returns the ACL category of that name in any case, or none.
func categoryNamed(name []byte) Categories {
	for i, s := range categoryNames {
		if equalFold(cString(name), s) {
			return 1 << i
		}
	}
	return 0
}

// COMMAND GETKEYS command [arg ...]
func cmdCommandGetKeys(c *Ctx) error {
	return c.keysOf(func(key []byte, _ KeyFlags) { c.Bulk(key) })
}

// COMMAND GETKEYSANDFLAGS command [arg ...]
func cmdCommandGetKeysAndFlags(c *Ctx) error {
	return c.keysOf(func(key []byte, flags KeyFlags) {
		c.Array(2)
		c.Bulk(key)
		c.keyFlags(flags)
	})
}

// keysOf replies an array of what reply says of each key of the command in the arguments from the second on.
func (c *Ctx) keysOf(reply func(key []byte, flags KeyFlags)) error {
	args := c.Args[2:]
	row := c.Table.Lookup(args[0])
	if row != nil && len(row.Subs) > 0 && len(args) > 1 {
		row = row.Sub(args[1])
	}
	switch {
	case row == nil:
		return resp.ErrInvalidCommand
	case !row.hasKeys():
		return resp.ErrNoKeyArguments
	case !row.ArityOK(len(args)):
		return resp.ErrInvalidArgCount
	}
	head, n := c.Mark(), 0
	var at []int
	for i := range row.Keys {
		spec := &row.Keys[i]
		flags := spec.Flags
		if flags&KeyNotKey != 0 {
			continue
		}
		if flags&KeyVariable != 0 {
			flags = row.KeyFlags(args)
		}
		at = spec.indexes(at[:0], args)
		for _, k := range at {
			reply(args[k], flags)
			n++
		}
	}
	if n == 0 && row.Flags&NoMandatoryKeys == 0 {
		return resp.ErrInvalidArgs
	}
	c.replace(head, 0, resp.AppendArray(nil, n))
	return nil
}

// LookupFull finds a command or, as in "config|get", a subcommand by name in any case; nil when there is none.
func (t *Table) LookupFull(name []byte) *Row {
	name, sub, isSub := bytes.Cut(name, []byte("|"))
	row := t.Lookup(name)
	if row == nil || !isSub {
		return row
	}
	return row.Sub(sub)
}

// commandHelp is the text of COMMAND HELP but for what Help adds.
const commandHelp = `(no subcommand)
    Return details about all Redis commands.
COUNT
    Return the total number of commands in this Redis server.
LIST
    Return a list of all commands in this Redis server.
INFO [<command-name> ...]
    Return details about multiple Redis commands.
    If no command names are given, documentation details for all
    commands are returned.
DOCS [<command-name> ...]
    Return documentation details about multiple Redis commands.
    If no command names are given, documentation details for all
    commands are returned.
GETKEYS <full-command>
    Return the keys from a full Redis command.
GETKEYSANDFLAGS <full-command>
    Return the keys and the access flags from a full Redis command.
`

// COMMAND HELP
func cmdCommandHelp(c *Ctx) error {
	c.Help(commandHelp)
	return nil
}

// Help replies the text of a container's HELP, line by line between the lines that all of them have.
func (c *Ctx) Help(text string) {
	name := strings.ToUpper(c.Row.Name)
	if c.Row.Container != nil {
		name = strings.ToUpper(c.Row.Container.Name)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	c.Array(len(lines) + 3)
	c.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, line := range lines {
		c.Simple(line)
	}
	c.Simple("HELP")
	c.Simple("    Prints this help.")
}

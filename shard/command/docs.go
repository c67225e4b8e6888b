package command

// COMMAND DOCS [command-name [command-name ...]]
func cmdCommandDocs(c *Ctx) error {
	var rows []*Row
	if len(c.Args) == 2 {
		rows = c.Table.Rows()
	}
	for _, name := range c.Args[2:] {
		if row := c.Table.LookupFull(name); row != nil {
			rows = append(rows, row)
		}
	}
	c.rowsDocs(rows)
	return nil
}

func (c *Ctx) rowsDocs(rows []*Row) {
	c.Map(len(rows))
	for _, row := range rows {
		c.BulkString(row.FullName)
		c.rowDocs(row)
	}
}

// rowDocs replies a row as COMMAND DOCS shows it: a map of what there is to say.
func (c *Ctx) rowDocs(row *Row) {
	args := parseSyntax(row.Args)
	c.Map(3 + count(row.Complexity != "", row.Flags&Module != 0, row.Syscmd || row.DeprecatedSince != "",
		row.DeprecatedSince != "", row.ReplacedBy != "", len(row.History) > 0, len(args) > 0, len(row.Subs) > 0))
	c.field("summary", row.Summary)
	c.field("since", row.Since)
	c.field("group", row.Group)
	if row.Complexity != "" {
		c.field("complexity", row.Complexity)
	}
	if row.Flags&Module != 0 {
		c.field("module", ModuleName)
	}
	if row.Syscmd || row.DeprecatedSince != "" {
		c.BulkString("doc_flags")
		c.words(docFlag(row.DeprecatedSince != "", "deprecated"), docFlag(row.Syscmd, "syscmd"))
	}
	if row.DeprecatedSince != "" {
		c.field("deprecated_since", row.DeprecatedSince)
	}
	if row.ReplacedBy != "" {
		c.field("replaced_by", row.ReplacedBy)
	}
	if len(row.History) > 0 {
		c.BulkString("history")
		c.SetOf(len(row.History))
		for _, change := range row.History {
			c.Array(2)
			c.BulkString(change.Since)
			c.BulkString(change.What)
		}
	}
	if len(args) > 0 {
		c.BulkString("arguments")
		c.arguments(args)
	}
	if len(row.Subs) > 0 {
		c.BulkString("subcommands")
		c.rowsDocs(row.Subs)
	}
}

func (c *Ctx) arguments(args []argument) {
	c.Array(len(args))
	for i := range args {
		c.argument(&args[i])
	}
}

func (c *Ctx) argument(a *argument) {
	flags := a.optional || a.multiple || a.multipleTokens
	c.Map(2 + count(a.keySpec >= 0, a.hasToken, a.since != "", a.until != "", flags, len(a.parts) > 0))
	c.field("name", a.name)
	c.field("type", a.kind)
	if a.keySpec >= 0 {
		c.BulkString("key_spec_index")
		c.Int(int64(a.keySpec))
	}
	if a.hasToken {
		c.field("token", a.token)
	}
	if a.since != "" {
		c.field("since", a.since)
	}
	if a.until != "" {
		c.field("deprecated_since", a.until)
	}
	if flags {
		c.BulkString("flags")
		c.words(docFlag(a.optional, "optional"), docFlag(a.multiple, "multiple"),
			docFlag(a.multipleTokens, "multiple_token"))
	}
	if len(a.parts) > 0 {
		c.BulkString("arguments")
		c.arguments(a.parts)
	}
}

// field replies a key and its value.
func (c *Ctx) field(key, value string) {
	c.BulkString(key)
	c.BulkString(value)
}

func docFlag(has bool, name string) string {
	if has {
		return name
	}
	return ""
}

// words replies the set of words that are not empty as simple strings.
func (c *Ctx) words(words ...string) {
	n := 0
	for _, w := range words {
		n += count(w != "")
	}
	c.SetOf(n)
	for _, w := range words {
		if w != "" {
			c.Simple(w)
		}
	}
}

// count returns how many are true.
func count(all ...bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

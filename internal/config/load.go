package config

import (
	"errors"
	"fmt"
	"strings"
)

// Limits on includes: Redis has none and dies of a file that includes itself.
const (
	maxIncludeDepth = 16
	maxIncludes     = 1000
)

// Load makes a configuration from the words of a command line (without the program's name) and the files it names:
//
//	[file | -] [--name value …]… [-]
//
// The file is read first, then standard input ("-"), then the options, so that options win. An option takes all words
// up to the next one that begins with "--"; its first value may begin with "--" too, except after --save, which may be
// empty. Errors are ErrHelp, ErrVersion, *OpenError and *LineError.
func Load(args []string, env Env) (*Config, error) {
	line, err := parseArgs(args)
	if err != nil {
		return nil, err
	}
	c := &Config{env: env}
	l := &loader{env: &c.env, settings: standardSettings(&env)}
	if line.file != "" {
		c.file = env.absolute(line.file)
		if err := l.read(c.file, 0); err != nil { // its name is no pattern, whatever is in it
			return nil, err
		}
	}
	if line.stdin {
		if err := l.stdin(); err != nil {
			return nil, err
		}
	}
	if err := l.load("command line", line.options, 0); err != nil {
		return nil, err
	}
	c.values.Store(newValues(&env, l.settings))
	c.renames = l.renames
	return c, nil
}

// loader collects settings from one source after the other.
type loader struct {
	env      *Env
	settings []setting
	renames  []Rename
	includes int
}

// Rename is a line "rename-command old new"; an empty New makes the command unknown.
type Rename struct{ Old, New string }

// Renames returns the commands that files and command line have renamed, in their order.
func (c *Config) Renames() []Rename { return c.renames }

// include reads the named file, or all files that match a pattern; no match is no error.
func (l *loader) include(name string, depth int) error {
	files := []string{name}
	if strings.ContainsAny(name, "*?[") {
		files = nil
		if l.env.Files != nil {
			files, _ = l.env.Files.Glob(l.env.absolute(name)) // a bad pattern matches nothing
		}
	}
	for _, file := range files {
		if l.includes++; l.includes > maxIncludes {
			return &OpenError{file, reason("too many included files")}
		}
		if err := l.read(file, depth); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) read(file string, depth int) error {
	content, err := l.env.readFile(file)
	if err != nil {
		return &OpenError{file, err}
	}
	return l.load(file, string(content), depth)
}

func (l *loader) stdin() error {
	l.env.notice("Reading config from stdin")
	if l.env.Stdin == nil {
		return &OpenError{"-", reason("standard input can't be read here")}
	}
	content, err := l.env.Stdin()
	if err != nil {
		return &OpenError{"-", err}
	}
	return l.load("standard input", string(content), 0)
}

// load obeys the lines of one source.
func (l *loader) load(source, content string, depth int) error {
	number := 0
	for line := range strings.Lines(content) {
		number++
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		err := l.line(line, depth)
		var inner *LineError
		var open *OpenError
		switch {
		case err == nil:
		case errors.As(err, &inner) || errors.As(err, &open):
			return err // has its place already
		default:
			return &LineError{l.env.Version, source, number, line, err}
		}
	}
	return nil
}

// line obeys one line that is neither empty nor a comment.
func (l *loader) line(line string, depth int) error {
	if strings.IndexByte(line, 0) >= 0 {
		return reason("the line has a NUL byte")
	}
	words, err := splitArgs(line)
	if err != nil || len(words) == 0 {
		return err
	}
	name, args := strings.ToLower(words[0]), words[1:]
	i := lookup(name)
	if i < 0 {
		return l.directive(name, args, depth)
	}
	s, err := rows[i].accept(rows[i].ofLine(args), l.settings[i], l.env)
	if err == nil {
		l.settings[i] = rows[i].add(l.settings[i], s)
	}
	return err
}

// What a file may hold beside parameters.
const (
	includeDirective = "include"
	renameDirective  = "rename-command"
)

// isDirective tells whether a line that begins with the given word, in any case, is obeyed by directive.
func isDirective(word string) bool {
	return strings.EqualFold(word, includeDirective) || strings.EqualFold(word, renameDirective)
}

// directive obeys what is not a parameter, or says why it can't.
func (l *loader) directive(name string, args []string, depth int) error {
	if name == includeDirective && len(args) == 1 {
		if depth >= maxIncludeDepth {
			return fmt.Errorf("files are included more than %d deep", maxIncludeDepth)
		}
		return l.include(args[0], depth+1)
	}
	if name == renameDirective && len(args) == 2 {
		l.renames = append(l.renames, Rename{args[0], args[1]})
		return nil
	}
	for _, f := range foreign {
		if name == f.name || (strings.HasSuffix(f.name, "-") && strings.HasPrefix(name, f.name)) {
			if f.ignored {
				return nil
			}
			return fmt.Errorf("not supported yet: '%s' must not be set until there is %s", name, f.missing)
		}
	}
	const bad = reason("Bad directive or wrong number of arguments")
	if near := nearest(name); near != "" {
		return fmt.Errorf("%w: there is no '%s', did you mean '%s'?", bad, name, near)
	}
	return bad
}

// foreign names what Redis's files may hold and Fulmen has no row for; a name ending in "-" stands for all that begin
// with it.
var foreign = []struct {
	name    string
	ignored bool // Redis ignores it too
	missing string
}{
	{name: "list-max-ziplist-entries", ignored: true},
	{name: "list-max-ziplist-value", ignored: true},
	{name: "lua-replicate-commands", ignored: true},
	{name: "user", missing: "access control"},
	{name: "loadmodule", missing: "a module interface"},
	{name: "sentinel", missing: "a sentinel mode"},
	{name: "tls-", missing: "TLS"},
	{name: "cluster-", missing: "cluster mode"},
	{name: "syslog-", missing: "logging to syslog"},
}

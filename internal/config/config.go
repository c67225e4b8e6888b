package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"fulmen/internal/glob"
	"fulmen/persist/vfs"
)

// Env is what loading needs from outside.
type Env struct {
	Version string // of the server, for error texts
	Cwd     string // absolute; relative file names and `dir` are meant from here
	CPUs    int    // processors the process may use, for the defaults of shards and event-loops

	Files  vfs.FS                 // nil: no file can be read, and dir may be anything
	Stdin  func() ([]byte, error) // reads standard input to its end
	Notice func(text string)      // a line for the log, e.g. that a parameter has no effect; nil drops it
}

func (e *Env) notice(text string) {
	if e.Notice != nil {
		e.Notice(text)
	}
}

func (e *Env) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(e.Cwd, path)
}

func (e *Env) readFile(name string) ([]byte, error) {
	if e.Files == nil {
		return nil, fs.ErrNotExist
	}
	return e.Files.ReadFile(e.absolute(name))
}

// checkDir tells whether the path is a directory.
func (e *Env) checkDir(path string) error {
	if e.Files == nil {
		return nil
	}
	info, err := e.Files.Stat(path)
	if err == nil && !info.IsDir() {
		return reason("Not a directory")
	}
	return plainError(err)
}

// plainError words the usual errors of the system as C does, without the name of the file, which is said elsewhere.
func plainError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return reason("No such file or directory")
	case errors.Is(err, fs.ErrPermission):
		return reason("Permission denied")
	}
	return err
}

// Config is the parameters of a running server. All methods may be called from any goroutine.
type Config struct {
	values atomic.Pointer[Values] // replaced under mu

	mu    sync.Mutex // one writer at a time; guards hooks
	hooks []hook

	renames []Rename // immutable

	env  Env    // immutable
	file string // immutable; absolute path of the configuration file, "" if there is none
}

// hook is run when one of its rows changes.
type hook struct {
	rows []int
	run  func(old, new *Values) error
}

// New gives the configuration of a server started without arguments.
func New(env Env) *Config {
	c := &Config{env: env}
	settings := standardSettings(&env)
	c.values.Store(newValues(&env, settings))
	return c
}

// standardSettings parses the default of every row. dir's default is where the process stands, which needs no check.
func standardSettings(env *Env) []setting {
	quiet := Env{Cwd: env.Cwd, CPUs: env.CPUs}
	settings := make([]setting, len(rows))
	for i := range rows {
		s, err := rows[i].parse(rows[i].defaultWords(), setting{}, &quiet)
		if err != nil {
			panic("BUG: config: default of " + rows[i].name + ": " + err.Error())
		}
		settings[i] = s
	}
	return settings
}

func newValues(env *Env, settings []setting) *Values {
	v := &Values{cpus: env.CPUs, settings: settings}
	changes := make([]change, len(settings))
	for i, s := range settings {
		changes[i] = change{i, s}
	}
	return v.with(changes)
}

// Values gives the current parameters: one atomic load, no lock. A caller that reads several parameters which belong
// together reads them from one Values.
func (c *Config) Values() *Values { return c.values.Load() }

// File is the absolute path of the file that CONFIG REWRITE rewrites, "" if the server was started without one.
func (c *Config) File() string { return c.file }

// OnApply has run called whenever CONFIG SET changes one of the named parameters, once for all of them together, in the
// order in which hooks were registered. run gets the values before and after; readers see the new ones only once all
// hooks have succeeded. An error refuses the whole CONFIG SET, its text becoming part of the reply; hooks that had
// already run are then run again, last first, with the two exchanged. A hook that fails must leave things as they were.
// Hooks run one at a time and must not call Set or OnApply. An unknown name panics.
func (c *Config) OnApply(run func(old, new *Values) error, params ...string) {
	h := hook{run: run}
	for _, name := range params {
		i := lookup(name)
		if i < 0 {
			panic("BUG: config: OnApply of unknown parameter " + name)
		}
		h.rows = append(h.rows, i)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks = append(c.hooks, h)
}

// Pair is one parameter of CONFIG GET's answer.
type Pair struct{ Name, Value string }

// Get answers CONFIG GET: the parameters whose name or alias is one of, or matches one of, the patterns, each name
// once. A name without pattern characters is answered as it was written; a pattern does not find hidden parameters.
func (c *Config) Get(patterns []string) []Pair {
	v := c.Values()
	var pairs []Pair
	seen := make(map[string]bool)
	add := func(name string, row int) {
		if key := strings.ToLower(name); !seen[key] {
			seen[key] = true
			pairs = append(pairs, Pair{name, v.settings[row].text})
		}
	}
	for _, p := range patterns {
		if !strings.ContainsAny(p, "[*?") {
			if i := lookup(p); i >= 0 {
				add(p, i)
			}
			continue
		}
		for _, n := range names {
			if !rows[n.row].hidden && glob.Match([]byte(p), []byte(n.name), true) {
				add(n.name, n.row)
			}
		}
	}
	return pairs
}

// Sensitive tells whether the value of the parameter must not be shown in logs, by MONITOR or in the slow log.
func Sensitive(name string) bool {
	i := lookup(name)
	return i >= 0 && rows[i].sensitive
}

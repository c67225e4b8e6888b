package server

import (
	"errors"
	"strings"
	"sync/atomic"

	"fulmen/internal/resp"
	"fulmen/internal/script"
	"fulmen/persist/rdb"
	"fulmen/shard/command"
)

// Functions belong to the data: they are saved with it, sent to replicas and loaded again. The set of libraries is one
// immutable value. What changes it is a command under all batons, which all shards' logs have as a record in which
// they meet. So a cut has the set that goes with its data. Who calls a function, or replies what there is, has a baton:
// no function runs while the set changes, and the reply leaves when that change is as safe as its own one.

// functions are the server's libraries of functions.
type functions struct {
	srv *Server                          // immutable
	set atomic.Pointer[script.Libraries] // changed with all batons held

	fault atomic.Uint32 // a functionsFault; set by tests
}

// functionsFault is a mistake that a test plants in order to show that it would be noticed.
type functionsFault uint8

const (
	_                      functionsFault = iota
	faultFunctionsUnlogged                // changes are not logged
	faultFunctionsUnsaved                 // snapshots are without functions
	faultFunctionsStay                    // those of before stay when everything comes from a primary
)

// has tells whether a test has planted the fault.
func (f *functions) has(fault functionsFault) bool { return f.fault.Load() == uint32(fault) }

// script returns the function of that name; nil: there is none.
func (f *functions) script(name []byte) *script.Script {
	if fn := f.set.Load().Function(name); fn != nil {
		return &fn.Script
	}
	return nil
}

// functionKeys returns the number of keys of a call of a function.
func functionKeys(args [][]byte) (n int, err *resp.Error) {
	if n, err = scriptKeys(args); err == resp.ErrNotInteger {
		err = resp.ErrFunctionKeys
	}
	return n, err
}

// replace puts another set in the place of the one in use. All batons are held.
func (f *functions) replace(next *script.Libraries) { f.set.Swap(next).Retire(next) }

// codes returns the code of all libraries, for what is saved.
func (f *functions) codes() [][]byte {
	if f.has(faultFunctionsUnsaved) {
		return nil
	}
	return f.set.Load().Codes()
}

// join returns a set with libraries that were saved; merge has them take the place of those of the same names.
func (f *functions) join(set *script.Libraries, codes [][]byte, merge bool) (*script.Libraries, error) {
	for _, code := range codes {
		next, _, err := f.srv.scripts.engine.Load(set, code, merge, nil)
		if err != nil {
			return set, errors.New("Failed loading a library of functions: " + err.Msg)
		}
		set = next
	}
	return set, nil
}

// add adds libraries that were saved to those in use. All batons are held.
func (f *functions) add(codes [][]byte, merge bool) error {
	if len(codes) == 0 {
		return nil
	}
	next, err := f.join(f.set.Load(), codes, merge)
	if err == nil {
		f.replace(next)
	}
	return err
}

// change executes one of the commands that change functions, and returns the name of a library that was loaded. All
// batons are held. late is that of Engine.Load.
func (f *functions) change(row *command.Row, args [][]byte, late func() bool) (name string, err *resp.Error) {
	switch row.Name {
	case "load":
		return f.load(args, late)
	case "delete":
		next, ok := f.set.Load().Without(string(args[2]))
		if !ok {
			return "", resp.ErrNoLibrary
		}
		f.replace(next)
	case "flush":
		f.replace(nil)
	case "restore":
		return "", f.restore(args)
	default:
		panic("BUG: " + row.FullName + " changes no functions")
	}
	return "", nil
}

func (f *functions) load(args [][]byte, late func() bool) (name string, err *resp.Error) {
	replace := false
	for _, option := range args[2 : len(args)-1] {
		if !strings.EqualFold(string(option), "replace") {
			return "", resp.Errorf("ERR", "Unknown option given: %s", cString(option))
		}
		replace = true
	}
	next, name, err := f.srv.scripts.engine.Load(f.set.Load(), args[len(args)-1], replace, late)
	if err == nil {
		f.replace(next)
	}
	return name, err
}

// restore has the libraries of a payload join those that are there.
func (f *functions) restore(args [][]byte) *resp.Error {
	policy := "append"
	if len(args) == 4 {
		policy = strings.ToLower(string(args[3]))
	}
	if policy != "append" && policy != "replace" && policy != "flush" {
		return resp.ErrRestorePolicy
	}
	var restored *script.Libraries
	var wrong *resp.Error
	e := rdb.DecodeFunctions(args[2], func(code []byte) error {
		next, _, err := f.srv.scripts.engine.Load(restored, code, false, nil)
		if err != nil {
			return err
		}
		restored = next
		return nil
	})
	switch {
	case e == nil:
	case errors.As(e, &wrong):
		return wrong
	case errors.Is(e, rdb.ErrPayload):
		return resp.ErrBadDump
	default:
		return resp.Errorf("ERR", "%s", e.Error())
	}
	if policy != "flush" {
		joined, err := f.set.Load().Join(restored, policy == "replace")
		if err != nil {
			return err
		}
		restored = joined
	}
	f.replace(restored)
	return nil
}

// changesFunctions tells the commands that change is for.
func changesFunctions(row *command.Row) bool {
	return row.Container != nil && row.Container.Name == "function" && row.Flags&command.Write != 0
}

// loadMs is how long the code of a library may run when it is loaded, as in Redis.
const loadMs = 500

// changeFunctions is the handler of the commands that change functions; it returns the name of what was loaded.
func (s *Session) changeFunctions() (name string, err error) {
	c := s.c
	var late func() bool
	if s.primary == nil {
		clock := s.srv.set.Clock
		untilNs := clock.NowNs() + loadMs*1_000_000
		late = func() bool { return clock.NowNs() > untilNs }
	}
	name, e := s.srv.functions.change(c.Row, c.Args, late)
	if e != nil {
		return "", e
	}
	c.Dirty++
	if s.srv.functions.has(faultFunctionsUnlogged) {
		c.NoEffect()
	} else {
		c.EffectOfAll(c.Args...)
	}
	return name, nil
}

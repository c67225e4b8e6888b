package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"fulmen/internal/redistest"
)

// The scripts that transfer. Which accounts the first uses its keys tell, those of the second are found out as it runs.
// It may fail at the end, and what it has done stays.
const (
	scriptOfKeys = `
redis.call('DECRBY', KEYS[1], ARGV[1])
redis.call('INCRBY', KEYS[2], ARGV[1] - 1)
redis.call('INCR', KEYS[3])
return redis.call('GET', KEYS[1])`
	scriptOfNames = `
local last = 'account:' .. ARGV[1]
for i = 1, #ARGV do
  local name = 'account:' .. ARGV[i]
  redis.call('DECRBY', last, i)
  redis.call('INCRBY', name, i)
  last = name
end
if ARGV[1] == '7' then error('at the end') end
return #ARGV`
)

// transferLibrary has a function that transfers. It is replaced by other versions.
const transferLibrary = `#!lua name=transfer
-- version %d
redis.register_function('transfer', function(keys, args)
  redis.call('DECRBY', keys[1], args[1])
  return redis.call('INCRBY', keys[2], args[1])
end)`

// transferByFunction is transfer by a function, which is there or not.
func transferByFunction(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	from, to := accounts[rnd.IntN(len(accounts))], accounts[rnd.IntN(len(accounts))]
	command := []string{"FCALL", "transfer", "2", from, to, strconv.Itoa(1 + rnd.IntN(100))}
	switch rnd.IntN(20) {
	case 0, 1:
		command = []string{"FUNCTION", "LOAD", "REPLACE", fmt.Sprintf(transferLibrary, rnd.IntN(1000))}
	case 2:
		command = []string{"FUNCTION", "DELETE", "transfer"}
	}
	_, ok := pipeline(c, command)
	return 1, ok
}

// transferByScript is transfer by a script, which may be part of a transaction.
func transferByScript(rnd *rand.Rand, c *redistest.Conn) (int, bool) {
	if rnd.IntN(3) == 0 {
		return transferByFunction(rnd, c)
	}
	account := func() string { return accounts[rnd.IntN(len(accounts))] }
	command := []string{"EVAL", scriptOfKeys, "3", account(), account(), account(), strconv.Itoa(1 + rnd.IntN(100))}
	if rnd.IntN(2) == 0 {
		command = []string{"EVAL", scriptOfNames, "0"}
		for range 1 + rnd.IntN(5) {
			command = append(command, strconv.Itoa(rnd.IntN(len(accounts))))
		}
	}
	if rnd.IntN(3) == 0 {
		if replies, ok := pipeline(c, []string{"MULTI"}); !ok || replies[0].Err() != nil {
			return 0, false
		}
		_, ok := pipeline(c, []string{"INCR", "scripts"}, command, command, []string{"EXEC"})
		return 3, ok
	}
	_, ok := pipeline(c, command)
	return 1, ok
}

// toldLibrary is the library of which the ledger knows the code.
const toldLibrary = "told"

// load replaces the library and waits until a replica has it.
func (t *teller) load(epoch int, c *redistest.Conn) (int, bool) {
	code := fmt.Sprintf("#!lua name=%s\nredis.register_function('told', function() return %d end)", toldLibrary, t.n)
	t.ledger.setCode(epoch, "")
	replies, ok := pipeline(c, []string{"FUNCTION", "LOAD", "REPLACE", code}, []string{"WAIT", "1", "100"})
	if ok && text(replies[0]) == toldLibrary && replies[1].Int >= 1 {
		t.ledger.setCode(epoch, code)
	}
	return 2, ok
}

// setCode notes the library's code in an epoch, unless that is over; empty: it is not known.
func (l *ledger) setCode(epoch int, code string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch {
		l.code = code
	}
}

func (l *ledger) knownCode() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.code
}

// checkFunctions looks whether all servers have the same functions, and that of which the code is known.
func (r *round) checkFunctions() {
	code := r.load.ledger.knownCode()
	var want string
	for i, n := range r.chain {
		got := n.functions()
		if i == 0 {
			want = got
		}
		if got != want {
			r.failf("%s has the functions\n%s\n%s has\n%s", r.chain[0].name, want, n.name, got)
		}
		if !strings.Contains(got, code) {
			r.failf("%s has the functions\n%s\nand was to have\n%s", n.name, got, code)
		}
	}
}

// functions is the code of all libraries, in the order of their names.
func (n *node) functions() string {
	n.r.t.Helper()
	v, err := n.ctl.Do("FUNCTION", "LIST", "WITHCODE")
	if err != nil || v.Err() != nil {
		n.r.fatalf("%s: %v, %s", n.name, err, text(v))
	}
	var all []string
	for _, library := range v.Elems {
		fields := fieldsOf(library)
		all = append(all, fields["library_name"]+":\n"+fields["library_code"])
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

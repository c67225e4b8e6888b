package redistest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// selfCommands is the length of the streams of this package's own tests.
const selfCommands = 20_000

func newTestDiffer(t *testing.T, tested Server) *differ {
	t.Helper()
	right := Redis()
	return &differ{
		right: right.startDebugged(t), tested: tested.startDebugged(t), tolerances: Everything().tolerances(),
	}
}

func TestDiffEqualServers(t *testing.T) {
	Diff(t, Redis(), Redis(), Everything())
}

func TestStreamsAreSeeded(t *testing.T) {
	one := newStream(Everything(), 7, 1000, 1_700_000_000)
	two := newStream(Everything(), 7, 1000, 1_700_000_000)
	other := newStream(Everything(), 8, 1000, 1_700_000_000)
	same := func(a, b streamStep) bool { return a.conn == b.conn && slices.Equal(a.args, b.args) }
	if !slices.EqualFunc(one, two, same) {
		t.Error("one seed gave two streams")
	}
	if slices.EqualFunc(one, other, same) {
		t.Error("two seeds gave one stream")
	}
	counts := map[string]int{}
	for _, step := range newStream(Everything(), 1, selfCommands, 1_700_000_000) {
		counts[strings.ToLower(step.args[0])]++
	}
	for _, command := range Everything() {
		if counts[command.Name] == 0 {
			t.Errorf("no %s in %d commands", command.Name, selfCommands)
		}
	}
}

// TestDiffNoticesWrongServers plants faults of many kinds and wants each noticed and shrunk to what shows it.
func TestDiffNoticesWrongServers(t *testing.T) {
	// Not Everything: what comes often enough to be noticed must not depend on how many families there are.
	grammar := slices.Concat(Strings(), Keyspace(), Connection())
	for _, test := range []struct {
		name    string
		command string // that the fault is in
		args    int    // that it must have, 0: any number
		change  func(args []string) []string
		want    string // in the text that it is shrunk to, in lower case
		steps   int    // of that text, at most
	}{
		{"GETDEL keeps the key", "getdel", 2, func(args []string) []string {
			return []string{"get", args[1]}
		}, "> getdel", 2},
		{"EXPIRE forgets GT", "expire", 4, func(args []string) []string { return without(args, "gt") }, " gt\n", 3},
		{"SET forgets KEEPTTL", "set", 4, func(args []string) []string {
			return without(args, "keepttl")
		}, " keepttl\n", 3},
		{"APPEND appends something else", "append", 3, func(args []string) []string {
			return []string{"append", args[1], strings.Repeat("?", len(args[2]))}
		}, "> append", 1},
		{"UNWATCH is forgotten", "unwatch", 1, func([]string) []string {
			return []string{"echo", "x"}
		}, "> unwatch", 1},
		{"SETRANGE kills", "setrange", 0, func([]string) []string { return nil }, "> setrange", 1},
		{"SELECT 2 is SELECT 1", "select", 2, func(args []string) []string {
			return []string{"select", strings.ReplaceAll(args[1], "2", "1")}
		}, "> select", 2},
		{"PEXPIREAT is 50 s off", "pexpireat", 3, func(args []string) []string {
			if n, err := strconv.ParseInt(args[2], 10, 64); err == nil && n > 1e12 && n < 1e18 {
				args[2] = strconv.FormatInt(n+50_000, 10)
			}
			return args
		}, "> pexpireat", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newTestDiffer(t, wrongServer(func(args []string) []string {
				if strings.EqualFold(args[0], test.command) && (test.args == 0 || test.args == len(args)) {
					return test.change(args)
				}
				return args
			}))
			// Streams have moments in them at which keys expire, so that now and then one shrinks to something else.
			const last = 12
			for seed := uint64(3); ; seed++ {
				steps := newStream(grammar, seed, selfCommands, time.Now().Unix())
				found, err := d.play(steps)
				if err != nil {
					t.Fatal(err)
				}
				if found == nil && seed == last {
					t.Fatal("not noticed")
				}
				if found == nil {
					continue
				}
				short := d.shrink(steps, found)
				text := short.text("redis", "wrong")
				if len(short.steps) <= test.steps && strings.Contains(strings.ToLower(text), test.want) {
					break
				}
				if seed == last {
					t.Fatalf("noticed after %d commands, shrunk to\n%s", found.at+1, text)
				}
			}
		})
	}
}

// without gives a command without an option.
func without(args []string, option string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.EqualFold(arg, option) })
}

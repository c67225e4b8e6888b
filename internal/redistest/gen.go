package redistest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Grammar says what the commands of a random stream look like.
type Grammar []Command

// Command is one command of a grammar.
type Command struct {
	Name string
	// Weight is how often it comes, relative to the others.
	Weight int
	// Args makes its arguments, the name not included.
	Args func(g *Gen) []string
	// tol is what its replies may differ in.
	tol tolerance
	// rigid: it is not spoilt. Newer servers have another argument, or it would do what it must not do.
	rigid bool
}

// Gen makes random arguments. Its methods draw from small pools, so that commands meet each other's keys and values,
// and from edges, where servers differ.
//
// Time is the trouble of comparing two servers: a key must not expire between the two. So times to live are either past
// or far off, and far-off ones are at least 50 s from each other, so that GT and LT have one answer.
type Gen struct {
	rnd    *rand.Rand
	nowSec int64 // when the stream was begun
	times  int64 // times to live given out
}

func newGen(seed uint64, nowSec int64) *Gen {
	return &Gen{rnd: rand.New(rand.NewPCG(seed, 0)), nowSec: nowSec}
}

// Chance is true once in n times.
func (g *Gen) Chance(n int) bool { return g.rnd.IntN(n) == 0 }

// Pick gives one of the words.
func (g *Gen) Pick(words ...string) string { return words[g.rnd.IntN(len(words))] }

// Key gives one of a few keys; they lie in several shards.
func (g *Gen) Key() string {
	switch n := g.rnd.IntN(40); {
	case n < 36:
		return "k" + strconv.Itoa(n%12)
	case n == 36:
		return "{k1}:" + strconv.Itoa(g.rnd.IntN(3)) // beside k1
	case n == 37:
		return "\x00\xff\r\n"
	case n == 38:
		return ""
	default:
		return strings.Repeat("long", 100)
	}
}

// Keys gives from one to n keys.
func (g *Gen) Keys(n int) []string {
	keys := make([]string, 1+g.rnd.IntN(n))
	for i := range keys {
		keys[i] = g.Key()
	}
	return keys
}

// Value gives a string: numbers, nothing, binary, sizes around the limits of encodings and of pages.
func (g *Gen) Value() string {
	switch g.rnd.IntN(12) {
	case 0, 1, 2:
		return strconv.Itoa(g.rnd.IntN(200) - 100)
	case 3:
		return g.Int()
	case 4:
		return g.Float()
	case 5:
		return ""
	case 6:
		sizes := []int{44, 45, 64, 255, 256, 4000, 4096, 8200}
		return strings.Repeat(g.Pick("a", "b"), sizes[g.rnd.IntN(len(sizes))])
	case 7:
		return "\x00\x01\xfe\xff"
	default:
		return "v" + strconv.Itoa(g.rnd.IntN(1000))
	}
}

// Int gives an integer as text, most of them small, some at the edges of 64 bits, some that are none.
func (g *Gen) Int() string {
	switch g.rnd.IntN(8) {
	case 0:
		return g.Pick("9223372036854775807", "-9223372036854775808", "9223372036854775806", "4611686018427387904",
			"2147483647", "2147483648", "-2147483648", "-2147483649", "4294967296")
	case 1:
		return g.NoInt()
	default:
		return strconv.Itoa(g.rnd.IntN(41) - 20)
	}
}

// NoInt gives text that is no integer as Redis reads them.
func (g *Gen) NoInt() string {
	return g.Pick("", "abc", "1.0", "01", "+1", " 1", "1 ", "-0", "1e3", "0x10", "9223372036854775808",
		"-9223372036854775809", "1\x00", "--1", "-")
}

// Float gives a number as text, and some that are none.
func (g *Gen) Float() string {
	switch g.rnd.IntN(10) {
	case 0:
		return g.Pick("3.0e3", "1e-5", "-1.5e2", ".5", "5.", "0", "-0", "1e17", "123456789.125", "0.1",
			"0.000000000001")
	case 1:
		return g.Pick("inf", "-inf", "nan", "", "abc", "1.2.3", "1,5", " 1", "1 ", "1e", "0x", "1e5000")
	default:
		return strconv.Itoa(g.rnd.IntN(41)-20) + "." + g.Pick("0", "5", "25", "75", "1", "3", "10", "125")
	}
}

// Offset gives an offset in a string: near its ends, far out, and never so far that SETRANGE would make a huge one.
func (g *Gen) Offset() string {
	switch g.rnd.IntN(8) {
	case 0:
		return g.Pick("-1", "-2", "-100", "-5000", "536870912", "2147483647", "9223372036854775807",
			"-9223372036854775808")
	case 1:
		return g.Pick("43", "44", "255", "4095", "4096", "4097", "9000")
	case 2:
		return g.NoInt()
	default:
		return strconv.Itoa(g.rnd.IntN(12))
	}
}

const (
	farSec     = 1_000_000 // the nearest far-off time to live
	farStepSec = 100       // between two of them
	farTimes   = 1_000_003 // of them, a prime
)

// farSeconds gives a far-off time to live that was not given for a million calls.
func (g *Gen) farSeconds() int64 {
	g.times++
	return farSec + g.times*7919%farTimes*farStepSec
}

// TTL gives the argument of an expiry option: relative or absolute, in seconds or milliseconds; mostly far off, at
// times past or not valid.
func (g *Gen) TTL(absolute, ms bool) string {
	if g.Chance(12) {
		return g.Pick("0", "-1", "-9223372036854775808", "9223372036854775807", "9223372036854775", g.NoInt())
	}
	seconds := g.farSeconds()
	if absolute {
		seconds += g.nowSec + farStepSec/2 // apart from the relative ones
		if g.Chance(10) {
			seconds = 1 + int64(g.rnd.IntN(1000))
		}
	}
	if ms {
		seconds *= 1000
	}
	return strconv.FormatInt(seconds, 10)
}

// anyCase writes a word in lower, upper or mixed case.
func (g *Gen) anyCase(word string) string {
	switch g.rnd.IntN(4) {
	case 0:
		return strings.ToUpper(word)
	case 1:
		b := []byte(strings.ToLower(word))
		i := g.rnd.IntN(len(b))
		b[i] = strings.ToUpper(word)[i]
		return string(b)
	default:
		return strings.ToLower(word)
	}
}

// options gives each option once in n times, in any order.
func (g *Gen) options(n int, options ...[]string) []string {
	var args []string
	for _, i := range g.rnd.Perm(len(options)) {
		if g.Chance(n) {
			args = append(args, g.anyCase(options[i][0]))
			args = append(args, options[i][1:]...)
		}
	}
	return args
}

// step makes a command with its arguments; some it spoils.
func (g *Gen) step(grammar Grammar, weight int) []string {
	n := g.rnd.IntN(weight)
	for _, command := range grammar {
		if n -= command.Weight; n < 0 {
			args := append([]string{g.anyCase(command.Name)}, command.Args(g)...)
			if g.Chance(30) && !command.rigid {
				args = g.spoil(args)
			}
			return args
		}
	}
	panic("redistest: weights that do not add up")
}

// spoil makes a command wrong, or at least odd. It puts in no small positive number: that might be a time to live. Nor
// does a scan get a number that it would take for a cursor: which elements come after that is each server's own affair.
func (g *Gen) spoil(args []string) []string {
	args = slices.Clone(args)
	junk := g.Pick("", "abc", "nx", "0", "-1", "1.5", "9223372036854775808", "\x00")
	if strings.HasSuffix(strings.ToLower(args[0]), "scan") && (junk == "-1" || junk == "9223372036854775808") {
		junk = "0"
	}
	i := g.rnd.IntN(len(args))
	switch g.rnd.IntN(6) {
	case 0: // a word too many
		return append(args, junk)
	case 1: // a word too few
		return args[:max(1, len(args)-1)]
	case 2: // a word twice
		return slices.Insert(args, i, args[i])
	case 3: // an unknown command
		args[0] = "no" + args[0]
		return args
	case 4: // no arguments
		return args[:1]
	default:
		if i > 0 {
			args[i] = junk
		}
		return args
	}
}

// Without gives the grammar without some commands.
func (g Grammar) Without(names ...string) Grammar {
	return slices.DeleteFunc(slices.Clone(g), func(c Command) bool { return slices.Contains(names, c.Name) })
}

func (g Grammar) weight() int {
	sum := 0
	for _, command := range g {
		sum += command.Weight
	}
	return sum
}

// tolerances gives what each command's replies may differ in, by its name in lower case.
func (g Grammar) tolerances() map[string]tolerance {
	byName := map[string]tolerance{}
	for _, command := range g {
		byName[command.Name] = command.tol
	}
	return byName
}

// Stream gives so many random commands of a grammar, the same for the same seed; nowSec is the servers' Unix time.
func Stream(grammar Grammar, seed uint64, length int, nowSec int64) [][]string {
	g, weight := newGen(seed, nowSec), grammar.weight()
	commands := make([][]string, length)
	for i := range commands {
		commands[i] = g.step(grammar, weight)
	}
	return commands
}

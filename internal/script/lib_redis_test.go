package script

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"fulmen/internal/redistest"
)

var (
	flagCalls = flag.Int("calls", 2000, "random calls of each library that are compared with redis-server's")
	flagFrom  = flag.Uint64("callseed", 1, "seed of random calls")
)

// callsPerScript is how many expressions one script evaluates: functions may have 200 constants' worth of them.
const callsPerScript = 40

// TestLibrariesAgainstRedis evaluates random calls of library functions here and in redis-server, and compares results
// and errors. The first that differs is shrunk.
func TestLibrariesAgainstRedis(t *testing.T) {
	conn := dialOracle(t)
	for _, library := range callLibraries {
		t.Run(library.name, func(t *testing.T) {
			g := &callGen{rand.New(rand.NewPCG(*flagFrom, 0))}
			for done := 0; done < *flagCalls; done += callsPerScript {
				calls := make([]call, callsPerScript)
				for i := range calls {
					calls[i] = library.call(g)
				}
				compareCalls(t, conn, library.digits, calls)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// call is a call of a function: prefix(args…)suffix.
type call struct {
	prefix string
	args   []string
	suffix string
}

func (c call) String() string { return c.prefix + "(" + strings.Join(c.args, ", ") + ")" + c.suffix }

// compareCalls compares what calls give.
func compareCalls(t *testing.T, conn *redistest.Conn, digits string, calls []call) {
	t.Helper()
	ours, theirs := bothResults(t, conn, digits, calls)
	for i := range calls {
		if ours[i] == theirs[i] {
			continue
		}
		small := shrinkCall(t, conn, digits, calls[i])
		ours, theirs := bothResults(t, conn, digits, []call{small})
		t.Errorf("%s\n here: %.600q\nredis: %.600q", small, ours[0], theirs[0])
		if testing.Verbose() {
			continue
		}
		return
	}
}

func bothResults(t *testing.T, conn *redistest.Conn, digits string, calls []call) (ours, theirs []string) {
	t.Helper()
	expressions := make([]string, len(calls))
	for i, c := range calls {
		expressions[i] = c.String()
	}
	return bothScripts(t, conn, scriptOf(digits, expressions))
}

// bothScripts runs a script here and in redis-server.
func bothScripts(t *testing.T, conn *redistest.Conn, script string) (ours, theirs []string) {
	t.Helper()
	ours = runLibs(t, NewEngine(noRows, Limits{}).NewRunner(newFakeHost()), script)
	reply, err := conn.Do("EVAL", script, "0")
	if err != nil {
		t.Fatal(err)
	}
	return ours, texts(t, reply, script)
}

// shrinkCall makes a call whose results differ smaller.
func shrinkCall(t *testing.T, conn *redistest.Conn, digits string, c call) call {
	differs := func(c call) bool {
		ours, theirs := bothResults(t, conn, digits, []call{c})
		return ours[0] != theirs[0]
	}
	for smaller := true; smaller; {
		smaller = false
		for _, candidate := range smallerCalls(c) {
			if differs(candidate) {
				c, smaller = candidate, true
				break
			}
		}
	}
	return c
}

// smallerCalls are calls without an argument or with a shorter one.
func smallerCalls(c call) []call {
	var result []call
	with := func(args []string) { result = append(result, call{c.prefix, args, c.suffix}) }
	for i := len(c.args) - 1; i >= 0; i-- {
		with(append(append([]string{}, c.args[:i]...), c.args[i+1:]...))
		text, ok := unquoteLua(c.args[i])
		if !ok {
			continue
		}
		for n := max(len(text)/2, 1); n > 0 && n <= len(text); n /= 2 {
			for at := 0; at+n <= len(text); at += n {
				args := append([]string{}, c.args...)
				args[i] = quoteLua(text[:at] + text[at+n:])
				with(args)
			}
		}
	}
	return result
}

// quoteLua is a string as Lua source.
func quoteLua(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "\\%03d", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// unquoteLua is the reverse of quoteLua.
func unquoteLua(s string) (text string, ok bool) {
	if len(s) < 2 || s[0] != '"' || strings.Contains(s[1:len(s)-1], `"`) {
		return "", false
	}
	var b strings.Builder
	for s = s[1 : len(s)-1]; s != ""; {
		if s[0] != '\\' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		b.WriteByte((s[1]-'0')*100 + (s[2]-'0')*10 + s[3] - '0')
		s = s[4:]
	}
	return b.String(), true
}

// callGen makes random calls.
type callGen struct{ *rand.Rand }

func (g *callGen) pick(choices ...string) string { return choices[g.IntN(len(choices))] }

// chance is true once in n times.
func (g *callGen) chance(n int) bool { return g.IntN(n) == 0 }

// text is a string of up to n characters of an alphabet.
func (g *callGen) text(alphabet string, n int) string {
	b := make([]byte, g.IntN(n+1))
	for i := range b {
		b[i] = alphabet[g.IntN(len(alphabet))]
	}
	return string(b)
}

// integer is a small integer, mostly.
func (g *callGen) integer() string {
	if g.chance(8) {
		return g.number()
	}
	return fmt.Sprint(g.IntN(24) - 8)
}

// number is a number that has something to it.
func (g *callGen) number() string {
	switch g.IntN(6) {
	case 0:
		return g.pick("0", "-zero", "1/0", "-1/0", "0/0", "-(0/0)", "0.5", "1.5", "2.5", "-0.5", "1e15", "1e14",
			"99999999999999",
			"123456789012345", "1e100", "-1e100", "2^31", "-2^31", "2^31-1", "2^32", "2^32+1", "2^51", "2^52",
			"2^52+0.5", "2^53",
			"-2^53", "2^63", "-2^63", "2^64", "2^63-1024", "2^64-2048", "1e-5", "1e-4", "1e-320", "5e-324",
			"1.7976931348623157e308",
			"0.1", "1/3", "100", "255", "256", "65535", "65536", "3.14159", "1e21", "1e22")
	case 1:
		return fmt.Sprint(g.IntN(1000) - 300)
	case 2:
		return fmt.Sprint(int32(g.Uint32()))
	case 3:
		return fmt.Sprintf("%.17g", g.NormFloat64()*1000)
	case 4:
		return fmt.Sprintf("%de%d", g.IntN(100000), g.IntN(40)-20)
	}
	return fmt.Sprintf("%.17g", g.Float64())
}

// numberText is a string that may be a number.
func (g *callGen) numberText() string {
	if g.chance(2) {
		return quoteLua(g.text("0123456789abcdefxXpPeE.+- infINFaty()_\x00\n", 8))
	}
	return quoteLua(g.pick("0x10", "0X1p4", " 12 ", "1e5", "1E+5", "0x", "0x.8", "1e", ".5", "5.", ".", "-0x10",
		"inf", "-inf",
		"nan", "-nan", "nan(12)", "infinity", "1_000", "0b1", "0o7", "017", "1e400", "-1e400", "1e-400", "+5", "--5",
		"", " ",
		"12\x00", "0x1P-2", "12abc", "99999999999999999999"))
}

// any is a value of any type.
func (g *callGen) any() string {
	switch g.IntN(9) {
	case 0:
		return "nil"
	case 1:
		return g.pick("true", "false")
	case 2:
		return g.number()
	case 3:
		return g.numberText()
	case 4:
		return "{}"
	case 5:
		return "{" + g.number() + ", " + g.number() + "}"
	case 6:
		return "cjson.null"
	case 7:
		return "function() end"
	}
	return quoteLua(g.text("abcABC012 %.\x00\xff", 6))
}

// args makes arguments by their makers: mostly all of them, of the right types.
func (g *callGen) args(makers ...func() string) []string {
	n := len(makers)
	if g.chance(8) {
		n = g.IntN(n + 1)
	}
	args := make([]string, 0, n+1)
	for _, make := range makers[:n] {
		if g.chance(25) {
			args = append(args, g.any())
		} else {
			args = append(args, make())
		}
	}
	if g.chance(20) {
		args = append(args, g.any())
	}
	return args
}

// callLibrary makes calls of a library's functions.
type callLibrary struct {
	name   string
	digits string // the format that numbers are compared in
	call   func(g *callGen) call
}

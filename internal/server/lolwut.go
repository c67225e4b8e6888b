package server

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"fulmen/shard/command"
)

func lolwutRow() *command.Row {
	return &command.Row{Info: command.Info{
		Name: "lolwut", Arity: -1, Flags: command.ReadOnly | command.Fast, Group: "server", Since: "5.0.0",
		Summary: "Display some computer art and the Redis version", Args: "version:integer=VERSION?",
	}, RunSession: onSession(cmdLolwut)}
}

// LOLWUT [VERSION version]
//
// There is one picture, for whichever version of Redis's that has one is asked for; other versions get none.
func cmdLolwut(s *Session) error {
	version := int64(5)
	if a := s.c.ArgsFrom(1); a.Left() >= 2 && a.Option("version") {
		if version = a.Int(); version == 5 || version == 6 {
			for range min(a.Left(), int(8-version)) { // the size of Redis's picture
				a.Int()
			}
		}
		if a.Err() != nil {
			return a.Err()
		}
	}
	text := fmt.Sprintf("Fulmen ver. %s, Redis ver. %s\n", Version, RedisVersion)
	if version == 5 || version == 6 {
		text = bolt(rand.IntN) + "\n" + text
	}
	s.c.Verbatim("txt", text)
	return nil
}

// bolt draws a flash of lightning that falls from a cloud and forks; pick(n) chooses among n ways.
func bolt(pick func(n int) int) string {
	const width, height = 40, 14
	var b strings.Builder
	b.WriteString("        .-~~~-.  _.-~~~~-._  .-~~-.\n      (      fulmen, fulminis, n.    )\n")
	b.WriteString("       `-.__.-'`-.______.-'`-.__.-'\n")
	type tip struct{ x, dx int }
	tips := []tip{{width / 2, 1 - 2*pick(2)}}
	for range height {
		row := []byte(strings.Repeat(" ", width))
		next := tips[:0:0]
		for _, t := range tips {
			switch pick(4) {
			case 0: // it turns
				row[t.x], t.dx = '|', -t.dx
			case 1:
				if len(tips) < 5 { // it forks
					next = append(next, tip{clampTo(t.x-t.dx, width), -t.dx})
				}
				fallthrough
			default:
				row[t.x] = "\\ /"[1-t.dx]
			}
			t.x = clampTo(t.x+t.dx, width)
			next = append(next, t)
		}
		tips = next
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return b.String()
}

func clampTo(x, width int) int { return min(max(x, 0), width-1) }

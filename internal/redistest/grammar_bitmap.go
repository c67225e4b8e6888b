package redistest

import (
	"strconv"
	"strings"
)

// Bitmaps are the commands of bits, and LCS.
func Bitmaps() Grammar {
	return Grammar{
		{Name: "setbit", Weight: 15, Args: keyAnd((*Gen).BitOffset, (*Gen).Bit)},
		{Name: "getbit", Weight: 10, Args: keyAnd((*Gen).BitOffset)},
		{Name: "bitcount", Weight: 12, Args: func(g *Gen) []string {
			return append([]string{g.Key()}, g.bitRange()...)
		}},
		{Name: "bitpos", Weight: 12, Args: func(g *Gen) []string {
			return append([]string{g.Key(), g.Bit()}, g.bitRange()...)
		}},
		{Name: "bitop", Weight: 12, Args: argsBitop},
		{Name: "bitfield", Weight: 18, Args: argsBitfield},
		{Name: "bitfield_ro", Weight: 6, Args: argsBitfieldRO},
		{Name: "set", Weight: 8, Args: func(g *Gen) []string {
			repeated := strings.Repeat(g.Pick("ab", "cd", "abcx", "\x00"), g.rnd.IntN(9))
			return []string{g.lcsKey(), repeated + g.Pick("b", "xb", "")}
		}},
		{Name: "append", Weight: 8, Args: func(g *Gen) []string {
			return []string{g.lcsKey(), g.Pick("ab", "cd", "abcx", "\x00", "0123456789")}
		}},
		{Name: "lcs", Weight: 10, Args: func(g *Gen) []string {
			return append([]string{g.lcsKey(), g.lcsKey()}, g.options(3, []string{"len"}, []string{"idx"},
				[]string{"minmatchlen", g.Int()}, []string{"withmatchlen"})...)
		}},
	}
}

// BitOffset gives the offset of a bit: near the beginning, in pages further on, at the limit, some that are none.
func (g *Gen) BitOffset() string {
	switch g.rnd.IntN(16) {
	case 0:
		return g.Pick("-1", "4294967296", "4294967295000", "9223372036854775807", g.NoInt())
	case 1, 2:
		return strconv.Itoa(g.rnd.IntN(100_000))
	case 3:
		return g.Pick("32703", "32704", "32767", "32768", "65407", "65408")
	default:
		return strconv.Itoa(g.rnd.IntN(80))
	}
}

// Bit gives 0 or 1, and some that are neither.
func (g *Gen) Bit() string {
	if g.Chance(15) {
		return g.Pick("2", "-1", g.NoInt())
	}
	return strconv.Itoa(g.rnd.IntN(2))
}

// bitRange gives the range of BITCOUNT and BITPOS, or a part of it.
func (g *Gen) bitRange() []string {
	args := []string{g.bitIndex(), g.bitIndex(), g.anyCase(g.Pick("bit", "byte", "bit", "byte", "nibble"))}
	if g.Chance(20) {
		args = append(args, "more")
		return args
	}
	return args[:g.rnd.IntN(4)]
}

func (g *Gen) bitIndex() string {
	if g.Chance(3) {
		return strconv.Itoa(g.rnd.IntN(200) - 100)
	}
	return g.Offset()
}

func argsBitop(g *Gen) []string {
	op := g.anyCase(g.Pick("and", "or", "xor", "not", "nor"))
	args := append([]string{op, g.Key()}, g.Keys(4)...)
	if (op == "not" || op == "NOT") && !g.Chance(4) {
		args = args[:3]
	}
	return args
}

// lcsKey gives a key of strings that stay short: LCS takes redis-server a second for two of 10 KB.
func (g *Gen) lcsKey() string { return g.Pick("lcs0", "lcs1", "lcs2", "lcs3", "lcs4") }

// encoding gives the type of a field.
func (g *Gen) encoding() string {
	switch g.rnd.IntN(20) {
	case 0:
		return g.Pick("u64", "i65", "u0", "i0", "i-1", "I8", "8", "u", "", "u8\x00", "i 8", "i08")
	case 1, 2:
		return g.Pick("i64", "u63", "i63")
	default:
		return g.Pick("u", "i") + strconv.Itoa(1+g.rnd.IntN(40))
	}
}

func (g *Gen) fieldOffset() string {
	switch g.rnd.IntN(10) {
	case 0:
		return g.Pick("#", "##1", "#-1", "#x", "#4611686018427387904", "#9223372036854775807")
	case 1:
		return g.BitOffset()
	case 2, 3, 4:
		return "#" + strconv.Itoa(g.rnd.IntN(5))
	default:
		return strconv.Itoa(g.rnd.IntN(150))
	}
}

func (g *Gen) fieldValue() string {
	if g.Chance(3) {
		return g.Int()
	}
	return strconv.Itoa(g.rnd.IntN(600) - 300)
}

// argsBitfield makes a BITFIELD. One that may fail sets a far field first: Redis lets a string grow without a change
// being counted or told to watchers if all that grows it fails.
func argsBitfield(g *Gen) []string {
	args := []string{g.Key()}
	fails := g.Chance(3)
	if fails {
		args = append(args, "set", "u8", "2000", strconv.Itoa(g.rnd.IntN(256)))
	}
	for range g.rnd.IntN(5) {
		switch g.rnd.IntN(8) {
		case 0, 1, 2:
			args = append(args, g.anyCase("set"), g.encoding(), g.fieldOffset(), g.fieldValue())
		case 3, 4, 5:
			args = append(args, g.anyCase("incrby"), g.encoding(), g.fieldOffset(), g.fieldValue())
		case 6:
			args = append(args, g.anyCase("get"), g.encoding(), g.fieldOffset())
		default:
			rule := g.Pick("wrap", "sat", "wrap", "sat", "nothing")
			if fails {
				rule = "fail"
			}
			args = append(args, g.anyCase("overflow"), g.anyCase(rule))
		}
	}
	return args
}

func argsBitfieldRO(g *Gen) []string {
	args := []string{g.Key()}
	for range g.rnd.IntN(4) {
		args = append(args, g.anyCase("get"), g.encoding(), g.fieldOffset())
	}
	return append(args, g.options(12, []string{"set", "u8", "0", "1"}, []string{"overflow", "sat"})...)
}

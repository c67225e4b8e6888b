package redistest

import (
	"encoding/binary"

	"fulmen/internal/crc"
)

// Dumps are DUMP and RESTORE of values of all types. What the two servers dump is not compared: nothing says in which
// order a set comes, or how well a string is compressed. What they restore is.
func Dumps() Grammar {
	return Grammar{
		{Name: "dump", Weight: 6, Args: oneKey, tol: tolerance{any: true}},
		{Name: "restore", Weight: 20, Args: argsRestore},
	}
}

func argsRestore(g *Gen) []string {
	absolute := g.Chance(3)
	ttl := "0"
	if g.Chance(3) {
		ttl = g.TTL(absolute, true)
	}
	args := []string{g.Key(), ttl, g.payload()}
	if absolute {
		args = append(args, g.anyCase("absttl"))
	}
	if !g.Chance(3) {
		args = append(args, g.anyCase("replace"))
	}
	return append(args, g.options(4, []string{"idletime", g.Pick("0", "100", "-1", g.NoInt())},
		[]string{"freq", g.Pick("0", "255", "256", g.NoInt())})...)
}

// payload gives a payload of DUMP: now and then one that both servers see to be none, whatever they look at.
func (g *Gen) payload() string {
	p := seal(g.Pick(dumpedValues...))
	switch g.rnd.IntN(20) {
	case 0:
		return p[:g.rnd.IntN(len(p))]
	case 1:
		return seal(g.Pick("", "\x00", "\x08\x01a", "\xff", "\x01\x00", "\x02\x02\x01a\x01a", "\x0b\x03abc",
			"\x12\x01\x03\x01a"))
	}
	return p
}

// dumpedValues are values of all types and forms as they are written.
var dumpedValues = []string{
	"\x00\x05hello", "\x00\x00", "\x00\xc0\x0c", "\x00\xc1\x39\x30", "\x00\xc2\xff\xff\xff\x7f", "\x00\x0b12345678901",
	"\x00\xc3\x09\x40\x64\x01\x78\x78\xe0\x57\x00\x01\x78\x78", // 100 × x, compressed
	"\x01\x02\x01a\x011",
	"\x12\x01\x02\x10\x10\x00\x00\x00\x03\x00\x81a\x02\x01\x01\xc1\x00\x02\xff", // a, 1, 256
	"\x12\x02\x01\x05plain\x02\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff",
	"\x02\x03\x01a\xc0\x01\x02bb", "\x02\x02\xc0\x01\xc0\x02", "\x02\x01\xc0\x05",
	"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\xff\xff\x01\x00\x02\x00", // -1, 1, 2
	"\x05\x02\x01a\x00\x00\x00\x00\x00\x00\xf8\x3f\x01b\x00\x00\x00\x00\x00\x00\xf0\xff",
	"\x03\x02\x01a\x011\x01b\xfe",
	"\x11\x11\x11\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x81b\x02\x02\x01\xff", // a 1, b 2
	"\x04\x02\x01f\x01v\x01g\xc0\x07",
	"\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81n\x02\x0c\x01\xff", // f v, n 12
	"\x0d\x10\x10\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xf2\xff",   // a ziplist: a 1
	"\x09\x07\x01\x01a\x01\x00b\xff",                                          // a zipmap: a b
}

// seal adds version and sum.
func seal(value string) string {
	b := binary.LittleEndian.AppendUint16([]byte(value), 10)
	return string(binary.LittleEndian.AppendUint64(b, crc.Sum64(b)))
}

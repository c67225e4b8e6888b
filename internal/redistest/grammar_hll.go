package redistest

import (
	"strconv"
	"strings"
)

// HyperLogLogs are the commands of HyperLogLogs, which have keys of their own: what is left of them where others write
// to their strings is looked at in other ways than Redis's.
func HyperLogLogs() Grammar {
	add := func(most int) func(g *Gen) []string {
		return func(g *Gen) []string { return append([]string{g.hllKey()}, g.elements(most)...) }
	}
	return Grammar{
		{Name: "pfadd", Weight: 40, Args: add(4)},
		{Name: "pfadd", Weight: 10, Args: add(600)},
		{Name: "pfcount", Weight: 20, Args: func(g *Gen) []string { return []string{g.hllSource()} }},
		{Name: "pfcount", Weight: 12, Args: func(g *Gen) []string { return g.hllSources() }},
		{Name: "pfmerge", Weight: 12, Args: func(g *Gen) []string {
			return append([]string{g.hllKey()}, g.hllSources()...)
		}},
		{Name: "pfdebug", Weight: 6, Args: func(g *Gen) []string {
			return []string{g.anyCase(g.Pick("decode", "encoding", "nope")), g.hllSource()}
		}},
		{Name: "getrange", Weight: 8, Args: func(g *Gen) []string { return []string{g.hllKey(), "4", "15"} }},
		{Name: "expire", Weight: 3, Args: func(g *Gen) []string { return []string{g.hllKey(), g.TTL(false, false)} }},
		{Name: "del", Weight: 2, Args: func(g *Gen) []string { return []string{g.hllKey()} }},
		{Name: "rename", Weight: 2, Args: func(g *Gen) []string { return []string{g.hllKey(), g.hllKey()} }},
		{Name: "copy", Weight: 2, Args: func(g *Gen) []string { return []string{g.hllKey(), g.hllKey(), "replace"} }},
	}
}

// ForgedHyperLogLogs make and use strings that are taken for HyperLogLogs, sound ones and others, and what changes
// encodings. It goes together with HyperLogLogs.
func ForgedHyperLogLogs() Grammar {
	forgedKey := func(g *Gen) string { return "forged" + strconv.Itoa(g.rnd.IntN(4)) }
	return Grammar{
		{Name: "set", Weight: 14, rigid: true, Args: func(g *Gen) []string {
			return []string{forgedKey(g), g.forgedHLL()}
		}},
		// One element: what Redis adds before it finds that it can't go on stays.
		{Name: "pfadd", Weight: 20, rigid: true, Args: func(g *Gen) []string {
			return []string{forgedKey(g), g.element()}
		}},
		{Name: "pfcount", Weight: 20, Args: func(g *Gen) []string { return []string{forgedKey(g)} }},
		{Name: "pfcount", Weight: 8, Args: func(g *Gen) []string { return []string{forgedKey(g), g.hllKey()} }},
		{Name: "pfmerge", Weight: 8, Args: func(g *Gen) []string { return []string{g.hllKey(), forgedKey(g)} }},
		{Name: "pfmerge", Weight: 8, Args: func(g *Gen) []string { return []string{forgedKey(g), g.hllKey()} }},
		{Name: "pfdebug", Weight: 8, Args: func(g *Gen) []string {
			return []string{g.Pick("getreg", "todense"), g.Pick(forgedKey(g), g.hllSource())}
		}},
		{Name: "object", Weight: 6, Args: func(g *Gen) []string { return []string{"encoding", forgedKey(g)} }},
	}
}

func (g *Gen) hllKey() string { return "hll" + strconv.Itoa(g.rnd.IntN(6)) }

// hllSource gives a key of a HyperLogLog, rarely of something else.
func (g *Gen) hllSource() string {
	if g.Chance(20) {
		return g.Key()
	}
	return g.hllKey()
}

func (g *Gen) hllSources() []string {
	keys := make([]string, g.rnd.IntN(4)+1)
	for i := range keys {
		keys[i] = g.hllSource()
	}
	return keys
}

// element gives an element: short ones, of which there are few, and others.
func (g *Gen) element() string {
	switch g.rnd.IntN(6) {
	case 0:
		return strconv.Itoa(g.rnd.IntN(10))
	case 1:
		return strings.Repeat("e", g.rnd.IntN(40))
	default:
		return strconv.FormatUint(g.rnd.Uint64(), 36)
	}
}

func (g *Gen) elements(most int) []string {
	all := make([]string, g.rnd.IntN(most))
	for i := range all {
		all[i] = g.element()
	}
	return all
}

// forgedHLL gives a string that begins like a HyperLogLog. Its runs cover all registers or fewer, or others follow that
// are 0; what Redis makes of those that cover too many is a matter of its version.
func (g *Gen) forgedHLL() string {
	cached := g.Pick("\x00\x00\x00\x00\x00\x00\x00\x80", "\x05\x00\x00\x00\x00\x00\x00\x00")
	if g.Chance(6) {
		head := g.Pick("HYLL\x00", "HYLL\x02", "HYLL", "HYL", "hYLL\x01", "")
		return head + "\x00\x00\x00" + cached + strings.Repeat(g.Pick("\x00", "\xff", "a"), g.rnd.IntN(40))
	}
	if g.Chance(4) {
		dense := make([]byte, 12288)
		for range g.rnd.IntN(400) {
			dense[g.rnd.IntN(len(dense))] = byte(g.rnd.Uint32())
		}
		if g.Chance(4) {
			for i := range dense {
				dense[i] = 0xff
			}
		}
		return "HYLL\x00abc" + cached + string(dense)
	}
	runs, left := []byte{}, 16384
	for range 1 + g.rnd.IntN(300) {
		switch n := g.rnd.IntN(64); g.rnd.IntN(4) {
		case 0:
			runs = append(runs, byte(n))
			left -= n + 1
		case 1:
			runs = append(runs, 0x40, byte(n))
			left -= n + 1
		default:
			value := byte(g.rnd.Uint32()) | 0x80
			runs = append(runs, value)
			left -= int(value&3) + 1
		}
		if left < 100 {
			break
		}
	}
	if !g.Chance(4) {
		runs = append(runs, 0x40|byte((left-1)>>8), byte(left-1))
	}
	if g.Chance(10) {
		runs = append(runs, 0)
	}
	return "HYLL\x01\x00\x00\x00" + cached + string(runs)
}

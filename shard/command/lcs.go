package command

import (
	"math/bits"

	"fulmen/internal/resp"
)

func lcsRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "lcs", Arity: -3, Flags: ReadOnly, Categories: CatString,
			Keys:  []KeySpec{{First: 1, Last: 1, Step: 1, Flags: KeyRO | KeyAccess}},
			Group: "string", Since: "7.0.0", Summary: "Find longest common substring",
			Complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
			Args:       "key1:key#0 key2:key#0 LEN? IDX? len:integer=MINMATCHLEN? WITHMATCHLEN?",
		}, Run: cmdLCS},
	}
}

// lcsOptions are the options of LCS.
type lcsOptions struct {
	length, indexes, withLength bool
	minimum                     int64
}

func (o *lcsOptions) parse(a Args) error {
	for a.More() {
		switch {
		case a.Option("idx"):
			o.indexes = true
		case a.Option("len"):
			o.length = true
		case a.Option("withmatchlen"):
			o.withLength = true
		case a.Left() > 1 && a.Option("minmatchlen"):
			o.minimum = a.Int()
		default:
			a.Syntax()
		}
	}
	if o.length && o.indexes {
		a.Fail(resp.ErrLCSLenAndIdx)
	}
	return a.Err()
}

// LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]
func cmdLCS(c *Ctx) error {
	sources, _, err := c.bitSources(c.Keys)
	if err != nil {
		return resp.ErrLCSNotStrings
	}
	var o lcsOptions
	if err := o.parse(c.ArgsFrom(3)); err != nil {
		return err
	}
	// What a table of 32-bit numbers would take, as Redis makes it; ours has one bit in place of each.
	cells := uint64(sources[0].len+1) * uint64(sources[1].len+1)
	if cells*4 > uint64(c.Limits.MaxStringBytes) {
		return resp.ErrLCSTooLong
	}
	var l lcs
	if sources[0].len > 0 && sources[1].len > 0 {
		l.a, l.b = c.stringOf(&sources[0]), c.stringOf(&sources[1])
	}
	if o.length {
		l.fill(false)
		c.Int(int64(l.n))
		return nil
	}
	l.fill(true)
	if !o.indexes {
		c.Bulk(l.sequence())
		return nil
	}
	c.lcsMatches(l.matches(o.minimum), o.withLength)
	c.BulkString("len")
	c.Int(int64(l.n))
	return nil
}

// lcsMatches begins the reply of LCS IDX.
func (c *Ctx) lcsMatches(matches []lcsMatch, withLength bool) {
	c.Map(2)
	c.BulkString("matches")
	c.Array(len(matches))
	for _, m := range matches {
		c.Array(2 + count(withLength))
		for _, from := range [...]int{m.a, m.b} {
			c.Array(2)
			c.Int(int64(from))
			c.Int(int64(from + m.n - 1))
		}
		if withLength {
			c.Int(int64(m.n))
		}
	}
}

// stringOf returns the whole string, in one piece.
func (c *Ctx) stringOf(s *bitSource) []byte {
	db := s.key.Shard.DB(c.DBID)
	if b, ok := db.StringView(s.e); ok {
		return b
	}
	return db.AppendString(nil, s.e)
}

// lcs finds the longest common subsequence of two strings, 64 columns of the table at a time (Crochemore et al. 2001,
// Hyyrö 2004): of the table's row for the first i bytes of a it keeps the bits in which it does not grow from one
// column, a byte of b, to the next. That is also all that the way back through the table needs: where the bytes differ,
// the number above is the greater one exactly if the row grows there.
type lcs struct {
	a, b  []byte
	words int      // of a row
	rows  []uint64 // all of them but the first, or the last alone
	n     int      // the length of the subsequence
}

// lcsMatch is a run of n bytes that a and b have in common, from the given positions on.
type lcsMatch struct{ a, b, n int }

// fill makes the rows, all of them only if they are kept.
func (l *lcs) fill(keep bool) {
	if len(l.a) == 0 {
		return
	}
	l.words = (len(l.b) + 63) / 64
	where := l.positions()
	row := make([]uint64, l.words)
	for i := range row {
		row[i] = ^uint64(0)
	}
	if keep {
		l.rows = make([]uint64, 0, l.words*len(l.a))
	}
	for _, c := range l.a {
		if in := where[c]; in != nil {
			var carry uint64
			for i, v := range row {
				u := v & in[i]
				var sum uint64
				sum, carry = bits.Add64(v, u, carry)
				row[i] = sum | v&^in[i]
			}
		}
		if keep {
			l.rows = append(l.rows, row...)
		}
	}
	l.n = len(l.b)
	for i, v := range row {
		if i == l.words-1 {
			v &= ^uint64(0) >> (uint(-len(l.b)) & 63)
		}
		l.n -= bits.OnesCount64(v)
	}
}

// positions returns, for each byte that a has, the set of its positions in b, or nil if there are none.
func (l *lcs) positions() (where [256][]uint64) {
	var has [256]bool
	for _, c := range l.a {
		has[c] = true
	}
	for i, c := range l.b {
		if !has[c] {
			continue
		}
		if where[c] == nil {
			where[c] = make([]uint64, l.words)
		}
		where[c][i/64] |= 1 << (i % 64)
	}
	return where
}

// grows tells whether the row for the first i bytes of a grows at column j, both from 1.
func (l *lcs) grows(i, j int) bool {
	return l.rows[(i-1)*l.words+(j-1)/64]>>((j-1)%64)&1 == 0
}

// sequence returns the subsequence.
func (l *lcs) sequence() []byte {
	out := make([]byte, l.n)
	at := l.n
	for i, j := len(l.a), len(l.b); at > 0; {
		switch {
		case l.a[i-1] == l.b[j-1]:
			at, i, j = at-1, i-1, j-1
			out[at] = l.a[i]
		case l.grows(i, j):
			i--
		default:
			j--
		}
	}
	return out
}

// matches returns the runs of the subsequence that have at least the given length, from the last to the first.
func (l *lcs) matches(minimum int64) (all []lcsMatch) {
	var run lcsMatch
	end := func() {
		if run.n > 0 && int64(run.n) >= minimum {
			all = append(all, run)
		}
		run = lcsMatch{}
	}
	for i, j := len(l.a), len(l.b); i > 0 && j > 0; {
		switch {
		case l.a[i-1] == l.b[j-1]:
			i, j = i-1, j-1
			run = lcsMatch{i, j, run.n + 1}
			continue
		case l.grows(i, j):
			i--
		default:
			j--
		}
		end()
	}
	end()
	return all
}

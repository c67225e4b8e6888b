package rdb

import (
	"fmt"
	"strings"
	"testing"

	"fulmen/internal/resp"
	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

func idText(id stream.ID) string { return string(id.AppendTo(nil)) }

func (r *recorder) StreamNode(id stream.ID, node []byte, f *stream.Facts) error {
	var x stream.Reader
	var field, value stream.Part
	text := func(p *stream.Part) string {
		if p.IsNum {
			return fmt.Sprintf("%q", fmt.Sprint(p.Num))
		}
		return quote(node[p.From:p.To])
	}
	n := int64(0)
	var lines []string
	for x.Open(node, id); x.Next(); {
		line := idText(x.ID)
		for range x.Pairs {
			x.Pair(&field, &value)
			line += " " + text(&field) + "=" + text(&value)
		}
		if x.Deleted {
			continue
		}
		lines = append(lines, line)
		n++
	}
	if n != f.Count {
		r.t.Errorf("a node of %d entries is said to have %+v", n, *f)
	}
	return r.call(object.Stream, strings.Join(lines, " "))
}

func (r *recorder) StreamInfo(in *object.StreamInfo) error {
	return r.call(object.Stream, fmt.Sprintf("length %d added %d first %s last %s deleted %s", in.Length, in.Added,
		idText(in.FirstID), idText(in.LastID), idText(in.MaxDeleted)))
}

func (r *recorder) Group(name []byte, last stream.ID, entriesRead int64) error {
	return r.call(object.Stream, fmt.Sprintf("group %s last %s read %d", quote(name), idText(last), entriesRead))
}

func (r *recorder) Pending(id stream.ID, deliveredMs, deliveries int64) error {
	return r.call(object.Stream, fmt.Sprintf("pending %s at %d times %d", idText(id), deliveredMs, deliveries))
}

func (r *recorder) Consumer(name []byte, seenMs int64) error {
	return r.call(object.Stream, fmt.Sprintf("consumer %s seen %d", quote(name), seenMs))
}

func (r *recorder) Owned(id stream.ID) error { return r.call(object.Stream, "owns "+idText(id)) }

// fieldsOf makes a map of a reply of names and values by turns.
func fieldsOf(v resp.Value) map[string]resp.Value {
	m := map[string]resp.Value{}
	for i := 0; i+1 < len(v.Elems); i += 2 {
		m[string(v.Elems[i].Str)] = v.Elems[i+1]
	}
	return m
}

// stream gives a builder what a server says of a stream.
func (s *goldenServer) stream(key string, b *recorder) {
	all := fieldsOf(s.do("xinfo", "stream", key, "full", "count", "0"))
	for _, e := range all["entries"].Elems {
		line := string(e.Elems[0].Str)
		for i, f := range e.Elems[1].Elems {
			line += []string{" ", "="}[i%2] + quote(f.Str)
		}
		b.lines = append(b.lines, line)
	}
	b.lines = append(b.lines, fmt.Sprintf("length %d added %d first %s last %s deleted %s", all["length"].Int,
		all["entries-added"].Int, all["recorded-first-entry-id"].Str, all["last-generated-id"].Str,
		all["max-deleted-entry-id"].Str))
	for _, reply := range all["groups"].Elems {
		g := fieldsOf(reply)
		read := g["entries-read"].Int
		if g["entries-read"].Null {
			read = -1
		}
		b.lines = append(b.lines, fmt.Sprintf("group %s last %s read %d", quote(g["name"].Str),
			g["last-delivered-id"].Str, read))
		for _, p := range g["pending"].Elems {
			b.lines = append(b.lines, fmt.Sprintf("pending %s at %d times %d", p.Elems[0].Str, p.Elems[2].Int,
				p.Elems[3].Int))
		}
		for _, reply := range g["consumers"].Elems {
			c := fieldsOf(reply)
			b.lines = append(b.lines, fmt.Sprintf("consumer %s seen %d", quote(c["name"].Str), c["seen-time"].Int))
			for _, p := range c["pending"].Elems {
				b.lines = append(b.lines, "owns "+string(p.Elems[0].Str))
			}
		}
	}
}

// rawID is an ID as it stands in nodes and among what is pending.
func rawID(ms, seq uint64) string { return string(stream.ID{Ms: ms, Seq: seq}.AppendRaw(nil)) }

// entryNode is a node of one entry.
func entryNode(pairs ...string) string {
	var list [][]byte
	for _, p := range pairs {
		list = append(list, []byte(p))
	}
	return str(string(stream.AppendNode(nil, list)))
}

// streamValue is a stream in one of its types, with a group.
func streamValue(rdbType byte) string {
	value := "\x02" + str(rawID(1, 1)) + entryNode("f", "v") + str(rawID(2, 0)) + entryNode("1", "2", "a", "") +
		"\x02\x44\x00\x01" // entries, last ID
	if rdbType >= TypeStreamListpacks2 {
		value += "\x01\x01\x00\x04\x45\x00" // first, deleted, added
	}
	value += "\x01" + str("group") + "\x01\x01" // last delivered
	if rdbType >= TypeStreamListpacks2 {
		value += "\x41\x09" // read
	}
	value += "\x02" + rawID(1, 1) + ms(1) + "\x05" + rawID(7, 8) + ms(2) + "\x40\x90" + "\x01" + str("consumer") + ms(3)
	if rdbType >= TypeStreamListpacks3 {
		value += ms(4)
	}
	return value + "\x02" + rawID(1, 1) + rawID(7, 8)
}

var streamTypes = []byte{TypeStreamListpacks, TypeStreamListpacks2, TypeStreamListpacks3}

// TestStreamTypes: what types before the second don't say follows from the rest.
func TestStreamTypes(t *testing.T) {
	for _, rdbType := range streamTypes {
		facts, read := "added 1280 first 1-1 last 1024-1 deleted 0-4", "read 265"
		if rdbType == TypeStreamListpacks {
			facts, read = "added 2 first 1-1 last 1024-1 deleted 0-0", "read 1"
		}
		want := `stream 1-1 "f"="v" 2-0 "1"="2" "a"="" length 2 ` + facts + ` group "group" last 1-1 ` + read +
			` pending 1-1 at 1 times 5 pending 7-8 at 2 times 144 consumer "consumer" seen 3 owns 1-1 owns 7-8`
		if got, err := decode(t, rdbType, streamValue(rdbType)); err != nil || got != want {
			t.Errorf("type %d: %s, %v\nwant %s", rdbType, got, err, want)
		}
		if got, err := decode(t, rdbType, "\x00\x00\x00\x00"+strings.Repeat("\x00",
			map[bool]int{true: 6, false: 1}[rdbType > TypeStreamListpacks])); err != nil ||
			got != "stream length 0 added 0 first 0-0 last 0-0 deleted 0-0" {
			t.Errorf("type %d, no entries: %s, %v", rdbType, got, err)
		}
	}
}

// TestStreamFaults: what is wrong with a stream is refused.
func TestStreamFaults(t *testing.T) {
	good := streamValue(TypeStreamListpacks2)
	node := entryNode("f", "v")
	for name, change := range map[string][2]string{
		"an ID of 15 bytes":            {str(rawID(1, 1)), str(rawID(1, 1)[:15])},
		"nodes in another order":       {str(rawID(2, 0)), str(rawID(1, 1))},
		"no listpack":                  {node, str("abc")},
		"a listpack of other elements": {node, lp("1", "0", "1", "f", "1", "2", "0", "0", "v", "4")},
		"another number of entries":    {node, lp("2", "0", "1", "f", "0", "2", "0", "0", "v", "4")},
		"pending for a consumer alone": {
			"\x02" + rawID(1, 1) + ms(1) + "\x05" + rawID(7, 8) + ms(2) + "\x40\x90", "\x00",
		},
		"pending for nobody":            {"\x02" + rawID(1, 1) + rawID(7, 8), "\x01" + rawID(1, 1)},
		"an end within what is pending": {rawID(1, 1) + rawID(7, 8), rawID(1, 1)},
	} {
		value := strings.Replace(good, change[0], change[1], 1)
		if value == good {
			t.Fatalf("%s: nothing changed", name)
		}
		if got, err := decode(t, TypeStreamListpacks2, value); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

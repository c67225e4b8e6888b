package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// TestRowsEqualRedis compares what COMMAND INFO and COMMAND DOCS say about every row, subcommands included, with
// redis-server, field by field and in both protocols. What is newer than that one is left out.
func TestRowsEqualRedis(t *testing.T) {
	h := newHarness(t, 1)
	conn, err := redistest.Dial(redistest.StartOracle(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, proto := range []int{2, 3} {
		h.ctx.Proto = proto
		if v, err := conn.Do("HELLO", fmt.Sprint(proto)); err != nil || v.Err() != nil {
			t.Fatal(v, err)
		}
		for _, row := range h.table.All() {
			if row.Flags&Module != 0 || redistest.Newer(row.Since) {
				continue
			}
			for _, ask := range []string{"INFO", "DOCS"} {
				args := []string{"COMMAND", ask, row.FullName}
				want, err := conn.Do(args...)
				if err != nil {
					t.Fatal(err)
				}
				reply := h.do(args...)
				if ask == "INFO" {
					reply = redistest.WithOlderArity(row.FullName, reply)
				}
				got, want := sorted(redistest.WithoutNewer(reply)), sorted(want)
				if got, want := string(got.Append(nil)), string(want.Append(nil)); got != want {
					t.Errorf("RESP%d: %q\n%s", proto, args, firstDifference(got, want))
				}
			}
		}
	}
}

// sorted puts sets, and the subcommands of a command, in order.
func sorted(v resp.Value) resp.Value {
	for i := range v.Elems {
		v.Elems[i] = sorted(v.Elems[i])
	}
	n := len(v.Elems)
	compare := func(a, b resp.Value) int { return strings.Compare(string(a.Append(nil)), string(b.Append(nil))) }
	switch {
	case v.Kind == resp.KindSet:
		slices.SortFunc(v.Elems, compare)
	case n > 0 && isSub(v.Elems[0]):
		slices.SortFunc(v.Elems, compare)
	case n > 1 && strings.Contains(string(v.Elems[0].Str), "|"): // name, docs, name, docs …
		type pair [2]resp.Value
		var pairs []pair
		for i := 0; i+1 < n; i += 2 {
			pairs = append(pairs, pair{v.Elems[i], v.Elems[i+1]})
		}
		slices.SortFunc(pairs, func(a, b pair) int { return compare(a[0], b[0]) })
		for i, p := range pairs {
			v.Elems[2*i], v.Elems[2*i+1] = p[0], p[1]
		}
	}
	return v
}

// isSub tells whether v is what COMMAND INFO says about a subcommand.
func isSub(v resp.Value) bool {
	return len(v.Elems) == 10 && strings.Contains(string(v.Elems[0].Str), "|")
}

// firstDifference shows where two replies part.
func firstDifference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("got  …%q\nwant …%q", got[from:min(len(got), i+80)], want[from:min(len(want), i+80)])
}

func TestSyntaxNotation(t *testing.T) {
	got := fmt.Sprintf("%+v", parseSyntax("key:key#1 at='*'? old!1.2.0 more*+(A|b:integer=B@3.0.0)"))
	want := "[{name:key kind:key token: since: until: hasToken:false keySpec:1 optional:false multiple:false " +
		"multipleTokens:false parts:[]} " +
		"{name:at kind:string token:* since: until: hasToken:true keySpec:-1 optional:true multiple:false " +
		"multipleTokens:false parts:[]} " +
		"{name:old kind:string token: since: until:1.2.0 hasToken:false keySpec:-1 optional:false multiple:false " +
		"multipleTokens:false parts:[]} " +
		"{name:more kind:oneof token: since: until: hasToken:false keySpec:-1 optional:false multiple:true " +
		"multipleTokens:true parts:[" +
		"{name:a kind:pure-token token:A since: until: hasToken:true keySpec:-1 optional:false multiple:false " +
		"multipleTokens:false parts:[]} " +
		"{name:b kind:integer token:B since:3.0.0 until: hasToken:true keySpec:-1 optional:false multiple:false " +
		"multipleTokens:false parts:[]}]}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestShortCalls: calls of one key that end with their call are known, also of commands that may have several keys or
// wait; a group may be called like an option.
func TestShortCalls(t *testing.T) {
	table := NewTable(Rows())
	for text, want := range map[string]bool{
		"GET k": true, "DEL k": true, "DEL k l": false, "PFCOUNT k": true, "MGET k": true, "RENAME k l": false,
		"XREAD STREAMS k 0": true, "XREAD STREAMS k l 0 0": false, "XREAD BLOCK 5 STREAMS k $": false,
		"XREAD COUNT 1 block 5 STREAMS k $": false, "XREADGROUP GROUP g c STREAMS k >": true,
		"XREADGROUP GROUP streams block COUNT 5 NOACK STREAMS k >": true,
		"XREADGROUP GROUP streams streams BLOCK 0 STREAMS k >":     false, "BLPOP k 0": false, "SSCAN k 0": false,
		"SORT k": false, "DBSIZE": false, "XGROUP CREATE k g 0": false,
	} {
		args := bytesOf(strings.Fields(text))
		row := table.Lookup(args[0])
		keys := 0
		if row.ArityOK(len(args)) {
			keys = len(row.KeyIndexes(nil, args))
		}
		if got := row.Short(args, keys); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

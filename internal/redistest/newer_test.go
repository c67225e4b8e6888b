package redistest

import (
	"testing"

	"fulmen/internal/resp"
)

func TestNewer(t *testing.T) {
	for version, want := range map[string]bool{
		"1.0.0": false, "7.0.15": false, "7.0.9": false, "7.0.16": true, "7.2.0": true, "8.4.0": true, "10.0.0": true,
	} {
		if Newer(version) != want {
			t.Errorf("Newer(%s) is %v", version, !want)
		}
	}
}

func TestWithoutNewer(t *testing.T) {
	text := func(s string) resp.Value { return resp.Value{Kind: resp.KindBulk, Str: []byte(s)} }
	array := func(all ...resp.Value) resp.Value { return resp.Value{Kind: resp.KindArray, Elems: all} }
	entry := func(since string) resp.Value { return array(text("name"), text("x"), text("since"), text(since)) }
	line := func(since string) resp.Value { return array(text(since), text("Added.")) }
	docs := array(text("history"), array(line("6.0.0"), line("8.4.0")),
		text("arguments"), array(entry("2.0.0"), array(text("arguments"), array(entry("7.4.0"), entry("1.0.0")))))
	want := array(text("history"), array(line("6.0.0")),
		text("arguments"), array(entry("2.0.0"), array(text("arguments"), array(entry("1.0.0")))))
	if got := WithoutNewer(docs).Append(nil); string(got) != string(want.Append(nil)) {
		t.Errorf("%q", got)
	}
}

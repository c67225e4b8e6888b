package server_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestDebugEqualsRedis compares the replies of DEBUG's subcommands, in both protocols.
func TestDebugEqualsRedis(t *testing.T) {
	b := dialBoth(t)
	// What an object's address, encoding of its length in a file and access clock are is each server's own.
	own := regexp.MustCompile(`Value at:0x[0-9a-f]+|refcount:\d+|lru:\d+|lru_seconds_idle:\d{1,3}\b`)
	for _, proto := range []string{"2", "3"} {
		b.do("HELLO", proto)
		for _, line := range []string{
			"FLUSHALL", "SET foo bar", "SET n 12", "SET m -40000",
			"SET raw " + strings.Repeat("ab", 40), "SET t x EX 1000", "APPEND r x", "DEBUG", "DEBUG NOSUCH",
			"DEBUG OBJECT foo", "DEBUG OBJECT n",
			"DEBUG OBJECT m", "DEBUG OBJECT t", "DEBUG OBJECT r", "DEBUG OBJECT nosuch", "DEBUG OBJECT",
			"RPUSH l b a " + strings.Repeat("x", 100), "PEXPIRE l 1000000",
			"RPUSH long" + strings.Repeat(" item 17 "+strings.Repeat("y", 3000), 200), "DEBUG DIGEST-VALUE l long",
			"DEBUG OBJECT foo fast", "DEBUG DIGEST-VALUE foo nosuch n raw t", "DEBUG DIGEST-VALUE", "DEBUG DIGEST",
			"DEBUG DIGEST x", "DEBUG HTSTATS x", "DEBUG HTSTATS 99", "DEBUG HTSTATS -1", "DEBUG HTSTATS-KEY foo",
			"DEBUG HTSTATS-KEY nosuch", "DEBUG LOG hello", "DEBUG LOG", "DEBUG PAUSE-CRON 1", "DEBUG PAUSE-CRON 0",
			"DEBUG PAUSE-CRON x", "DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER",
			"DEBUG REPLYBUFFER PEAK-RESET-TIME RESET", "DEBUG replybuffer peak-reset-time 100",
			"DEBUG REPLYBUFFER PEAK-RESET-TIME x", "DEBUG REPLYBUFFER RESIZING 0", "DEBUG REPLYBUFFER RESIZING 1",
			"DEBUG REPLYBUFFER FOO 1", "DEBUG QUICKLIST-PACKED-THRESHOLD 100",
			"DEBUG QUICKLIST-PACKED-THRESHOLD 5gb", "DEBUG QUICKLIST-PACKED-THRESHOLD 0",
			"DEBUG QUICKLIST-PACKED-THRESHOLD x", "DEBUG QUICKLIST-PACKED-THRESHOLD 1k", "DEBUG CHANGE-REPL-ID",
			"DEBUG CHANGE-REPL-ID x", "DEBUG ERROR hello", "DEBUG ERROR FOO bar", "DEBUG LISTPACK foo",
			"DEBUG LISTPACK nosuch", "DEBUG QUICKLIST foo", "DEBUG QUICKLIST foo 1", "DEBUG JMAP",
			"DEBUG SET-DISABLE-DENY-SCRIPTS 1", "DEBUG SET-DISABLE-DENY-SCRIPTS 0", "DEBUG PROTOCOL string",
			"DEBUG PROTOCOL integer", "DEBUG PROTOCOL double", "DEBUG PROTOCOL bignum", "DEBUG PROTOCOL NULL",
			"DEBUG PROTOCOL array", "DEBUG PROTOCOL set", "DEBUG PROTOCOL map", "DEBUG PROTOCOL true",
			"DEBUG PROTOCOL false", "DEBUG PROTOCOL verbatim", "DEBUG PROTOCOL FOO", "DEBUG PROTOCOL",
			"DEBUG SET-ACTIVE-EXPIRE 0", "SET over 77 PX 1", "DEBUG SLEEP 0.005", "DEBUG OBJECT over",
			"DEBUG DIGEST-VALUE over", "GET over", "DEBUG OBJECT over",
			"DEBUG SET-ACTIVE-EXPIRE", "DEBUG SET-ACTIVE-EXPIRE 1", "DEBUG SLEEP", "DEBUG SLEEP 0 0",
			"DEBUG POPULATE x", "DEBUG POPULATE -5", "DEBUG POPULATE 1 a -1", "DEBUG POPULATE 1 a x",
			"DEBUG POPULATE 20", "DEBUG POPULATE 25 pre 9", "DEBUG POPULATE 3 foo 3", "GET pre:24",
			"GET foo:2", "GET key:19", "DBSIZE", "DEBUG DIGEST",
		} {
			right, ours := b.do(strings.Fields(line)...)
			want := own.ReplaceAllString(right.String(), "")
			if got := own.ReplaceAllString(ours.String(), ""); got != want {
				t.Errorf("RESP%s: %s\ngot  %s\nwant %s", proto, line, got, want)
			}
		}
	}
}

// TestDebugMessages compares the messages in which a reply is more than one value.
func TestDebugMessages(t *testing.T) {
	b := dialBoth(t)
	for _, proto := range []string{"2", "3"} {
		b.do("HELLO", proto)
		for _, kind := range []string{"attrib", "push"} {
			for n := 0; n < 2; n++ {
				right, ours := b.do("DEBUG", "PROTOCOL", kind)
				if right.String() != ours.String() {
					t.Errorf("RESP%s %s: got %s, want %s", proto, kind, ours, right)
				}
			}
		}
	}
}

// TestDebugInScripts compares what scripts and functions get of DEBUG, denied it and not.
func TestDebugInScripts(t *testing.T) {
	b := dialBoth(t)
	compare := func(args ...string) {
		t.Helper()
		right, ours := b.do(args...)
		if got, want := ours.String(), right.String(); got != want {
			t.Errorf("%q: got %s, want %s", args, got, want)
		}
	}
	bodies := []string{
		"return redis.call('DEBUG')", "return redis.pcall('DEBUG','NOSUCH')",
		"return redis.call('DEBUG','LOG','of a script')",
		"return redis.call('DEBUG','DIGEST-VALUE','k')", "return redis.pcall('DEBUG','ERROR','FOO bar')",
		"redis.call('SET','k','v','PX','5') redis.call('DEBUG','SLEEP','0.01') return redis.call('EXISTS','k')",
		"redis.call('DEL','k') return redis.call('EXISTS','k')",
		"redis.call('DEBUG','SET-ACTIVE-EXPIRE','0') return redis.call('DEBUG','SET-ACTIVE-EXPIRE','1')",
	}
	for _, kind := range strings.Fields("string integer double bignum null array set map true false verbatim attrib") {
		for _, proto := range []string{"2", "3"} {
			bodies = append(bodies, "redis.setresp("+proto+") return redis.call('DEBUG','PROTOCOL','"+kind+"')")
		}
	}
	for _, proto := range []string{"2", "3"} {
		b.do("HELLO", proto)
		for _, denied := range []string{"0", "1", "x"} {
			compare("DEBUG", "SET-DISABLE-DENY-SCRIPTS", denied)
			for _, body := range bodies {
				compare("EVAL", body, "0")
				library := "#!lua name=l\nredis.register_function('f', function() " + body + " end)"
				compare("FUNCTION", "LOAD", "REPLACE", library)
				compare("FCALL", "f", "0")
			}
		}
	}
}

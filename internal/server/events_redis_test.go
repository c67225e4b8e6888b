package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fulmen/internal/redistest"
)

// served are commands that wait, and what is then done to serve them; what is random is among the latter, too.
var served = []struct{ waits, then []string }{
	{[]string{"BLPOP a b 0"}, []string{"RPUSH b x"}},
	{[]string{"BRPOP a 0", "BRPOP a 0"}, []string{"RPUSH a x y z"}},
	{[]string{"BLMOVE a b LEFT RIGHT 0"}, []string{"RPUSH a x y"}},
	{[]string{"BLMOVE a b LEFT RIGHT 0", "BLPOP b 0"}, []string{"RPUSH a x"}},
	{[]string{"BRPOPLPUSH a a 0"}, []string{"RPUSH a x"}},
	{[]string{"BLMPOP 0 2 a b LEFT COUNT 5"}, []string{"RPUSH b x y z"}},
	{[]string{"BZPOPMIN a 0", "BZPOPMAX a 0"}, []string{"ZADD a 1 x 2 y 3 z"}},
	{[]string{"BZMPOP 0 1 a MIN COUNT 10"}, []string{"ZADD a 1 x 2 y"}},
	{[]string{"BLPOP a 0"}, []string{"MULTI", "RPUSH a 1", "SET s 2", "RPUSH a 2", "DEL s", "EXEC"}},
	{[]string{"XREAD BLOCK 0 STREAMS a $"}, []string{"XADD a * f v"}},
	{[]string{"BLPOP a 0"}, []string{"RPUSH l 3 1 2", "SORT l STORE a"}},
	{[]string{"BLPOP a 0"}, []string{"RPUSH l 3 1 2", "RENAME l a"}},
	{[]string{"BLPOP a 0"}, []string{"RPUSH l 3 1 2", "COPY l a"}},
	{[]string{"BZPOPMIN a 0"}, []string{"ZADD l 3 1", "ZUNIONSTORE a 1 l"}},
	{nil, []string{"SADD s 1 2 3 4", "SPOP s", "SPOP s 2", "SPOP s 9", "SPOP s", "SRANDMEMBER s"}},
	{nil, []string{"SADD s 1 2", "SPOP s 2", "RANDOMKEY"}},
}

// awaitBlocked waits until so many commands wait.
func (c *listenerConn) awaitBlocked(t *testing.T, n int) {
	t.Helper()
	line := fmt.Sprintf("blocked_clients:%d\r\n", n)
	for begun := time.Now(); !strings.Contains(c.run(t, [][]string{{"INFO", "clients"}}, "done")[0], line); {
		if time.Since(begun) > patience {
			t.Fatal("not in time: " + line)
		}
	}
}

// eventsOfServed returns what a subscriber hears while waiting commands are served.
func eventsOfServed(t *testing.T, addr string) (heard []string) {
	w := dialListener(t, addr)
	w.run(t, [][]string{{"CONFIG", "SET", "notify-keyspace-events", "KAnm"}}, "done")
	for _, c := range served {
		sub := dialListener(t, addr)
		sub.run(t, [][]string{{"PSUBSCRIBE", "__keyspace@*__:*"}}, "done")
		for i, words := range c.waits {
			x := dialListener(t, addr)
			if _, err := fmt.Fprintf(x.nc, "%s\r\n", words); err != nil {
				t.Fatal(err)
			}
			w.awaitBlocked(t, i+1)
		}
		var then [][]string
		for _, words := range c.then {
			then = append(then, strings.Fields(words))
		}
		w.run(t, then, "done")
		w.awaitBlocked(t, 0) // one that needs other shards is served a moment later
		heard = append(heard, fmt.Sprintf("%q", c))
		for _, token := range []string{"one", "two"} {
			heard = append(heard, sub.run(t, nil, token)...)
		}
		_ = sub.nc.Close()
		w.run(t, [][]string{{"FLUSHALL"}}, "done")
	}
	return heard
}

// TestEventsOfServedEqualRedis: what is told of commands that have waited, and of those that pick at random.
func TestEventsOfServedEqualRedis(t *testing.T) {
	want := eventsOfServed(t, redistest.Redis().Start(t))
	got := eventsOfServed(t, fulmen(8, "--event-loops", "3").Start(t))
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

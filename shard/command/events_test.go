package command

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fulmen/internal/redistest"
	"fulmen/shard"
)

// hearing is a listener that writes down what it is told.
type hearing struct{ events []string }

// Happened implements shard.Listener.
func (h *hearing) Happened(_ *shard.Worker, db int, key []byte, event string) {
	h.events = append(h.events, fmt.Sprintf("%s %q in %d", event, key, db))
}

// Changed implements shard.Listener.
func (h *hearing) Changed(*shard.Worker, shard.Change) {}

// AllChanged implements shard.Listener.
func (h *hearing) AllChanged(*shard.Worker) {}

// take returns what was heard since the last time.
func (h *hearing) take() []string {
	heard := h.events
	h.events = nil
	return heard
}

// subscribed is a connection to a redis-server that hears of its events.
type subscribed struct{ *redistest.Conn }

func subscribe(t *testing.T, addr string) subscribed {
	t.Helper()
	conn, err := redistest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := conn.Do("PSUBSCRIBE", "__keyspace@*__:*"); err != nil {
		t.Fatal(err)
	}
	return subscribed{conn}
}

// take returns what was published since the last time.
func (s subscribed) take(t *testing.T) (events []string) {
	t.Helper()
	s.Queue("PING")
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		v, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Elems) == 2 { // pong
			return events
		}
		db, key, _ := strings.Cut(strings.TrimPrefix(string(v.Elems[2].Str), "__keyspace@"), "__:")
		events = append(events, fmt.Sprintf("%s %q in %s", v.Elems[3].Str, key, db))
	}
}

// TestEventsAreRedis tells after each of many random commands the same events as redis-server, in the same order.
func TestEventsAreRedis(t *testing.T) {
	for name, grammar := range map[string]redistest.Grammar{
		"strings": append(redistest.Strings(), redistest.Bitmaps()...),
		"keys": slices.Concat(redistest.Strings(), redistest.Moving(), redistest.Keyspace(), redistest.Lists(),
			redistest.Dumps()),
		"lists":        append(redistest.Lists(), redistest.Sorting()...),
		"sets":         append(redistest.Sets(), redistest.Keyspace()...),
		"hashes":       append(redistest.Hashes(), redistest.Keyspace()...),
		"sorted sets":  append(redistest.SortedSets(), redistest.Sets()...),
		"hyperloglogs": append(redistest.HyperLogLogs(), redistest.Keyspace()...),
		"positions":    append(redistest.Positions(), redistest.SortedSets()...),
		"streams":      append(redistest.Streams(), redistest.Keyspace()...),
	} {
		t.Run(name, func(t *testing.T) {
			compareEvents(t, grammar, 3000)
		})
	}
}

// compareEvents runs commands of a grammar here and in a redis-server.
func compareEvents(t *testing.T, grammar redistest.Grammar, commands int) {
	seed, now := rand.Uint64(), time.Now()
	t.Logf("seed %d", seed)
	sameEvents(t, now, redistest.Stream(grammar, seed, commands, now.Unix()))
}

// TestEventsOfRestore: a key whose time has passed is found by who restores something in its place, unless it is to be
// replaced, whatever becomes of that.
func TestEventsOfRestore(t *testing.T) {
	good, past := string(sealed([]byte("\x00\x01v"), 10)), []string{"SET", "k", "v", "PXAT", "1"}
	sameEvents(t, time.Now(), [][]string{
		past, {"RESTORE", "k", "0", "bad", "REPLACE"}, {"RESTORE", "k", "0", good, "REPLACE"},
		past, {"RESTORE", "k", "x", good, "REPLACE"}, {"RESTORE", "k", "1", good, "REPLACE", "ABSTTL"},
		past, {"RESTORE", "k", "0", "bad"}, {"RESTORE", "k", "0", good}, {"RESTORE", "k", "0", good},
		past, {"RESTORE", "k", "1", good, "ABSTTL"}, {"RESTORE", "k", "1", good, "REPLACE", "ABSTTL"}, {"GET", "k"},
	})
}

// sameEvents runs commands here and in a redis-server.
func sameEvents(t *testing.T, now time.Time, commands [][]string) {
	t.Helper()
	oracle := redistest.StartOracle(t, "--notify-keyspace-events", "KAnm", "--enable-debug-command", "yes")
	sub := subscribe(t, oracle.Addr)
	conn, err := redistest.Dial(oracle.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do("DEBUG", "SET-ACTIVE-EXPIRE", "0"); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, 8)
	var heard hearing
	h.set.Listen(&heard)
	h.set.SetEvents(shard.EventKeyspace | shard.EventsAll | shard.EventNew | shard.EventKeyMiss)
	h.now.SetMs(now.UnixMilli())
	for i, args := range commands {
		want, err := conn.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		got := h.do(args...)
		published, told := sub.take(t), heard.take()
		if strings.HasPrefix(strings.ToLower(args[0]), "sort") { // what it looks up for a set is in no order
			slices.Sort(published)
			slices.Sort(told)
		}
		if !slices.Equal(published, told) {
			t.Fatalf("command %d: %q\nredis-server tells %q,\nthe shards     %q\nreplies %s and %s",
				i, args, published, told, brief(want), brief(got))
		}
	}
}

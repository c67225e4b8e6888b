package server

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// keysOn returns n keys of a shard.
func (g *gated) keysOn(shard, n int) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		if key := fmt.Sprintf("k%d", i); g.set.ShardOf([]byte(key)) == shard {
			keys = append(keys, key)
		}
	}
	return keys
}

// failBehind has the disk fail behind a write, whose reply waits, and waits until that is known.
func (g *gated) failBehind(write string) (*guest, error) {
	c := g.dial()
	g.t.Cleanup(func() { g.disk.fail(nil) })
	g.disk.stop()
	executed := g.set.Log.LSN()
	c.say(write)
	until := time.Now().Add(patience)
	for g.set.Log.LSN() == executed && time.Now().Before(until) {
		time.Sleep(time.Millisecond)
	}
	g.disk.fail(syscall.ENOSPC)
	g.disk.resume()
	for !g.aof.unsynced.on.Load() {
		if time.Sleep(time.Millisecond); time.Now().After(until) {
			return nil, fmt.Errorf("the failure is not known")
		}
	}
	return c, nil
}

// ask is what a client says while the disk fails, and what it is sent.
type ask struct{ say, want string }

func bulkOf(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// answered: these are answered while the disk fails, each on a connection of its own.
func (g *gated) answered(asks []ask) error {
	for _, a := range asks {
		c := g.dial()
		c.say(strings.Split(a.say, "\n")...)
		if err := c.gets(a.want); err != nil {
			return fmt.Errorf("%q: %w", a.say, err)
		}
	}
	return nil
}

// awaited: these are not, while the gate holds so many bytes of others; they are when the disk works.
func (g *gated) awaited(asks []ask, heldBytes int) error {
	var all []*guest
	for _, a := range asks {
		c := g.dial()
		all = append(all, c)
		c.say(strings.Split(a.say, "\n")...)
		heldBytes += len(a.want)
		if err := c.held(int64(heldBytes)); err != nil {
			return fmt.Errorf("%q: %w", a.say, err)
		}
	}
	for _, c := range all {
		if len(c.got) > 0 {
			return fmt.Errorf("%q has left", c.got)
		}
	}
	g.disk.fail(nil)
	for i, c := range all {
		if err := c.gets(asks[i].want); err != nil {
			return fmt.Errorf("%q, when the disk works: %w", asks[i].say, err)
		}
	}
	return nil
}

// prepare sets keys of the same shard and one of another, and syncs that.
func (g *gated) prepare() (old, changed, never, elsewhere string, err error) {
	k := g.keysOn(1, 3)
	elsewhere = g.keyOn(2)
	c := g.dial()
	c.say("MSET "+k[0]+" old "+k[1]+" before "+elsewhere+" there", "RPUSH {"+k[0]+"}l 2 1", `FUNCTION LOAD `+
		`"#!lua name=lib\nredis.register_function{function_name='read', flags={'no-writes'}, `+
		`callback=function(keys) return redis.call('get', keys[1]) end}"`)
	return k[0], k[1], k[2], elsewhere, c.gets("+OK\r\n:2\r\n" + bulkOf("lib"))
}

// found is what SCAN replies when it is through.
func found(keys ...string) string { return "*2\r\n$1\r\n0\r\n" + names(keys...) }

func names(keys ...string) string {
	text := fmt.Sprintf("*%d\r\n", len(keys))
	for _, key := range keys {
		text += bulkOf(key)
	}
	return text
}

func failingReads(g *gated) error {
	old, changed, never, elsewhere, err := g.prepare()
	if err != nil {
		return err
	}
	watches, others := g.dial(), g.dial()
	watches.say("WATCH " + changed)
	others.say("WATCH " + old + " " + never)
	if err := errors.Join(watches.gets("+OK\r\n"), others.gets("+OK\r\n")); err != nil {
		return err
	}
	c, err := g.failBehind("SET " + changed + " after")
	if err != nil {
		return err
	}
	eval := func(key string) string { return `EVAL "return redis.call('get', KEYS[1])" 1 ` + key }
	queued := func(keys ...string) string {
		return "MULTI\nGET " + strings.Join(keys, "\nGET ") + "\n" + eval(keys[0]) + "\nEXEC"
	}
	const open = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n"
	list := "{" + old + "}l"
	if err := g.answered([]ask{
		{"GET " + old, bulkOf("old")},
		{"GET " + never, "$-1\r\n"},
		{"GET " + old + "\nGET " + never + "\nGET " + elsewhere, bulkOf("old") + "$-1\r\n" + bulkOf("there")},
		{"MGET " + elsewhere + " " + old, "*2\r\n" + bulkOf("there") + bulkOf("old")},
		{"LRANGE " + list + " 0 -1", "*2\r\n" + bulkOf("2") + bulkOf("1")},
		{"SORT_RO " + list, "*2\r\n" + bulkOf("1") + bulkOf("2")},
		{"OBJECT ENCODING " + old, bulkOf("embstr")},
		{"XREAD COUNT 1 BLOCK 1 STREAMS " + never + " 0", "*-1\r\n"},
		{eval(old), bulkOf("old")},
		{`EVAL_RO "return redis.call('get', KEYS[1])" 1 ` + never, "$-1\r\n"},
		{queued(old, elsewhere), open + bulkOf("old") + bulkOf("there") + bulkOf("old")},
		{"CLIENT REPLY OFF\nGET " + old + "\nCLIENT REPLY ON\nGET " + old, "+OK\r\n" + bulkOf("old")},
		{"WATCH " + changed, "+OK\r\n"},
		{"WATCH " + old + "\nMULTI\nEXEC", "+OK\r\n+OK\r\n*0\r\n"},
		{"KEYS " + old, names(old)},
		{"KEYS none*", names()},
		{"KEYS {*", names(list)},
		{"SCAN 0 COUNT 100000 MATCH " + old, found(old)},
		{"SCAN 0 COUNT 100000 MATCH {" + old + "}*", found(list)},
		{"FCALL_RO read 1 " + old, bulkOf("old")},
		{"FCALL read 1 " + never, "$-1\r\n"},
	}); err != nil {
		return err
	}
	others.say("MULTI", "GET "+old, "EXEC")
	if err := others.gets("+OK\r\n+QUEUED\r\n*1\r\n" + bulkOf("old")); err != nil {
		return err
	}
	const aborted = "+OK\r\n+QUEUED\r\n*-1\r\n" // tells that somebody has changed it
	watches.say("MULTI", "GET "+old, "EXEC")
	return steps(func() error { return watches.held(int64(5 + len(aborted))) }, func() error {
		return g.awaited([]ask{
			{"GET " + changed, bulkOf("after")},
			{"MGET " + elsewhere + " " + old + " " + changed,
				"*3\r\n" + bulkOf("there") + bulkOf("old") + bulkOf("after")},
			{"GET " + changed + "\nGET " + old, bulkOf("after") + bulkOf("old")},
			{eval(changed), bulkOf("after")},
			{queued(old, changed), open + bulkOf("old") + bulkOf("after") + bulkOf("old")},
			{queued(changed, old), open + bulkOf("after") + bulkOf("old") + bulkOf("after")},
			{`EVAL "redis.call('get', KEYS[1]) return redis.call('get', KEYS[2])" 2 ` + changed + " " + old,
				bulkOf("old")},
			{"DBSIZE", ":4\r\n"},
			{"SORT_RO " + list + " BY " + changed + "*", "*2\r\n" + bulkOf("1") + bulkOf("2")},
			{"WATCH " + changed + "\nMULTI\nEXEC", "+OK\r\n+OK\r\n*0\r\n"},
			{"KEYS " + changed, names(changed)},
			{"SCAN 0 COUNT 100000 MATCH " + changed, found(changed)},
			{"FCALL_RO read 1 " + changed, bulkOf("after")},
			{"MULTI\nKEYS " + old + "\nEXEC", "+OK\r\n+QUEUED\r\n*1\r\n" + names(old)},
			{"CLIENT REPLY OFF\nGET " + changed + "\nCLIENT REPLY ON\nGET " + old, "+OK\r\n" + bulkOf("old")},
		}, 5+len(aborted))
	}, func() error { return watches.gets(aborted) }, func() error { return c.gets("+OK\r\n") })
}

// TestReadsWhileSyncsFail: reads of what was not changed behind what is synced are answered while syncs fail, also in
// the shard of a write that waits; reads of that don't before its sync is done.
func TestReadsWhileSyncsFail(t *testing.T) {
	if err := runGate(t, gateSound, failingReads); err != nil {
		t.Error(err)
	}
}

// TestReadsWhileSyncsFailNotices: that all keys are taken for unchanged is noticed.
func TestReadsWhileSyncsFailNotices(t *testing.T) {
	err := runGate(t, sparesAll, failingReads)
	if err == nil || !strings.Contains(err.Error(), `"$5\r\nafter\r\n" has left before it was synced`) {
		t.Errorf("the mistake was not noticed: %v", err)
	}
}

// TestReadsBehindChangeOfAll: what changes more than single keys makes all reads in its shards wait.
func TestReadsBehindChangeOfAll(t *testing.T) {
	for _, write := range []string{"SWAPDB 0 1", "FLUSHALL", "FUNCTION FLUSH"} {
		t.Run(write, func(t *testing.T) {
			err := runGate(t, gateSound, func(g *gated) error {
				old, _, _, _, err := g.prepare()
				if err != nil {
					return err
				}
				c, err := g.failBehind(write)
				if err != nil {
					return err
				}
				want := "$-1\r\n"
				if write == "FUNCTION FLUSH" {
					want = bulkOf("old")
				}
				return steps(func() error { return g.awaited([]ask{{"GET " + old, want}}, 5) },
					func() error { return c.gets("+OK\r\n") })
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadsBehindLaterChanges: keys whose time comes while syncs fail are absent, whether a DEL of them is logged or
// not, and others are as they were.
func TestReadsBehindLaterChanges(t *testing.T) {
	err := runGate(t, gateSound, func(g *gated) error {
		old, changed, never, _, err := g.prepare()
		if err != nil {
			return err
		}
		g.activeExpireOff.Store(true) // it expires when syncs fail, and not before
		if err := g.answered([]ask{{"SET " + never + " soon PX 1", "+OK\r\n"}}); err != nil {
			return err
		}
		c, err := g.failBehind("SET " + changed + " after PX 1")
		if err != nil {
			return err
		}
		failed := g.set.Log.LSN()
		g.activeExpireOff.Store(false)
		until := time.Now().Add(patience)
		for g.set.Shards[1].DB(0).PublishedCounts().Keys > 2 && time.Now().Before(until) {
			time.Sleep(time.Millisecond)
		}
		if g.set.Log.LSN() == failed {
			return errors.New("nothing has expired")
		}
		return steps(func() error {
			return g.answered([]ask{
				{"GET " + old, bulkOf("old")}, {"GET " + never, "$-1\r\n"}, {"EXISTS " + never + " " + old, ":1\r\n"},
				{"KEYS " + never, names()},
			})
		}, func() error { return g.awaited([]ask{{"GET " + changed, "$-1\r\n"}}, 5) },
			func() error { return c.gets("+OK\r\n") })
	})
	if err != nil {
		t.Error(err)
	}
}

// deletedBehind: that a key was deleted is not told before that is synced.
func deletedBehind(g *gated) error {
	_, changed, _, _, err := g.prepare()
	if err != nil {
		return err
	}
	c, err := g.failBehind("DEL " + changed)
	if err != nil {
		return err
	}
	return steps(func() error {
		return g.awaited([]ask{{"GET " + changed, "$-1\r\n"}, {"KEYS " + changed, names()}}, 4)
	}, func() error { return c.gets(":1\r\n") })
}

// TestDelWhileSyncsFail: a key that was deleted is no key whose time has come.
func TestDelWhileSyncsFail(t *testing.T) {
	if err := runGate(t, gateSound, deletedBehind); err != nil {
		t.Error(err)
	}
}

// TestDelWhileSyncsFailNotices: that all deleted keys are taken for such is noticed.
func TestDelWhileSyncsFailNotices(t *testing.T) {
	err := runGate(t, sparesDels, deletedBehind)
	if err == nil || !strings.Contains(err.Error(), "before it was synced") {
		t.Errorf("the mistake was not noticed: %v", err)
	}
}

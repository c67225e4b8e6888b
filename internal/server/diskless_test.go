package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"fulmen/persist/rdb"
)

// snapshotOf is an RDB file with so many keys, all of which have this value.
func snapshotOf(t testing.TB, keys int, value string) []byte {
	t.Helper()
	var body bytes.Buffer
	w := rdb.NewWriter(&body, rdb.WriteOptions{Version: rdb.Version7, Checksum: true})
	w.Header()
	w.Aux("used-mem", "1000000")
	w.SelectDB(0)
	for i := range keys {
		w.RawEntry([]byte(fmt.Sprint("key:", i)), 0, -1, -1, rdb.TypeString, []byte(string(rune(len(value)))+value))
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

// fullResync is what a primary says before a snapshot that a mark follows.
func fullResync(offset int) string {
	return fmt.Sprintf("+FULLRESYNC %s %d\r\n$EOF:%s\r\n", fakeID, offset, fakeMark)
}

// swapKeys is how many keys the snapshots of these tests have: more than fit into any buffer on the way.
const swapKeys = 20_000

// startSwap starts a fake primary and a server of ours that has swapKeys keys of its, all "old", at position 100.
func startSwap(t testing.TB, params ...string) (*fakePrimary, *Server, *client) {
	t.Helper()
	p, srv, c := startFake(t, params...)
	p.accept("? -1", fullResync(100)+string(snapshotOf(t, swapKeys, "old"))+fakeMark)
	p.hears("REPLCONF ACK 100")
	return p, srv, c
}

// again is what a replica asks for that has position 100.
const again = fakeID + " 101"

// loadingInfo is what INFO says of loads.
func loadingInfo(c *client) string {
	return c.info("persistence", "loading") + c.info("persistence", "async_loading")
}

// untilGone waits until the replica has closed the connection, which says something else if it does not.
func (p *fakePrimary) untilGone(what string) {
	p.t.Helper()
	p.bePatient()
	if _, err := io.Copy(io.Discard, p.Conn); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatal(what)
	}
	_ = p.Close()
}

// received is how much of a snapshot has come, but for what may be the mark behind it; 0 if none is coming.
func received(c *client) int {
	_, rest, _ := strings.Cut(c.do("INFO", "replication"), "master_sync_read_bytes:")
	text, _, _ := strings.Cut(rest, "\r")
	n, _ := strconv.Atoi(text)
	return n
}

// TestOldDataStays: what is wrong with a snapshot, or with the link, costs a replica nothing that swaps: it has its old
// data and its old position.
func TestOldDataStays(t *testing.T) {
	p, srv, c := startSwap(t)
	want := c.do("DEBUG", "DIGEST")
	good := snapshotOf(t, swapKeys, "new")
	at := func(i int, b string) string { return string(good[:i]) + b + string(good[i+len(b):]) }
	half := len(good) / 2
	fails := func(why, body string) {
		t.Helper()
		_ = p.Close()
		p.accept(again, fullResync(500)+body)
		if why == "cut off" {
			eventually(t, why+": half of it is there", func() bool { return received(c) >= half })
			_ = p.Close()
		} else {
			p.untilGone(why + ": it goes on")
		}
		eventually(t, why+": it fails", func() bool { return loadingInfo(c) == "00" })
		if got := c.do("DEBUG", "DIGEST"); got != want {
			t.Errorf("%s: the old data has changed", why)
		}
	}
	fails("cut off", string(good[:half]))
	fails("damaged", at(half, "\xff\xff\xff")+fakeMark)
	fails("a sum that is wrong", at(len(good)-8, "\x01\x02\x03\x04\x05\x06\x07\x08")+fakeMark)
	fails("a version of the future", at(5, "0099")+fakeMark)
	fails("no snapshot", "nothing of the kind"+fakeMark)
	fails("too short", string(good[:half])+fakeMark)
	_ = p.Close()
	p.accept(again, "+CONTINUE\r\n") // it goes on where it was
	p.hears("REPLCONF ACK 100")
	p.send(spoken("SET", "key:0", "stream"))
	eventually(t, "the stream goes on", func() bool { return c.do("GET", "key:0") == "stream" })
	if srv.upstream.errors.Load() != 0 {
		t.Error("commands of the primary have failed")
	}
	checkShadowFreed(t, srv)
}

// checkShadowFreed fails the test unless all memory is the data's.
func checkShadowFreed(t testing.TB, srv *Server) {
	t.Helper()
	eventually(t, "what was loaded for nothing is freed", func() bool {
		held := int64(0)
		for _, s := range srv.set.Shards {
			held += s.HeldBytes()
		}
		return srv.space.Stats().UsedBytes <= held+int64(len(srv.set.Shards))<<16 && srv.loading.shadow.Load() == nil
	})
}

// mixedLooks reads all keys of a replica, again and again in one command, until stop is closed, and returns how many
// looks have found all keys old, all new, and anything else. looks counts them all.
func mixedLooks(t testing.TB, addr string, looks *atomic.Int64, stop <-chan struct{}) (old, fresh, mixed int) {
	c := dial(t, addr)
	look := []string{"MGET"}
	for i := 0; i < swapKeys; i += swapKeys / 64 {
		look = append(look, fmt.Sprint("key:", i))
	}
	look = append(look, fmt.Sprint("key:", swapKeys-1))
	for {
		select {
		case <-stop:
			return old, fresh, mixed
		default:
		}
		switch got := slices.Compact(strings.Fields(strings.Trim(c.do(look...), "[]"))); {
		case len(got) == 1 && got[0] == "old":
			old++
		case len(got) == 1 && got[0] == "new":
			fresh++
		default:
			mixed++
		}
		looks.Add(1)
	}
}

// swapUnderReaders has a replica receive new data in pieces while others read, and returns what they saw. broken: the
// transfer breaks off.
func swapUnderReaders(t *testing.T, fault upstreamFault, broken bool) (old, fresh, mixed int) {
	p, srv, c := startSwap(t, "--shards", "8")
	srv.upstream.fault = fault
	stop := make(chan struct{})
	var readers sync.WaitGroup
	var olds, news, mixes atomic.Int64
	var looks [2]atomic.Int64
	everybodyLooks := func(when string) {
		t.Helper()
		for i := range looks {
			n := looks[i].Load() + 2 // one that is under way does not count
			eventually(t, "everybody looks "+when, func() bool { return looks[i].Load() >= n })
		}
	}
	for i := range looks {
		readers.Go(func() {
			a, b, m := mixedLooks(t, srv.Addr(), &looks[i], stop)
			olds.Add(int64(a))
			news.Add(int64(b))
			mixes.Add(int64(m))
		})
	}
	everybodyLooks("before")
	_ = p.Close()
	p.accept(again, fullResync(500))
	body := snapshotOf(t, swapKeys, "new")
	if broken {
		body = body[:len(body)/2]
	}
	for len(body) > 0 {
		n := min(len(body), 30_000)
		p.send(string(body[:n]))
		body = body[n:]
		c.do("PING")
	}
	if broken {
		_ = p.Close()
		eventually(t, "it is over", func() bool { return loadingInfo(c) == "00" })
	} else {
		p.send(fakeMark)
		p.hears("REPLCONF ACK 500")
	}
	everybodyLooks("afterwards")
	close(stop)
	readers.Wait()
	return int(olds.Load()), int(news.Load()), int(mixes.Load())
}

// TestSwapIsOneMoment: whoever reads on a replica while everything comes anew sees either all old or all new data.
func TestSwapIsOneMoment(t *testing.T) {
	old, _, mixed := swapUnderReaders(t, 0, false)
	if old == 0 || mixed != 0 {
		t.Errorf("%d looks at the old data, %d at a mix", old, mixed)
	}
}

// TestSwapBeforeCompletionIsNoticed plants the fault that what has come replaces the data when the transfer breaks off.
func TestSwapBeforeCompletionIsNoticed(t *testing.T) {
	if _, _, mixed := swapUnderReaders(t, faultSwapsEarly, true); mixed == 0 {
		t.Error("nobody has noticed")
	}
}

// TestServesWhileLoading: what a replica answers while new data comes beside the old one, and that it can be promoted
// meanwhile.
func TestServesWhileLoading(t *testing.T) {
	p, srv, c := startSwap(t)
	_ = p.Close()
	body := snapshotOf(t, swapKeys, "new")
	p.accept(again, fullResync(500)+string(body[:len(body)/2]))
	eventually(t, "it loads", func() bool { return loadingInfo(c) == "01" })
	eventually(t, "the first half is there", func() bool {
		return received(c) >= len(body)/2 && c.info("replication", "master_sync_in_progress") == "1"
	})
	const loading = "-LOADING Redis is loading the dataset in memory"
	for _, w := range [][2]string{
		{"GET key:1", "old"}, {"DBSIZE", strconv.Itoa(swapKeys)}, {"SAVE", loading}, {"BGSAVE", loading},
		{"BGREWRITEAOF", loading}, {"PSYNC ? -1", loading}, {"MULTI", "OK"}, {"GET key:2", "QUEUED"}, {"EXEC", "[old]"},
		{"SET key:1 x", "-READONLY You can't write against a read only replica."},
		{"CONFIG SET replica-serve-stale-data no", "OK"},
		{"GET key:1", "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."},
		{"CONFIG SET replica-serve-stale-data yes", "OK"},
		{"REPLICAOF NO ONE", "OK"}, {"GET key:1", "old"}, {"SET key:1 own", "OK"},
		{"BGSAVE", "Background saving started"},
	} {
		if got := c.do(strings.Fields(w[0])...); got != w[1] {
			t.Errorf("%s: %q, want %q", w[0], got, w[1])
		}
	}
	if got := loadingInfo(c); got != "00" {
		t.Errorf("promoted, it still loads: %s", got)
	}
	checkShadowFreed(t, srv)
	if got := c.do("GET", "key:1"); got != "own" {
		t.Errorf("the data of a primary that is no longer followed came: %q", got)
	}
}

// TestEmptiesFirst: the modes in which clients are told LOADING while the data comes.
func TestEmptiesFirst(t *testing.T) {
	body := snapshotOf(t, swapKeys, "new")
	const loading = "-LOADING Redis is loading the dataset in memory"
	t.Run("flush-before-load", func(t *testing.T) {
		p, srv, c := startSwap(t)
		c.do("CONFIG", "SET", "repl-diskless-load", "flush-before-load")
		c.do("CONFIG", "SET", "appendonly", "yes")
		eventually(t, "there is an append-only file", srv.aof.enabled)
		_ = p.Close()
		p.accept(again, fullResync(500)+string(body[:len(body)/2]))
		eventually(t, "it loads", func() bool { return loadingInfo(c) == "10" })
		if got := c.do("GET", "key:1"); got != loading {
			t.Error(got)
		}
		eventually(t, "the old data is gone", srv.isEmpty)
		_ = p.Close()
		p.accept("? -1", fullResync(500)) // there is nothing to go on with
		eventually(t, "it loads", func() bool { return loadingInfo(c) == "10" })
		if !srv.isEmpty() {
			t.Error("the old data is there again")
		}
		p.send(string(body) + fakeMark)
		p.hears("REPLCONF ACK 500")
		if got := c.do("GET", "key:1"); got != "new" {
			t.Error(got)
		}
		eventually(t, "there is an append-only file again", srv.aof.enabled)
	})
	t.Run("on-empty-db", func(t *testing.T) {
		p, srv, c := startFake(t, "--repl-diskless-load", "on-empty-db")
		p.accept("? -1", fullResync(100)+string(body[:len(body)/2]))
		eventually(t, "it loads", func() bool { return loadingInfo(c) == "10" })
		if got := c.do("GET", "key:1"); got != loading {
			t.Error(got)
		}
		_ = p.Close()
		c.do("CONFIG", "SET", "appendonly", "yes")
		eventually(t, "there is an append-only file", srv.aof.enabled)
		p.accept("? -1", fullResync(100)+string(body)+fakeMark)
		p.hears("REPLCONF ACK 100")
		if got := c.do("GET", "key:1"); got != "new" {
			t.Error(got)
		}
		c.do("CONFIG", "SET", "repl-diskless-load", "flush-before-load")
		_ = p.Close()
		p.accept(again, fullResync(500)+string(body[:len(body)/2]))
		eventually(t, "it loads, and the old data is gone", func() bool {
			return loadingInfo(c) == "10" && srv.isEmpty()
		})
		if got := c.do("REPLICAOF", "127.0.0.1", "1"); got != "OK" { // it ends the load
			t.Error(got)
		}
		if got := c.do("GET", "key:1"); got != "nil" {
			t.Error(got)
		}
	})
	t.Run("by file", func(t *testing.T) {
		p, srv, c := startSwap(t, "--repl-diskless-load", "on-empty-db")
		_ = p.Close()
		p.accept(again, fullResync(500)+string(body[:len(body)/2]))
		eventually(t, "half of it is there", func() bool {
			return received(c) >= len(body)/2
		})
		if got := c.do("GET", "key:1") + loadingInfo(c); got != "old00" {
			t.Error(got)
		}
		wantTemporary(t, srv, 1)
		_ = p.Close()
		p.accept(again, fullResync(500)+string(body[:len(body)/2])+fakeMark)
		p.untilGone("the file is good")
		p.accept("? -1", fullResync(600)+string(body)+fakeMark)
		wantTemporary(t, srv, 0)
		p.hears("REPLCONF ACK 600")
		if got := c.do("GET", "key:1"); got != "new" {
			t.Error(got)
		}
		wantTemporary(t, srv, 0)
	})
}

// wantTemporary waits until there are so many temporary files in a server's directory.
func wantTemporary(t testing.TB, srv *Server, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("there are %d temporary files", want), func() bool {
		names, err := os.ReadDir(srv.cfg.Values().Dir)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, name := range names {
			if strings.HasPrefix(name.Name(), "temp-") {
				n++
			}
		}
		return n == want
	})
}

// TestTooLittleMemory: a set for which there is no memory beside the old one is refused, and the old one stays.
func TestTooLittleMemory(t *testing.T) {
	p, srv, c := startSwap(t)
	want := c.do("DEBUG", "DIGEST")
	srv.space.Limit(12 << 20) // a fraction is enough for the old data; the new needs at least twice as much
	_ = p.Close()
	p.accept(again, fullResync(500))
	// The server may go away in the middle.
	_, _ = p.Conn.Write(snapshotOf(t, 20*swapKeys, "new"))
	if _, err := io.Copy(io.Discard, p.Conn); errors.Is(err, os.ErrDeadlineExceeded) { // the mark never comes
		t.Fatal("it goes on")
	}
	p.accept(again, "+CONTINUE\r\n")
	p.hears("REPLCONF ACK 100")
	if got := c.do("DEBUG", "DIGEST"); got != want {
		t.Error("the old data has changed")
	}
	checkShadowFreed(t, srv)
}

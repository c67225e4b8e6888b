package server

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"fulmen/persist/snapshot"
)

// What memory has no more of the stream comes from the append-only files.

// offset is the position of the stream's end.
func (c *client) offset() int64 {
	c.t.Helper()
	n, err := strconv.ParseInt(c.info("replication", "master_repl_offset"), 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// goOn asks for what follows a position, and returns the name under which it goes on.
func (c *rawReplica) goOn(id string, lsn int64) string {
	c.t.Helper()
	c.say(fmt.Sprintf("PSYNC %s %d", id, lsn+1))
	name, ok := strings.CutPrefix(c.line(), "+CONTINUE ")
	if !ok {
		c.t.Fatalf("from %d on: %s", lsn, name)
	}
	return name
}

// fill writes some bytes of stream, to many keys in several databases.
func (c *client) fill(values, size int) {
	c.t.Helper()
	value := strings.Repeat("x", size)
	for i := range values {
		c.send(fmt.Sprintf("SELECT %d\r\nSET key:%d %s\r\n", i%3, i, value))
	}
	for range values {
		c.want("OK", "OK")
	}
}

// streamFiles are the parameters of a server with little memory and files to look things up in.
func streamFiles(dir string) []string {
	return []string{
		"--dir", dir, "--appendonly", "yes", "--repl-backlog-size", "16kb", "--repl-diskless-sync-delay", "0",
		"--repl-ping-replica-period", "1000", "--aof-history-retain-bytes", "1gb", "--auto-aof-rewrite-percentage", "0",
		"--shards", "2", "--enable-debug-command", "yes",
	}
}

// TestResumesFromFiles: a replica that comes back with a position that memory lacks goes on from there, to the byte,
// over rewrites and a restart.
func TestResumesFromFiles(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, streamFiles(dir)...)
	c := dial(t, p.addr)
	c.loaded()
	first := dialReplicaAt(t, p.addr)
	id, from := first.full()
	for i := range 3 {
		c.fill(80, 32<<10)
		if i == 0 {
			c.do("BGREWRITEAOF")
			eventually(t, "the rewrite ends", func() bool {
				return c.info("persistence", "aof_rewrite_in_progress") == "0" &&
					c.info("persistence", "aof_rewrites") == "1"
			})
		}
	}
	stream := first.take(int(c.offset() - from))
	check := func(addr string) {
		t.Helper()
		for _, at := range []int{0, 1, 100, len(stream) / 4, len(stream) / 2, len(stream) - 1} {
			again := dialReplicaAt(t, addr)
			if name := again.goOn(id, from+int64(at)); name != c.info("replication", "master_replid") {
				t.Errorf("the history is called %s", name)
			}
			if got := again.take(len(stream) - at); got != stream[at:] {
				t.Fatalf("from %d of %d on there is something else", at, len(stream))
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	check(p.addr)
	if got := c.info("stats", "sync_full"); got != "1" {
		t.Errorf("%s full syncs", got)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, streamFiles(dir)...)
	c = dial(t, p.addr)
	c.loaded()
	check(p.addr)
	// The stream goes on behind what is in the files.
	again := dialReplicaAt(t, p.addr)
	again.goOn(id, from)
	c.do("SET", "new", "1")
	if got := again.take(len(stream) + len(record("SET", "new", "1"))); got != stream+record("SET", "new", "1") {
		t.Errorf("the stream goes on with %q", got[len(stream):])
	}
}

// TestResumesAfterKill: after a kill the history has another name, and who has followed goes on under it.
func TestResumesAfterKill(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, streamFiles(dir)...)
	c := dial(t, p.addr)
	c.loaded()
	first := dialReplicaAt(t, p.addr)
	id, from := first.full()
	c.fill(100, 32<<10)
	stream := first.take(int(c.offset() - from))
	for i := range 4 {
		writer := dial(t, p.addr)
		writer.send(strings.Repeat(fmt.Sprintf("SET w:%d 1\r\nMSET a:%d 1 b:%d 1 c:%d 1\r\n", i, i, i, i), 5000))
	}
	stream += first.take(10_000)
	p.kill()
	rest, _ := io.ReadAll(first.r) // what ended it does not matter
	stream += string(rest)

	p = startProcess(t, streamFiles(dir)...)
	c = dial(t, p.addr)
	c.loaded()
	for _, at := range []int{0, 1000, len(stream) - 1, len(stream)} {
		again := dialReplicaAt(t, p.addr)
		name := again.goOn(id, from+int64(at))
		if name == id {
			t.Error("the history goes on under its name")
		}
		c.do("SET", "new", strconv.Itoa(at))
		got := again.take(int(c.offset()-from) - at)
		if !strings.HasPrefix(got, stream[at:]) || !strings.HasSuffix(got, record("SET", "new", strconv.Itoa(at))) {
			t.Fatalf("from %d of %d on there is something else", at, len(stream))
		}
	}
}

// TestSlowFullSyncHoldsNobodyUp: a walk ends in its own time, whatever the replica takes, and writers don't wait; the
// replica gets all of it, and the stream behind it.
func TestSlowFullSyncHoldsNobodyUp(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--rdbcompression", "no")
	c := dial(t, srv.Addr())
	const keys = 64
	for i := range keys {
		c.do("SET", "k"+strconv.Itoa(i), strings.Repeat(strconv.Itoa(i%10), 1<<20))
	}
	slow := dialReplica(t, srv)
	slow.say("PSYNC ? -1")
	slow.line()
	eventually(t, "the walk is over", func() bool {
		save := srv.saver.Running()
		return save != nil && save.Progress().Phase == snapshot.PhaseCommitting
	})
	if got := srv.replication.spools.Bytes(); got < keys<<20/4 {
		t.Errorf("%d bytes are in temporary files", got)
	}
	for i := range 100 {
		c.do("SET", "new"+strconv.Itoa(i), "v")
	}
	mark := strings.TrimPrefix(slow.line(), "$EOF:")
	var data strings.Builder
	for !strings.HasSuffix(data.String(), mark) {
		data.WriteString(slow.take(1))
		if n := slow.r.Buffered(); n > 0 {
			data.WriteString(slow.take(n))
		}
	}
	if data.Len() < keys<<20 {
		t.Errorf("the data has %d bytes", data.Len())
	}
	eventually(t, "the temporary file is gone", func() bool { return srv.replication.spools.Bytes() == 0 })
	slow.say("REPLCONF ACK 1")
	if first := record("SET", "new0", "v"); slow.take(len(first)) != first {
		t.Error("the stream begins with something else")
	}
}

// TestSlowReplicaReadsFiles: little memory is kept for a replica that reads nothing, whether it has its data or not and
// whether there is an append-only file or not; it is not disconnected, and gets everything in the end.
func TestSlowReplicaReadsFiles(t *testing.T) {
	for i := range 4 {
		loads, spools := i%2 == 1, i/2 == 1
		t.Run(fmt.Sprintf("loads %v, spools %v", loads, spools), func(t *testing.T) {
			args := append(streamFiles(t.TempDir()), "--client-output-buffer-limit", "replica 64mb 0 0",
				"--log-memory-limit", "64mb")
			if spools {
				args = append(args, "--appendonly", "no")
			}
			srv := startServer(t, args...)
			c := dial(t, srv.Addr())
			slow := dialReplica(t, srv)
			_, from := slow.data()
			ack := "REPLCONF ACK " + strconv.FormatInt(from, 10)
			if !loads {
				slow.say(ack)
			}
			value := strings.Repeat("x", 1<<20)
			var stream strings.Builder
			most := int64(0)
			for i := range 120 {
				key := "k" + strconv.Itoa(i%10)
				c.do("SET", key, value)
				stream.WriteString(record("SET", key, value))
				if i%20 == 19 {
					f := (*srv.replication.followers.Load())[0]
					eventually(t, "what is kept for it is little", func() bool { return f.lagBytes() <= shedBytes })
				}
				most = max(most, srv.set.Log.MemoryBytes())
			}
			if most > 80<<20 {
				t.Errorf("the log took %d MB", most>>20)
			}
			if got := c.info("fulmen", "replicas_reading_files"); got != "1" {
				t.Errorf("%s replicas read files", got)
			}
			if written := srv.replication.spools.Bytes(); (written > 0) != spools {
				t.Errorf("%d bytes are in temporary files", written)
			}
			if loads {
				slow.say(ack)
			}
			if slow.take(stream.Len()) != stream.String() {
				t.Error("the stream is another one")
			}
			eventually(t, "it has come to memory", func() bool {
				return c.info("fulmen", "replicas_reading_files") == "0" && c.info("fulmen", "repl_spool_bytes") == "0"
			})
			c.do("SET", "end", "1")
			if end := record("SET", "end", "1"); slow.take(len(end)) != end {
				t.Error("the stream goes on with something else")
			}
			if got := c.info("stats", "sync_full"); got != "1" {
				t.Errorf("%s full syncs", got)
			}
		})
	}
}

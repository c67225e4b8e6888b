package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/resp"
	"fulmen/replica"
)

// rawReplica is a connection that speaks as a replica does, byte by byte.
type rawReplica struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// dialReplica connects and says what a replica of now says of itself.
func dialReplica(t testing.TB, srv *Server) *rawReplica {
	t.Helper()
	return dialReplicaAt(t, srv.Addr())
}

// dialReplicaAt is dialReplica for a server at an address.
func dialReplicaAt(t testing.TB, addr string) *rawReplica {
	t.Helper()
	nc := connect(t, addr)
	t.Cleanup(func() { _ = nc.Close() }) // some tests have closed it
	c := &rawReplica{Conn: nc, t: t, r: bufio.NewReader(nc)}
	c.say("REPLCONF listening-port 7 capa eof capa psync2")
	if got := c.line(); got != "+OK" {
		t.Fatal(got)
	}
	return c
}

// bePatient puts the deadline off.
func (c *rawReplica) bePatient() {
	c.t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawReplica) say(line string) {
	c.t.Helper()
	c.bePatient()
	if _, err := io.WriteString(c.Conn, line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// line reads a line that is not empty.
func (c *rawReplica) line() string {
	c.t.Helper()
	c.bePatient()
	for {
		text, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", text, err)
		}
		if text = strings.TrimRight(text, "\r\n"); text != "" {
			return text
		}
	}
}

// take reads so many bytes of the stream.
func (c *rawReplica) take(n int) string {
	c.t.Helper()
	c.bePatient()
	p := make([]byte, n)
	if _, err := io.ReadFull(c.r, p); err != nil {
		c.t.Fatalf("reading %d bytes of the stream: %v", n, err)
	}
	return string(p)
}

// full asks for all data, throws it away, and returns the history and the position from which on the stream follows.
func (c *rawReplica) full() (id string, lsn int64) {
	c.t.Helper()
	id, lsn = c.data()
	c.say("REPLCONF ACK " + strconv.FormatInt(lsn, 10))
	return id, lsn
}

// data is full for a replica that does not say yet that it has found the end.
func (c *rawReplica) data() (id string, lsn int64) {
	c.t.Helper()
	c.say("PSYNC ? -1")
	if _, err := fmt.Sscanf(c.line(), "+FULLRESYNC %s %d", &id, &lsn); err != nil {
		c.t.Fatal(err)
	}
	mark, ok := strings.CutPrefix(c.line(), "$EOF:")
	if !ok || len(mark) != 40 {
		c.t.Fatalf("no mark but %q", mark)
	}
	var data []byte
	for !bytes.HasSuffix(data, []byte(mark)) {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatal(err)
		}
		data = append(data, b)
	}
	return id, lsn
}

// record is a command as the stream has it.
func record(args ...string) string { return string(resp.AppendCommandStrings(nil, args...)) }

// TestStreamIsExact: from its position on a replica gets the records and nothing else, and whoever comes back gets what
// is behind the byte that it has asked for, to the byte.
func TestStreamIsExact(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0")
	ours := dial(t, srv.Addr())
	ours.do("SET", "before", "1")
	first := dialReplica(t, srv)
	id, lsn := first.full()
	if got := ours.info("replication", "master_replid"); got != id {
		t.Errorf("the history is %s, INFO says %s", id, got)
	}
	var stream string
	for i, args := range [][]string{{"SET", "a", "1"}, {"RPUSH", "l", "x", "y"}, {"DEL", "a"}, {"SET", "b", "2"}} {
		ours.do(args...)
		stream += record(args...)
		if got := first.take(len(record(args...))); got != record(args...) {
			t.Fatalf("record %d is %q", i, got)
		}
	}
	ours.do("SELECT", "3")
	ours.do("SET", "c", "3")
	other := record("SELECT", "3") + record("SET", "c", "3") + record("SELECT", "0")
	if got := first.take(len(other)); got != other {
		t.Fatalf("a record of another database is %q", got)
	}
	stream += other
	end := lsn + int64(len(stream))
	if got := ours.info("replication", "master_repl_offset"); got != strconv.FormatInt(end, 10) {
		t.Errorf("INFO says offset %s, want %d", got, end)
	}
	for _, has := range []int{0, 1, 10, len(stream) - 1, len(stream)} {
		again := dialReplica(t, srv)
		again.say(fmt.Sprintf("PSYNC %s %d", id, lsn+int64(has)+1))
		if got := again.line(); got != "+CONTINUE "+id {
			t.Fatalf("with %d bytes of the stream: %s", has, got)
		}
		if got := again.take(len(stream) - has); got != stream[has:] {
			t.Errorf("behind %d bytes comes %q, want %q", has, got, stream[has:])
		}
	}
	// What is not there is not promised.
	for _, ask := range []string{
		fmt.Sprintf("PSYNC %s %d", id, end+2), fmt.Sprintf("PSYNC %s 0", id), fmt.Sprintf("PSYNC %s -5", id),
		fmt.Sprintf("PSYNC %s %d", replica.NewHistory().ID, end+1), fmt.Sprintf("PSYNC %s %d", replica.NoID, end+1),
	} {
		c := dialReplica(t, srv)
		c.say(ask)
		if got := c.line(); !strings.HasPrefix(got, "+FULLRESYNC "+id) {
			t.Errorf("%s: %s", ask, got)
		}
	}
}

// TestOtherHistory: two servers are the same up to a position, and go on differently. Who comes from the one to the
// other with what both have goes on; who has more, if only as much as the other, needs everything.
func TestOtherHistory(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0")
	ours := dial(t, srv.Addr())
	first := dialReplica(t, srv)
	old, lsn := first.full()
	ours.do("LPUSH", "k", "a", "b")
	common := record("LPUSH", "k", "a", "b")
	if got := first.take(len(common)); got != common {
		t.Fatal(got)
	}
	split := lsn + int64(len(common))
	r := &srv.replication
	r.setHistory(r.history.Load().Shift(uint64(split))) // as a promotion does
	ours.do("LPUSH", "k", "a", "d")
	own := record("LPUSH", "k", "a", "d")
	for _, c := range []struct {
		at   int64
		want string
	}{{lsn, "+CONTINUE"}, {split, "+CONTINUE"}, {split + 1, "+FULLRESYNC"}, {split + int64(len(own)), "+FULLRESYNC"}} {
		back := dialReplica(t, srv)
		back.say(fmt.Sprintf("PSYNC %s %d", old, c.at+1))
		if got := back.line(); !strings.HasPrefix(got, c.want+" "+r.history.Load().ID) {
			t.Errorf("who has %d bytes, of which %d are common: %s", c.at, split, got)
		}
		if c.want == "+CONTINUE" {
			if got := back.take(int(split-c.at) + len(own)); got != (common + own)[c.at-lsn:] {
				t.Errorf("behind %d comes %q", c.at, got)
			}
		}
	}
	if got := ours.info("replication", "second_repl_offset"); got != strconv.FormatInt(split+1, 10) {
		t.Errorf("second_repl_offset is %s, the common part has %d bytes", got, split)
	}
}

// TestReplicaIsAClient: CLIENT LIST and KILL know it, ROLE and INFO say where it is, what it sends is not answered.
func TestReplicaIsAClient(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0")
	ours := dial(t, srv.Addr())
	c := dialReplica(t, srv)
	_, lsn := c.full()
	eventually(t, "it is online", func() bool {
		return ours.do("ROLE") == fmt.Sprintf("[master %d [[127.0.0.1 7 %d]]]", lsn, lsn)
	})
	if got := ours.info("replication", "slave0"); !strings.HasPrefix(got, "ip=127.0.0.1,port=7,state=online,offset=") {
		t.Errorf("INFO says %q", got)
	}
	if got := ours.do("CLIENT", "LIST", "TYPE", "replica"); !strings.Contains(got, " flags=S ") {
		t.Errorf("CLIENT LIST says %q", got)
	}
	if got := ours.info("clients", "connected_clients"); got != "1" {
		t.Errorf("connected_clients is %s", got)
	}
	// What it says is executed and not answered.
	for _, line := range []string{
		"PING", "PSYNC ? -1", "SYNC", "NOSUCH", "CLIENT REPLY ON", "RESET", "MONITOR", "SET x y",
	} {
		c.say(line)
	}
	if got := c.take(len(record("SET", "x", "y"))); got != record("SET", "x", "y") {
		t.Fatalf("the stream has %q", got)
	}
	if got := ours.do("CLIENT", "KILL", "TYPE", "replica"); got != "1" {
		t.Errorf("CLIENT KILL: %s", got)
	}
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		t.Errorf("killed, it gets %q and %v", rest, err)
	}
	eventually(t, "it is gone", func() bool { return ours.info("replication", "connected_slaves") == "0" })
}

// TestReplicaLoads: a replica that has its data loads it for longer than repl-timeout. As long as it sends newlines it
// stays, and if it sends nothing it is disconnected, whether it has told yet that it has found the end or not.
func TestReplicaLoads(t *testing.T) {
	for _, acks := range []bool{false, true} {
		const never = "2147483647"
		srv := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-timeout", never)
		ours := dial(t, srv.Addr())
		c := dialReplica(t, srv)
		if acks {
			c.full()
		} else {
			c.data()
		}
		f := (*srv.replication.followers.Load())[0]
		eventually(t, "it has the data", func() bool { return f.ackMs.Load() != 0 && f.is(online) == acks })
		const longAgoMs = 1
		f.ackMs.Store(longAgoMs)
		c.say("")
		eventually(t, "the newline is taken for a sign of life", func() bool { return f.ackMs.Load() != longAgoMs })
		f.ackMs.Store(longAgoMs)
		ours.do("CONFIG", "SET", "repl-timeout", "60")
		eventually(t, "it is disconnected", func() bool {
			return ours.info("replication", "connected_slaves") == "0"
		})
	}
}

// TestStreamInMemory: INFO tells what the stream takes, as Redis does: up to repl-backlog-size it is the backlog, and
// the rest is there for replicas that are slow.
func TestStreamInMemory(t *testing.T) {
	const backlogBytes = 1 << 20
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-size", strconv.Itoa(backlogBytes))
	ours := dial(t, srv.Addr())
	figures := func() (backlog, all, slow int64) {
		info := ours.do("INFO", "memory") // once: they belong together
		for name, n := range map[string]*int64{
			"mem_replication_backlog": &backlog, "mem_total_replication_buffers": &all, "mem_clients_slaves": &slow,
		} {
			_, rest, _ := strings.Cut(info, "\r\n"+name+":")
			digits, _, _ := strings.Cut(rest, "\r\n")
			var err error
			if *n, err = strconv.ParseInt(digits, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		return backlog, all, slow
	}
	if backlog, all, slow := figures(); backlog != 0 || all != 0 || slow != 0 {
		t.Errorf("without replicas: %d, %d, %d", backlog, all, slow)
	}
	dialReplica(t, srv).full()
	const written = 12
	for range written {
		ours.do("SET", "k", strings.Repeat("v", 1<<20))
	}
	if backlog, all, slow := figures(); backlog != backlogBytes || all != backlog+slow || slow < 1<<20 ||
		all > 4*written<<20 {
		t.Errorf("with a slow one: %d, %d, %d", backlog, all, slow)
	}
}

// TestReplicaOfNothing: one that wants no keys gets a file without any, and what is written from then on unless it
// wants that file only, as redis-cli's --replica and --functions-rdb.
func TestReplicaOfNothing(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0")
	ours := dial(t, srv.Addr())
	ours.do("SET", "before", "1")
	ours.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() end)")
	for i, asks := range []struct {
		filter, only, with string
		functions          bool
	}{
		{"functions", "1", "SYNC", true}, {`""`, "1", "PSYNC ? -1", false}, {`""`, "0", "SYNC", false},
		{"functions", "0", "PSYNC ? -1", true},
	} {
		c := dialReplica(t, srv)
		c.say("REPLCONF rdb-filter-only " + asks.filter + " rdb-only " + asks.only)
		if got := c.line(); got != "+OK" {
			t.Fatal(got)
		}
		c.say(asks.with)
		if asks.with != "SYNC" {
			if got := c.line(); !strings.HasPrefix(got, "+FULLRESYNC "+ours.info("replication", "master_replid")) {
				t.Errorf("%v: %s", asks, got)
			}
		}
		mark, _ := strings.CutPrefix(c.line(), "$EOF:")
		data := ""
		for !strings.HasSuffix(data, mark) {
			data += c.take(1)
		}
		if strings.Contains(data, "before") || strings.Contains(data, "register_function") != asks.functions {
			t.Errorf("%v: the data is %q", asks, data)
		}
		if asks.only == "1" {
			if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
				t.Errorf("%v: behind it comes %q, %v", asks, rest, err)
			}
			continue
		}
		want := record("SET", "k", strconv.Itoa(i))
		ours.do("SET", "k", strconv.Itoa(i))
		c.say("REPLCONF ACK 0")
		if got := c.take(len(want)); got != want {
			t.Errorf("%v: the stream is %q", asks, got)
		}
	}
}

// TestSyncIsASave: while a replica is sent all data INFO says how far that is, as of a save.
func TestSyncIsASave(t *testing.T) {
	const keyUs = "100000" // for all twenty seconds
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--rdb-key-save-delay", keyUs)
	ours := dial(t, srv.Addr())
	for i := range 200 {
		ours.do("SET", "k"+strconv.Itoa(i), "v")
	}
	c := dialReplica(t, srv)
	c.say("PSYNC ? -1")
	eventually(t, "a key is saved", func() bool {
		return ours.info("persistence", "rdb_bgsave_in_progress") == "1" &&
			ours.info("persistence", "current_save_keys_processed") != "0"
	})
	if got := ours.info("persistence", "current_save_keys_total"); got != "200" {
		t.Errorf("of %s keys", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "it is given up", func() bool { return ours.info("persistence", "rdb_bgsave_in_progress") == "0" })
}

// TestSlowCopyKeepsNoLog: a replica that wants no stream has none kept while it takes its time to get the data.
func TestSlowCopyKeepsNoLog(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync", "no", "--rdbcompression", "no")
	ours := dial(t, srv.Addr())
	ours.do("SET", "huge", strings.Repeat("x", 64<<20)) // more than the kernel takes in
	c := dialReplica(t, srv)
	c.say("REPLCONF rdb-only 1")
	if got := c.line(); got != "+OK" {
		t.Fatal(got)
	}
	c.say("SYNC")
	c.line()
	eventually(t, "it is being sent the file", func() bool {
		return strings.Contains(ours.info("replication", "slave0"), "state=send_bulk")
	})
	const written = 64
	for i := range written {
		ours.do("SET", "k"+strconv.Itoa(i), strings.Repeat("y", 1<<20))
	}
	srv.set.Log.Trim()
	if got := srv.set.Log.MemoryBytes(); got > written<<20/2 {
		t.Errorf("of %d MB the log keeps %d", written, got>>20)
	}
	if got := ours.info("replication", "slave0"); !strings.Contains(got, "state=send_bulk") {
		t.Errorf("it was to be slow: %s", got)
	}
}

// TestBacklogIsLong: a backlog is as long as it is said to be, also if the log may have little memory besides, and a
// replica that is behind by less is not slow.
func TestBacklogIsLong(t *testing.T) {
	srv := startServer(t, "--shards", "2", "--log-memory-limit", "1mb", "--repl-backlog-size", "24mb",
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1000", "--repl-spool-limit", "0",
		"--client-output-buffer-limit", "replica 1mb 0 0")
	ours := dial(t, srv.Addr())
	stays, goes := dialReplica(t, srv), dialReplica(t, srv)
	stays.full()
	id, lsn := goes.full()
	if err := goes.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return ours.info("replication", "connected_slaves") == "1" })
	var want strings.Builder
	for i := range 20 {
		value := strings.Repeat(string(rune('a'+i)), 1<<20)
		want.WriteString(record("SET", "k", value))
		if got := ours.do("SET", "k", value); got != "OK" {
			t.Fatal(got)
		}
	}
	srv.set.Log.Trim()
	eventually(t, "the limits were looked at since", func() bool {
		return !strings.HasSuffix(ours.info("replication", "slave0"), "lag=0")
	})
	back := dialReplica(t, srv)
	back.goOn(id, lsn)
	if got := back.take(want.Len()); got != want.String() {
		t.Error("what comes back gets something else")
	}
	if got := stays.take(want.Len()); got != want.String() {
		t.Error("who was behind got something else")
	}
}

// TestBacklogEnds: without replicas it is freed in time, and whoever comes later needs everything.
func TestBacklogEnds(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--repl-backlog-ttl", "1")
	ours := dial(t, srv.Addr())
	c := dialReplica(t, srv)
	id, lsn := c.full()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the backlog is freed", func() bool { return ours.info("replication", "repl_backlog_active") == "0" })
	ours.do("SET", "unseen", "1")
	back := dialReplica(t, srv)
	back.say(fmt.Sprintf("PSYNC %s %d", id, lsn+1))
	if got := back.line(); !strings.HasPrefix(got, "+FULLRESYNC") || strings.Contains(got, id) {
		t.Errorf("in the history %s: %s", id, got)
	}
}

// TestReplicaOutlivesPrimary: with an append-only file a primary that was stopped and started goes on where it was, and
// so do its replicas, which got everything before it ended. Its history has another name since.
func TestReplicaOutlivesPrimary(t *testing.T) {
	args := []string{"--appendonly", "yes", "--dir", t.TempDir(), "--aof-ring-dir", "no",
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1000"}
	log := &logBuffer{}
	start := func() *Server {
		srv, err := tryServer(t, log, args)
		if err != nil {
			t.Fatal(err)
		}
		return srv
	}
	srv := start()
	ours := dial(t, srv.Addr())
	eventually(t, "the server has loaded", func() bool { return ours.do("PING") == "PONG" })
	c := dialReplica(t, srv)
	id, lsn := c.full()
	eventually(t, "it is online", func() bool { return strings.Contains(ours.info("replication", "slave0"), "online") })
	value := strings.Repeat("x", 1000)
	ours.do("SET", "a", value)
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	want := record("SET", "a", value)
	got, err := io.ReadAll(c.r)
	if err != nil || string(got) != want {
		t.Fatalf("before the end it got %d bytes of %d, %v", len(got), len(want), err)
	}
	srv = start()
	defer func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	ours = dial(t, srv.Addr())
	eventually(t, "the server has loaded again", func() bool { return ours.do("PING") == "PONG" })
	back := dialReplica(t, srv)
	back.say(fmt.Sprintf("PSYNC %s %d", id, lsn+int64(len(want))+1))
	if got := back.line(); got != "+CONTINUE "+ours.info("replication", "master_replid") || strings.Contains(got, id) {
		t.Fatalf("after the restart: %s", got)
	}
	if got := ours.info("replication", "master_replid2"); got != id {
		t.Errorf("the second name is %s, the one of before was %s", got, id)
	}
	ours.do("SET", "b", "2")
	if got := back.take(len(record("SET", "b", "2"))); got != record("SET", "b", "2") {
		t.Errorf("after the restart the stream has %q", got)
	}
	eventually(t, "there is a backlog again", func() bool {
		return ours.info("replication", "repl_backlog_active") == "1"
	})
}

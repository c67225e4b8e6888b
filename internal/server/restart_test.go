package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/need"
	"fulmen/persist/aof"
	"fulmen/replica"
)

// wantAsked asks for what follows a position of a history and fails the test unless the answer begins with want.
func wantAsked(t testing.TB, srv *Server, id string, position int64, want string) *rawReplica {
	t.Helper()
	c := dialReplica(t, srv)
	c.say(fmt.Sprintf("PSYNC %s %d", id, position+1))
	if got := c.line(); !strings.HasPrefix(got, want) {
		t.Errorf("who has %d bytes of %s is told %s, want %s", position, id, got, want)
	}
	return c
}

// TestLogMark: the letter in the log's lines says what the server is.
func TestLogMark(t *testing.T) {
	srv, log := startLogged(t)
	c := dial(t, srv.Addr())
	c.do("DEBUG", "LOG", "first")
	c.do("REPLICAOF", "127.0.0.1", need.Port(t))
	c.do("DEBUG", "LOG", "second")
	c.do("REPLICAOF", "NO", "ONE")
	c.do("DEBUG", "LOG", "third")
	for text, letter := range map[string]string{
		"just started": "C", "Server initialized": "M", "DEBUG LOG: first": "M", "DEBUG LOG: second": "S",
		"DEBUG LOG: third": "M",
	} {
		line, _, _ := strings.Cut(log.String(), text)
		line = line[strings.LastIndex(line, "\n")+1:]
		if !strings.Contains(line, ":"+letter+" ") {
			t.Errorf("%q stands behind %q, want %s", text, line, letter)
		}
	}
}

// TestPromotedHasNothingOfBefore: what the log has of the time when the server followed a primary, for the append-only
// file, is not that one's stream. Who needs some of that gets the primary's bytes, and who has more needs everything.
func TestPromotedHasNothingOfBefore(t *testing.T) {
	p, srv, c := startFake(t, "--appendonly", "yes", "--repl-diskless-sync-delay", "0")
	p.accept("", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	eventually(t, "there is an append-only file again", srv.aof.enabled)
	sent := spoken("SET", "k", "1") + spoken("INCRBYFLOAT", "k", "1.5")
	p.send(sent)
	at := int64(100 + len(sent))
	eventually(t, "all is executed", func() bool { return c.do("GET", "k") == "2.5" })
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	c.do("SET", "own", "1")
	wantAsked(t, srv, fakeID, 99, "+FULLRESYNC")
	wantAsked(t, srv, fakeID, at+1, "+FULLRESYNC")
	if got := wantAsked(t, srv, fakeID, 100, "+CONTINUE").take(len(sent)); got != sent {
		t.Errorf("what the primary has sent is %q", got)
	}
	back := wantAsked(t, srv, fakeID, at, "+CONTINUE")
	end, err := strconv.ParseInt(c.info("replication", "master_repl_offset"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	got := back.take(int(end - at))
	if !strings.HasSuffix(got, record("SET", "own", "1")) || !strings.Contains(got, record("SELECT", "0")) ||
		strings.Contains(got, record("SET", "k", "1")) {
		t.Errorf("the stream has %q", got)
	}
}

// streamDigests has a primary send some hundred commands. It returns the digest of the data at each position but inside
// transactions, and the last position.
func streamDigests(t *testing.T, p *fakePrimary, random *rand.Rand) (digests map[int]string, at int) {
	t.Helper()
	other := dial(t, startServer(t).Addr())
	at = 100
	digests = map[int]string{at: other.do("DEBUG", "DIGEST")}
	say := func(whole bool, command ...string) {
		p.send(spoken(command...))
		other.do(command...)
		if at += len(spoken(command...)); whole {
			digests[at] = other.do("DEBUG", "DIGEST")
		}
	}
	write := func(whole bool) {
		key := "k" + strconv.Itoa(random.IntN(20))
		commands := [][]string{
			{"INCR", key}, {"INCR", key}, {"DEL", key, "k1", "k2"}, {"MSET", key, "1", "k3", "2", "k4", "3"}, {"PING"},
			{"SELECT", strconv.Itoa(random.IntN(3))}, {"SET", key, "5"}, {"RENAME", key, "k6"},
		}
		say(whole, commands[random.IntN(len(commands))]...)
	}
	for range 150 {
		if random.IntN(5) > 0 {
			write(true)
			continue
		}
		say(false, "MULTI")
		for range 1 + random.IntN(4) {
			write(false)
		}
		say(true, "EXEC")
	}
	return digests, at
}

// cutFiles copies the files of an append-only file to a directory of their own, some of them not to their end if torn,
// and returns the directory of the server that has them.
func cutFiles(t *testing.T, from string, torn bool, random *rand.Rand) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := filepath.Join(dir, "appendonlydir")
	if err := os.CopyFS(files, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(files, "*.incr.*"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, name := range logs {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		header := int64(aof.HeaderBytes)
		if !torn || random.IntN(3) > 0 || info.Size() <= header {
			continue
		}
		if err := os.Truncate(name, header+random.Int64N(info.Size()-header)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// waitWritten waits until the files have all that was logged.
func waitWritten(t testing.TB, srv *Server) {
	t.Helper()
	eventually(t, "everything is written", func() bool {
		return srv.aof.writer.Load().WrittenLSN() == srv.set.Log.LSN()
	})
}

// TestReplicaRecoversItsPosition: whatever a crash leaves of a replica's append-only file, the data is what the primary
// had at the position from which on the replica asks for the rest. The files of one are cut anywhere, as a power cut
// does, and loaded; what the stream has up to the position that comes of it gives the data.
func TestReplicaRecoversItsPosition(t *testing.T) {
	dir := t.TempDir()
	p, srv, c := startFake(t, "--appendonly", "yes", "--appendfsync", "no", "--aof-ring-dir", "no", "--dir", dir)
	p.accept("", fullAnswerAt(t, 100))
	p.hears("REPLCONF ACK 100")
	eventually(t, "there is an append-only file again", srv.aof.enabled)

	random := rand.New(rand.NewPCG(7, 7))
	digests, at := streamDigests(t, p, random)
	eventually(t, "the replica has everything", func() bool {
		return c.info("replication", "slave_repl_offset") == strconv.Itoa(at)
	})
	waitWritten(t, srv)
	files := filepath.Join(dir, "appendonlydir")
	crash := filepath.Join(t.TempDir(), "crash")
	copyLive(t, crash, files)
	rounds := 12
	if proofShare > 1 {
		rounds = 4
	}
	seen := map[string]bool{}
	for round := range rounds {
		dir := cutFiles(t, crash, round > 0, random)
		again := startServer(t, "--dir", dir, "--appendonly", "yes", "--aof-ring-dir", "no",
			"--replicaof", "127.0.0.1 "+need.Port(t))
		c := dial(t, again.Addr())
		c.loaded()
		offset, err := strconv.Atoi(c.info("replication", "slave_repl_offset"))
		if err != nil {
			t.Fatal(err)
		}
		want, ok := digests[offset]
		if got := c.do("DEBUG", "DIGEST"); !ok || got != want {
			t.Errorf("round %d: at %d of %d the digest is %s, want %q", round, offset, at, got, want)
		}
		if id := c.info("replication", "master_replid"); id != fakeID {
			t.Errorf("round %d: the history is %s", round, id)
		}
		seen[strconv.Itoa(offset)] = true
		if err := again.Shutdown(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < rounds/2 {
		t.Errorf("%d rounds have come to %d positions", rounds, len(seen))
	}
}

// TestSelectedDatabaseIsRecovered: after a restart the stream goes on in the database in which it was, by snapshot and
// by append-only file, after a stop and after a crash.
func TestSelectedDatabaseIsRecovered(t *testing.T) {
	for _, how := range []string{"snapshot", "stopped", "crashed"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"--dir", dir, "--aof-ring-dir", "no", "--repl-diskless-sync-delay", "0"}
			if how != "snapshot" {
				args = append(args, "--appendonly", "yes")
			}
			p, srv, c := startFake(t, args...)
			p.accept("", fullAnswerAt(t, 100))
			p.hears("REPLCONF ACK 100")
			if how != "snapshot" {
				eventually(t, "there is an append-only file again", srv.aof.enabled)
			}
			text := spoken("SELECT", "3") + spoken("SET", "k", "1")
			p.send(text)
			at := 100 + len(text)
			eventually(t, "it is executed", func() bool {
				return c.info("replication", "slave_repl_offset") == strconv.Itoa(at)
			})
			if got := c.do("SAVE"); got != "OK" {
				t.Fatal(got)
			}
			if how == "crashed" {
				waitWritten(t, srv)
				args[1] = filepath.Join(t.TempDir(), "copy")
				copyLive(t, args[1], dir)
			}
			if err := srv.Shutdown(); err != nil {
				t.Fatal(err)
			}
			port := strconv.Itoa(p.ln.Addr().(*net.TCPAddr).Port)
			srv = startServer(t, append(args, "--replicaof", "127.0.0.1 "+port)...)
			p.accept(fmt.Sprintf("%s %d", fakeID, at+1), "+CONTINUE\r\n")
			p.send(spoken("INCR", "k"))
			c = dial(t, srv.Addr())
			c.loaded()
			c.do("SELECT", "3")
			eventually(t, "the stream goes on in database 3", func() bool { return c.do("GET", "k") == "2" })

			// What is a primary then begins in database 0, and tells who comes from database 3.
			if how == "snapshot" && c.do("SAVE") != "OK" {
				t.Fatal("it was not saved")
			}
			at += len(spoken("INCR", "k"))
			if err := srv.Shutdown(); err != nil {
				t.Fatal(err)
			}
			srv = startServer(t, args...)
			dial(t, srv.Addr()).loaded()
			back := wantAsked(t, srv, fakeID, int64(at), "+CONTINUE")
			if want := record("SELECT", "0"); back.take(len(want)) != want {
				t.Error("the stream goes on in database 3")
			}
		})
	}
}

// TestPromotedRestarts: the history of a promoted server with an append-only file outlasts a restart: the name that it
// had, that of before the promotion, and their positions, up to which they count and no further.
func TestPromotedRestarts(t *testing.T) {
	args := []string{"--appendonly", "yes", "--dir", t.TempDir(), "--aof-ring-dir", "no",
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1000"}
	p, srv, c := startFake(t, args...)
	p.accept("", fullAnswerAt(t, 1000))
	p.hears("REPLCONF ACK 1000")
	eventually(t, "there is an append-only file again", srv.aof.enabled)
	text := spoken("SET", "k", "1") + spoken("SET", "l", "1")
	p.send(text)
	promotion := int64(1000 + len(text))
	eventually(t, "all is executed", func() bool { return c.do("GET", "l") == "1" })
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	c.do("SET", "own", "1")
	id := c.info("replication", "master_replid")
	end, err := strconv.ParseInt(c.info("replication", "master_repl_offset"), 10, 64)
	if err != nil || end <= promotion {
		t.Fatal(end, err)
	}
	names := []string{id}
	for range 2 { // the second time the manifest is right, and the record of the promotion is old
		if err := srv.Shutdown(); err != nil {
			t.Fatal(err)
		}
		srv = startServer(t, args...)
		c = dial(t, srv.Addr())
		c.loaded()
		wantAsked(t, srv, id, end+1, "+FULLRESYNC")
		if len(names) == 1 {
			names = append(names, c.info("replication", "master_replid"))
		}
	}
	if got := c.info("replication", "master_replid2"); got != names[1] {
		t.Errorf("the second name is %s, that of the life before was %s", got, names[1])
	}
	if got := c.info("replication", "master_repl_offset"); got != strconv.FormatInt(end, 10) {
		t.Errorf("master_repl_offset:%s, before the restart it was %d", got, end)
	}
	wantAsked(t, srv, id, end, "+CONTINUE")
	wantAsked(t, srv, names[1], end, "+CONTINUE")
	wantAsked(t, srv, id, end+1, "+FULLRESYNC")
	wantAsked(t, srv, fakeID, promotion+1, "+FULLRESYNC")
	wantAsked(t, srv, fakeID, end, "+FULLRESYNC")
	h := srv.replication.history.Load()
	if !h.Has(fakeID, promotion+1) || h.Has(fakeID, promotion+2) || !h.Has(id, end+1) || h.Has(id, end+2) {
		t.Errorf("of %s up to %d and of %s up to %d the history has become %+v", fakeID, promotion, id, end, h)
	}
}

// TestPrimaryComesBackWithLess: a primary whose replica has more than the snapshot, or than the append-only file that
// was put back, does not take what it writes next for that.
func TestPrimaryComesBackWithLess(t *testing.T) {
	for _, how := range []string{"snapshot", "append-only file"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"--dir", dir, "--aof-ring-dir", "no", "--repl-diskless-sync-delay", "0",
				"--repl-ping-replica-period", "1000"}
			if how != "snapshot" {
				args = append(args, "--appendonly", "yes")
			}
			srv := startServer(t, args...)
			c := dial(t, srv.Addr())
			c.loaded()
			id, _ := dialReplica(t, srv).full()
			c.do("LPUSH", "k", "a", "b")
			saved, err := strconv.ParseInt(c.info("replication", "master_repl_offset"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			stop := func() {
				t.Helper()
				if err := srv.Shutdown(); err != nil {
					t.Fatal(err)
				}
			}
			old := filepath.Join(t.TempDir(), "old")
			if how == "snapshot" {
				if got := c.do("SAVE"); got != "OK" {
					t.Fatal(got)
				}
			} else {
				stop()
				if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				srv = startServer(t, args...)
				c = dial(t, srv.Addr())
				c.loaded()
			}
			c.do("LPUSH", "k", "a", "c")
			more := saved + int64(len(record("LPUSH", "k", "a", "c")))
			stop()
			if how != "snapshot" {
				args[1] = old
			}
			srv = startServer(t, args...)
			c = dial(t, srv.Addr())
			c.loaded()
			wantAsked(t, srv, id, saved, "+CONTINUE")
			wantAsked(t, srv, id, more, "+FULLRESYNC")
			c.do("LPUSH", "k", "a", "d") // as long as what is lost
			if got := c.info("replication", "master_repl_offset"); got != strconv.FormatInt(more, 10) {
				t.Errorf("master_repl_offset:%s, want %d", got, more)
			}
			wantAsked(t, srv, id, more, "+FULLRESYNC")
			wantAsked(t, srv, id, saved, "+CONTINUE")
		})
	}
}

// TestSavedWithoutPosition: a snapshot says no position as long as nobody keeps count of changes, nor where what has
// changed is not counted yet.
func TestSavedWithoutPosition(t *testing.T) {
	srv := startServer(t, "--save", "3600 1", "--repl-diskless-sync-delay", "0", "--rdb-segments", "no")
	c := dial(t, srv.Addr())
	has := func() bool {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(srv.cfg.Values().Dir, "dump.rdb"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(data), "repl-id")
	}
	c.do("SET", "k", "v")
	c.do("SAVE")
	if has() {
		t.Error("without a log")
	}
	dialReplica(t, srv).full()
	c.do("SAVE")
	if !has() {
		t.Error("with a replica there is none")
	}
	c.do("FLUSHALL")
	if has() {
		t.Error("while FLUSHALL is not committed")
	}
	c.do("SAVE")
	id := c.info("replication", "master_replid")
	if got := c.do("DEBUG", "RELOAD"); got != "OK" || c.info("replication", "master_replid") != id || !has() {
		t.Errorf("DEBUG RELOAD: %s; the id of before was %s", got, id)
	}
}

// TestHistoryKeepsNames: a history knows its last names, each up to where it counts.
func TestHistoryKeepsNames(t *testing.T) {
	h := replica.NewHistory()
	var ids []string
	for i := range replica.MaxEarlier + 4 {
		ids = append(ids, h.ID)
		h = h.Shift(uint64(100 * (i + 1)))
	}
	for i, id := range ids {
		upto := int64(100*(i+1)) + 1
		if known := i >= 3; h.Has(id, upto) != known || h.Has(id, upto+1) {
			t.Errorf("name %d of %d: known %v up to %d", i, len(ids), !known, upto)
		}
	}
	last := ids[len(ids)-1]
	if h = h.Shift(50); h.Has(last, 52) || !h.Has(last, 51) {
		t.Error("a history that goes back takes names with it")
	}
}

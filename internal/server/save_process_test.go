package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// kill ends the process as a crash does.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.done <- <-p.done
}

// wait returns how the process has ended.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(patience):
		p.t.Fatal("the server does not end")
		return nil
	}
}

// fillAllTypes makes keys of every type and encoding, in several databases, with expiries far off and near.
func fillAllTypes(c *client, seed uint64) {
	c.t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var script []byte
	n := 0
	add := func(args ...string) {
		script = resp.AppendCommandStrings(script, args...)
		n++
	}
	value := func() string {
		switch rnd.IntN(4) {
		case 0:
			return strconv.Itoa(rnd.IntN(1 << rnd.IntN(31)))
		case 1:
			return strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(300))
		default:
			b := make([]byte, rnd.IntN(60))
			for i := range b {
				b[i] = byte(rnd.IntN(256))
			}
			return string(b)
		}
	}
	for db := range 3 {
		add("SELECT", strconv.Itoa(db*5))
		for i := range 40 {
			k := fmt.Sprintf("%d:%d", db, i)
			add("SET", "s"+k, value())
			size := []int{1, 5, 100, 600}[i%4] // some are in trees
			for range size {
				add("RPUSH", "l"+k, value())
				add("SADD", "S"+k, value())
				add("HSET", "h"+k, value(), value())
				add("ZADD", "z"+k, strconv.FormatFloat(rnd.NormFloat64()*1e6, 'g', -1, 64), value())
				add("SADD", "i"+k, strconv.Itoa(rnd.IntN(1<<rnd.IntN(62))))
			}
			if i%3 == 0 {
				add("EXPIRE", "l"+k, "100000")
				add("PEXPIRE", "s"+k, "123456789")
			}
			if i%20 == 0 {
				add("SET", "big"+k, strings.Repeat(value(), 2000))
			}
		}
	}
	add("SELECT", "0")
	// As replies come while commands are sent, both sides' buffers are never full at the same time.
	var wg sync.WaitGroup
	wg.Go(func() { c.send(string(script)) })
	for range n {
		if got := c.reply(); strings.HasPrefix(got, "-") {
			c.t.Fatal(got)
		}
	}
	wg.Wait()
}

// TestSaveCrashLoad: what was saved is there after kill -9, whatever the files look like and however many shards there
// are then.
func TestSaveCrashLoad(t *testing.T) {
	for name, args := range map[string][]string{
		"defaults": nil,
		"lzf":      {"--rdb-compression", "lzf"},
		"raw":      {"--rdbcompression", "no", "--rdbchecksum", "no", "--rdb-save-incremental-fsync", "no"},
		"plain":    {"--rdb-segments", "no", "--bgsave_cpulist", "0"},
	} {
		if name != "defaults" && proofShare > 1 {
			continue // the detector is not in the server's program
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"--dir", dir, "--enable-debug-command", "yes", "--save", ""}, args...)
			p := startProcess(t, args...)
			c := dial(t, p.addr)
			fillAllTypes(c, 1)
			if got := c.do("HSET", "fields", "a", "1", "b", "2"); got != "2" {
				t.Fatal(got)
			}
			if name != "plain" { // Redis 7.0 has no such thing
				c.do("HEXPIRE", "fields", "100000", "FIELDS", "1", "a")
			}
			want := c.do("DEBUG", "DIGEST")
			if got := c.do("SAVE"); got != "OK" {
				t.Fatal(got)
			}
			c.do("SET", "late", "1") // after the cut
			p.kill()
			again := startProcess(t, append(args, "--shards", "3")...)
			c = dial(t, again.addr)
			eventually(t, "the data is there", func() bool { return c.do("PING") == "PONG" })
			if got := c.do("DEBUG", "DIGEST"); got != want {
				t.Errorf("digest %s, want %s", got, want)
			}
			if got := c.do("DEBUG", "RELOAD"); got != "OK" {
				t.Fatal(got)
			}
			if got := c.do("DEBUG", "DIGEST"); got != want {
				t.Errorf("digest %s after DEBUG RELOAD, want %s", got, want)
			}
		})
	}
}

// TestExchangeWithRedis: redis-server's dump.rdb is loaded here, and ours there, with the same content.
func TestExchangeWithRedis(t *testing.T) {
	for _, compression := range []string{"yes", "no"} {
		if compression == "no" && proofShare > 1 {
			break // the detector is not in the servers' programs
		}
		t.Run("rdbcompression "+compression, func(t *testing.T) {
			oracle := redistest.StartOracle(t, "--rdbcompression", compression, "--enable-debug-command", "yes")
			theirs := dial(t, oracle.Addr)
			fillAllTypes(theirs, 2)
			want := theirs.do("DEBUG", "DIGEST")
			if got := theirs.do("SAVE"); got != "OK" {
				t.Fatal(got)
			}
			dir := t.TempDir()
			copyFile(t, filepath.Join(oracle.Dir, "dump.rdb"), filepath.Join(dir, "dump.rdb"))
			p := startProcess(t, "--dir", dir, "--enable-debug-command", "yes", "--rdb-segments", "no",
				"--rdbcompression", compression, "--save", "")
			ours := dial(t, p.addr)
			eventually(t, "the data is there", func() bool { return ours.do("PING") == "PONG" })
			if got := ours.do("DEBUG", "DIGEST"); got != want {
				t.Errorf("theirs is loaded with digest %s, want %s", got, want)
			}
			ours.do("RPUSH", "more", "x")
			ours.do("ZADD", "zmore", "inf", "a", "-inf", "b", "0.1", "c")
			want = ours.do("DEBUG", "DIGEST")
			if got := ours.do("SAVE"); got != "OK" {
				t.Fatal(got)
			}
			copyFile(t, filepath.Join(dir, "dump.rdb"), filepath.Join(oracle.Dir, "dump.rdb"))
			if got := theirs.do("DEBUG", "RELOAD", "NOSAVE"); got != "OK" {
				t.Fatal(got)
			}
			if got := theirs.do("DEBUG", "DIGEST"); got != want {
				t.Errorf("ours is loaded with digest %s, want %s", got, want)
			}
		})
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSaveUnderWrites: clients move amounts between accounts in transactions while one save follows the other; each
// snapshot has the whole sum.
func TestSaveUnderWrites(t *testing.T) {
	const accounts, start = 1000, 100
	dir := t.TempDir()
	args := []string{"--dir", dir, "--event-loops", "2", "--save", "", "--rdb-save-buffer-limit", "1mb"}
	p := startProcess(t, args...)
	c := dial(t, p.addr)
	for i := range accounts {
		c.do("SET", "account:"+strconv.Itoa(i), strconv.Itoa(start))
		c.do("RPUSH", "history:"+strconv.Itoa(i%10), strings.Repeat("x", 100))
	}
	quit := make(chan struct{})
	var movers sync.WaitGroup
	for seed := range uint64(4) {
		mover := dial(t, p.addr)
		rnd := rand.New(rand.NewPCG(seed, 7))
		movers.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				var script []byte
				for range 16 {
					from, to := rnd.IntN(accounts), rnd.IntN(accounts)
					for _, args := range [][]string{
						{"MULTI"}, {"DECRBY", "account:" + strconv.Itoa(from), "3"},
						{"RPUSH", "history:" + strconv.Itoa(rnd.IntN(10)), strconv.Itoa(to)},
						{"INCRBY", "account:" + strconv.Itoa(to), "3"}, {"EXEC"},
					} {
						script = resp.AppendCommandStrings(script, args...)
					}
				}
				mover.send(string(script))
				for range 16 * 5 {
					mover.reply()
				}
			}
		})
	}
	for range 5 {
		for range 3 {
			if got := c.do("SAVE"); got != "OK" {
				t.Fatal(got)
			}
		}
		snapshot := t.TempDir()
		names, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			copyFile(t, filepath.Join(dir, name.Name()), filepath.Join(snapshot, name.Name()))
		}
		loaded := startProcess(t, "--dir", snapshot, "--save", "")
		check := dial(t, loaded.addr)
		eventually(t, "the data is there", func() bool { return check.do("PING") == "PONG" })
		sum, pushed := 0, 0
		for i := range accounts {
			n, err := strconv.Atoi(check.do("GET", "account:"+strconv.Itoa(i)))
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		for i := range 10 {
			n, err := strconv.Atoi(check.do("LLEN", "history:"+strconv.Itoa(i)))
			if err != nil {
				t.Fatal(err)
			}
			pushed += n
		}
		if sum != accounts*start || pushed <= accounts {
			t.Errorf("the accounts have %d in all, want %d; %d items", sum, accounts*start, pushed)
		}
		loaded.kill()
	}
	close(quit)
	movers.Wait()
}

// TestShutdownSaves: SHUTDOWN and signals save as their options and the save points say.
func TestShutdownSaves(t *testing.T) {
	const points = "3600 1"
	for _, test := range []struct {
		name, save string
		end        func(p *process, c *client)
		kept       bool
	}{
		{"SHUTDOWN without save points", "", shutdown(), false},
		{"SHUTDOWN with save points", points, shutdown(), true},
		{"SHUTDOWN SAVE", "", shutdown("SAVE"), true},
		{"SHUTDOWN NOSAVE", points, shutdown("NOSAVE"), false},
		{"SHUTDOWN SAVE NOW FORCE", "", shutdown("SAVE", "NOW", "FORCE"), true},
		{"SIGTERM without save points", "", signalled(syscall.SIGTERM), false},
		{"SIGTERM with save points", points, signalled(syscall.SIGTERM), true},
		{"SIGINT with save points", points, signalled(syscall.SIGINT), true},
		{"SIGINT nosave", points, func(p *process, c *client) {
			c.do("CONFIG", "SET", "shutdown-on-sigint", "nosave")
			signalled(syscall.SIGINT)(p, c)
		}, false},
		{"SIGTERM save", "", func(p *process, c *client) {
			c.do("CONFIG", "SET", "shutdown-on-sigterm", "save")
			signalled(syscall.SIGTERM)(p, c)
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			p := startProcess(t, "--dir", dir, "--save", test.save)
			c := dial(t, p.addr)
			c.do("SET", "a", "1")
			test.end(p, c)
			if err := p.wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			again := startProcess(t, "--dir", dir, "--save", "")
			c = dial(t, again.addr)
			eventually(t, "the data is there", func() bool { return c.do("PING") == "PONG" })
			if got := c.do("EXISTS", "a") == "1"; got != test.kept {
				t.Errorf("the key is there: %v", got)
			}
		})
	}
}

func shutdown(options ...string) func(*process, *client) {
	return func(_ *process, c *client) {
		c.send(bulk(append([]string{"SHUTDOWN"}, options...)...))
		c.wantClosed()
	}
}

func signalled(sig syscall.Signal) func(*process, *client) {
	return func(p *process, _ *client) {
		if err := p.cmd.Process.Signal(sig); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestShutdownKeepsAcknowledged: a change that was acknowledged before the end is in the snapshot that the end makes.
func TestShutdownKeepsAcknowledged(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, "--dir", dir, "--save", "3600 1", "--event-loops", "2")
	var wg sync.WaitGroup
	counted := make([]int, 4)
	for i := range counted {
		c := dial(t, p.addr)
		wg.Go(func() {
			for {
				if _, err := c.Write([]byte(bulk("INCR", "n"+strconv.Itoa(i)))); err != nil {
					return
				}
				v, err := c.r.ReadReply()
				if err != nil {
					return
				}
				counted[i] = int(v.Int)
			}
		})
	}
	c := dial(t, p.addr)
	eventually(t, "the counters have moved", func() bool {
		n, err := strconv.Atoi(c.do("GET", "n3"))
		return err == nil && n > 1000
	})
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	again := startProcess(t, "--dir", dir, "--save", "")
	c = dial(t, again.addr)
	eventually(t, "the data is there", func() bool { return c.do("PING") == "PONG" })
	for i, n := range counted {
		if got := c.do("GET", "n"+strconv.Itoa(i)); got != strconv.Itoa(n) && got != strconv.Itoa(n+1) {
			t.Errorf("counter %d is %s, %d were acknowledged", i, got, n)
		}
	}
}

// TestLastSaveIsNotLimited: at a rate at which it would take an hour, a save in the background is given up at the end
// of the server, and the last one goes at full speed.
func TestLastSaveIsNotLimited(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--dir", dir, "--save", "3600 1000000", "--rdb-save-rate-limit", "1000",
		"--enable-debug-command", "yes"}
	p := startProcess(t, args...)
	c := dial(t, p.addr)
	c.do("DEBUG", "POPULATE", "100000")
	if got := c.do("BGSAVE"); got != "Background saving started" {
		t.Fatal(got)
	}
	eventually(t, "the save has begun to write", func() bool { return files(t, dir) != "" })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if got := lastLine(p.log.String()); !strings.Contains(got, "ready to exit") {
		t.Errorf("its last word is %q", got)
	}
	again := startProcess(t, args...)
	c = dial(t, again.addr)
	c.loaded()
	if got := c.do("DBSIZE"); got != "100000" {
		t.Errorf("%s keys", got)
	}
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// TestDamagedSnapshotEndsTheServer, and what is wrong is its last word.
func TestDamagedSnapshotEndsTheServer(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), []byte("REDIS0010\xFB\x01"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program.Path(t), "--dir", dir, "--port", "0", "--unixsocket", filepath.Join(dir, "s"))
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if got := lastLine(string(out)); !strings.Contains(got, "Fatal error loading the DB") {
		t.Errorf("its last word is %q, of\n%s", got, out)
	}
}

// TestSecondSignal: a server that is saving at its end exits at once on SIGINT, and on nothing else. What it saves to
// is a pipe that nobody reads.
func TestSecondSignal(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, "--dir", dir, "--save", "3600 1", "--rdb-segments", "no")
	if err := syscall.Mkfifo(filepath.Join(dir, fmt.Sprintf("temp-%d.rdb", p.cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := dial(t, p.addr)
	c.do("SET", "a", "1")
	signalled(syscall.SIGTERM)(p, c)
	eventually(t, "the last save has begun", func() bool {
		return strings.Contains(p.log.String(), "Saving the final RDB snapshot")
	})
	signalled(syscall.SIGTERM)(p, c)
	eventually(t, "the second signal is noted", func() bool {
		return strings.Contains(p.log.String(), "Received SIGTERM while ending")
	})
	signalled(syscall.SIGINT)(p, c)
	if err := p.wait(); err == nil || p.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if !strings.Contains(p.log.String(), "You insist... exiting now.") {
		t.Error("the log doesn't say so")
	}
}

// TestFullDisk has the directory on a file system that is too small: the save fails, the server goes on, and can't be
// ended with SHUTDOWN; when there is room again it recovers.
func TestFullDisk(t *testing.T) {
	need.Root(t, "mount a file system")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		need.Missing(t, "no file system can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	p := startProcess(t, "--dir", dir, "--save", "3600 1000000", "--enable-debug-command", "yes")
	c := dial(t, p.addr)
	c.do("SET", "a", "1")
	if got := c.do("SAVE"); got != "OK" {
		t.Fatal(got)
	}
	before := files(t, dir)
	c.do("SET", "ballast", randomText(3<<20))
	if got := c.do("BGSAVE"); got != "Background saving started" {
		t.Fatal(got)
	}
	status := func() string { return c.info("persistence", "rdb_last_bgsave_status") }
	eventually(t, "the save has failed", func() bool { return status() == "err" })
	if got := c.do("SET", "b", "1"); !strings.HasPrefix(got, "-MISCONF ") {
		t.Errorf("SET: %q", got)
	}
	if got := c.do("GET", "a"); got != "1" {
		t.Errorf("GET: %q", got)
	}
	if got := c.do("SHUTDOWN"); got != "-ERR Errors trying to SHUTDOWN. Check logs." {
		t.Errorf("SHUTDOWN: %q", got)
	}
	if got := c.do("SHUTDOWN", "ABORT"); got != "-ERR No shutdown in progress." {
		t.Errorf("SHUTDOWN ABORT: %q", got)
	}
	if after := files(t, dir); after != before {
		t.Errorf("left: %q, before: %q", after, before)
	}
	eventually(t, "the log says why", func() bool { return strings.Contains(p.log.String(), "no space left") })
	c.do("CONFIG", "SET", "save", "")
	if got := c.do("DEL", "ballast"); got != "1" {
		t.Errorf("DEL: %q", got)
	}
	c.do("CONFIG", "SET", "save", "3600 1")
	c.do("BGSAVE")
	eventually(t, "the save has succeeded", func() bool { return status() == "ok" })
	if got := c.do("SET", "b", "1"); got != "OK" {
		t.Errorf("SET: %q", got)
	}
	p.kill()
	again := startProcess(t, "--dir", dir, "--save", "")
	c = dial(t, again.addr)
	eventually(t, "the data is there", func() bool { return c.do("PING") == "PONG" })
	if got := c.do("GET", "a"); got != "1" {
		t.Errorf("a is %q", got)
	}
}

// randomText is n bytes that can't be compressed.
func randomText(n int) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.IntN(256))
	}
	return string(b)
}

// TestCrashDuringSave: the snapshot of before is loaded, and what the save has left is removed.
func TestCrashDuringSave(t *testing.T) {
	for _, segments := range []string{"yes", "no"} {
		dir := t.TempDir()
		args := []string{"--dir", dir, "--save", "", "--rdb-segments", segments, "--enable-debug-command", "yes"}
		p := startProcess(t, args...)
		c := dial(t, p.addr)
		c.do("DEBUG", "POPULATE", "1000")
		if got := c.do("SAVE"); got != "OK" {
			t.Fatal(got)
		}
		before := files(t, dir)
		c.do("DEBUG", "POPULATE", "100000", "other")
		c.do("CONFIG", "SET", "rdb-save-rate-limit", "1000") // it would take minutes
		c.do("BGSAVE")
		eventually(t, "the save has begun to write", func() bool { return files(t, dir) != before })
		p.kill()
		again := startProcess(t, args...)
		c = dial(t, again.addr)
		eventually(t, "the data is there", func() bool { return c.do("PING") == "PONG" })
		if got := c.do("DBSIZE"); got != "1000" {
			t.Errorf("segments %s: %s keys", segments, got)
		}
		if got := files(t, dir); got != before {
			t.Errorf("segments %s: the files are %q, before the crash %q", segments, got, before)
		}
	}
}

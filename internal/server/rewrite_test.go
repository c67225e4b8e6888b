package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/vfs"
)

// aofFiles are the files of the append-only file, without the manifest.
func (g *gated) aofFiles() []string {
	g.t.Helper()
	names, err := g.disk.ReadDir(g.aof.dir)
	if err != nil {
		g.t.Fatal(err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, ".manifest") })
}

// rewritten waits for the end of a rewrite.
func (g *gated) rewritten(c *client, n int) {
	g.t.Helper()
	eventually(g.t, "the rewrite ends", func() bool {
		return c.info("persistence", "aof_rewrites") == fmt.Sprint(n) &&
			c.info("persistence", "aof_rewrite_in_progress") == "0" && !g.aof.rewrites.busy()
	})
}

func (g *gated) again(args ...string) *client {
	g.t.Helper()
	dir := g.cfg.Values().Dir
	if err := g.Shutdown(); err != nil {
		g.t.Fatal(err)
	}
	return dial(g.t, startGated(g.t, gatedOptions{dir: dir, args: args}).Addr())
}

// TestRewrite: a rewrite leaves files of the newest generation alone, and they have everything.
func TestRewrite(t *testing.T) {
	for _, policy := range []string{"always", "everysec", "no"} {
		t.Run(policy, func(t *testing.T) {
			g := startGated(t, gatedOptions{args: []string{"--appendfsync", policy}})
			c := dial(t, g.Addr())
			for i := range 200 {
				c.send(fmt.Sprintf("SET k%d %d\r\nRPUSH list %d\r\n", i, i, i))
				c.want("OK", fmt.Sprint(i+1))
			}
			before := c.info("persistence", "aof_current_size")
			c.send("BGREWRITEAOF\r\n")
			c.want("Background append only file rewriting started")
			c.send("SET after 1\r\nDEL k0\r\n")
			c.want("OK", "1")
			g.rewritten(c, 1)
			for field, want := range map[string]string{
				"aof_last_bgrewrite_status": "ok", "aof_rewrites_consecutive_failures": "0", "aof_enabled": "1",
				"aof_rewrite_scheduled": "0", "aof_current_rewrite_time_sec": "-1", "aof_history_files": "0",
			} {
				if got := c.info("persistence", field); got != want {
					t.Errorf("%s is %s, want %s", field, got, want)
				}
			}
			base := c.info("persistence", "aof_base_size")
			if c.info("persistence", "aof_last_rewrite_time_sec") == "-1" || before == base {
				t.Error("times or sizes are those of before")
			}
			files := g.aofFiles()
			if len(files) != 8 || !strings.HasPrefix(files[0], "appendonly.aof.2.base.0.") {
				t.Errorf("files: %q", files)
			}
			c.send("DEBUG DIGEST\r\n")
			digest := c.reply()
			again := g.again("--appendfsync", policy)
			again.send("DEBUG DIGEST\r\nGET after\r\nEXISTS k0\r\nLLEN list\r\n")
			again.want(digest, "1", "0", "200")
		})
	}
}

// TestRewriteAsCommands: with aof-use-rdb-preamble no a base has commands, from the first one on, and is loaded as one
// of RDB files is, whichever of the two the next one is, into any number of shards.
func TestRewriteAsCommands(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--aof-use-rdb-preamble", "no", "--shards", "3"}})
	c := dial(t, g.Addr())
	for i := range 300 {
		c.send(fmt.Sprintf("SET k%d %d PXAT 33000000000000\r\nRPUSH list %d\r\nSADD set %d m%d\r\n"+
			"ZADD zset %d.5 m%d\r\nHSET hash f%d %d\r\nHPEXPIREAT hash 33000000000000 FIELDS 1 f%d\r\n",
			i, i, i, i, i, i, i, i, i, i))
	}
	c.send("SELECT 3\r\nZADD z inf a -inf b 0.1 c\r\nSADD ints 1 2 3\r\nSELECT 0\r\n")
	for range 6*300 + 4 {
		if reply := c.reply(); strings.HasPrefix(fmt.Sprint(reply), "ERR") {
			t.Fatal(reply)
		}
	}
	bases := func(g *gated) (names []string) {
		for _, name := range g.aofFiles() {
			if strings.Contains(name, ".base.") {
				names = append(names, name)
			}
		}
		return names
	}
	for i, format := range []string{"aof", "rdb", "aof"} {
		c.do("CONFIG", "SET", "aof-use-rdb-preamble", map[string]string{"aof": "no", "rdb": "yes"}[format])
		if got := c.do("BGREWRITEAOF"); got != "Background append only file rewriting started" {
			t.Fatal(got)
		}
		g.rewritten(c, i+1)
		for _, name := range bases(g) {
			if !strings.HasSuffix(name, "."+format) {
				t.Errorf("a base of %s: %s", format, name)
			}
		}
	}
	if got := len(bases(g)); got != 3 {
		t.Errorf("%d bases", got)
	}
	c.do("SET", "after", "1")
	digest := c.do("DEBUG", "DIGEST")
	again := g.again("--shards", "2", "--aof-use-rdb-preamble", "no")
	if got := again.do("DEBUG", "DIGEST"); got != digest {
		t.Errorf("after a restart: digest %s, want %s", got, digest)
	}
	if got := again.do("PEXPIRETIME", "k7") + again.do("HPEXPIRETIME", "hash", "FIELDS", "1", "f7"); got !=
		"33000000000000[33000000000000]" {
		t.Error(got)
	}
}

// TestRewriteReplies are the replies of BGREWRITEAOF and BGSAVE while there is a rewrite or a save.
func TestRewriteReplies(t *testing.T) {
	g := startGated(t, gatedOptions{})
	c := dial(t, g.Addr())
	c.send("SET a 1\r\nMULTI\r\nBGREWRITEAOF\r\nEXEC\r\n")
	c.want("OK", "OK", "QUEUED", "[Background append only file rewriting scheduled]")
	g.rewritten(c, 1)
	// A save limited to a few bytes a second takes as long as it is needed.
	c.send("DEBUG POPULATE 20000 key 100\r\nCONFIG SET rdb-save-rate-limit 10000 rdbcompression no\r\nBGREWRITEAOF\r\n")
	c.want("OK", "OK", "Background append only file rewriting started")
	c.send("BGREWRITEAOF\r\nBGSAVE\r\nBGSAVE SCHEDULE\r\nMULTI\r\nBGSAVE\r\nEXEC\r\n")
	c.want("-ERR Background append only file rewriting already in progress",
		"-ERR Another child process is active (AOF?): can't BGSAVE right now. "+
			"Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.",
		"Background saving scheduled", "OK", "QUEUED", "[Background saving scheduled]")
	if got := c.info("persistence", "aof_rewrite_in_progress"); got != "1" {
		t.Errorf("in progress: %s", got)
	}
	c.send("CONFIG SET rdb-save-rate-limit 0\r\n")
	c.want("OK")
	g.rewritten(c, 2)
	eventually(t, "the scheduled save is made", func() bool { return c.info("persistence", "rdb_saves") == "1" })
	eventually(t, "it ends", func() bool { return c.info("persistence", "rdb_bgsave_in_progress") == "0" })
	c.send("CONFIG SET rdb-save-rate-limit 10000\r\nBGSAVE\r\nBGREWRITEAOF\r\n")
	c.want("OK", "Background saving started", "Background append only file rewriting scheduled")
	if got := c.info("persistence", "aof_rewrite_scheduled"); got != "1" {
		t.Errorf("scheduled: %s", got)
	}
	c.send("CONFIG SET rdb-save-rate-limit 0\r\n")
	c.want("OK")
	g.rewritten(c, 3)
}

// TestRewriteByGrowth: the file is rewritten when it has grown.
func TestRewriteByGrowth(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--auto-aof-rewrite-min-size", "100kb"}})
	c := dial(t, g.Addr())
	for range 30 {
		c.send("SET k " + strings.Repeat("x", 10_000) + "\r\n")
		c.want("OK")
	}
	eventually(t, "it is rewritten", func() bool { return c.info("persistence", "aof_base_size") != "0" })
	eventually(t, "the log says so", func() bool {
		return strings.Contains(g.log.String(), "Starting automatic rewriting of AOF on ")
	})
}

// TestTurnOnAndOff: CONFIG SET appendonly while the server runs.
func TestTurnOnAndOff(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendonly", "no", "--appendfsync", "always"}})
	c := dial(t, g.Addr())
	c.send("SET a 1\r\nCONFIG SET appendonly yes\r\nSET b 1\r\n")
	c.want("OK", "OK", "OK")
	g.rewritten(c, 1)
	c.send("SET c 1\r\nCONFIG SET appendonly no\r\nSET lost 1\r\n")
	c.want("OK", "OK", "OK")
	eventually(t, "it is off", func() bool { return !g.aof.enabled() && !g.aof.rewrites.busy() })
	m, err := aof.ReadManifest(g.disk, g.aof.dir, g.aof.name)
	if err != nil || m.Last().State != aof.Clean {
		t.Errorf("%+v, %v", m, err)
	}
	c.send("CONFIG SET appendonly yes\r\n")
	c.want("OK")
	g.rewritten(c, 2)
	c.send("SET d 1\r\n")
	c.want("OK")
	c = g.again()
	c.send("MGET a b c lost d\r\n")
	c.want("[1 1 1 1 1]")
}

// TestTurnOnWhereNothingCanBeWritten is refused at once.
func TestTurnOnWhereNothingCanBeWritten(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendonly", "no"}})
	c := dial(t, g.Addr())
	block := filepath.Join(g.aof.dir, fmt.Sprintf("temp-rewriteaof-%d.aof", os.Getpid()))
	if err := os.MkdirAll(block, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := c.do("CONFIG", "SET", "appendonly", "yes"); !strings.HasSuffix(got,
		"Unable to turn on AOF. Check server logs.") || c.do("CONFIG", "GET", "appendonly") != "[appendonly no]" {
		t.Error(got)
	}
	if err := os.Remove(block); err != nil {
		t.Fatal(err)
	}
	if got := c.do("CONFIG", "SET", "appendonly", "yes"); got != "OK" {
		t.Error(got)
	}
	eventually(t, "it is on", g.aof.enabled)
	if names := strings.Join(g.aofFiles(), " "); strings.Contains(names, "temp") {
		t.Errorf("left: %s", names)
	}
}

// TestTurnOnBrokenOff: what is left of the beginning of an append-only file that the end of the process has broken off
// was promised to nobody, so the next start removes it. What has only lost its manifest is refused.
func TestTurnOnBrokenOff(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendonly", "no", "--rdb-save-rate-limit", "4096"}})
	c := dial(t, g.Addr())
	c.do("SET", "big", strings.Repeat(time.Now().String(), 1<<16))
	c.do("CONFIG", "SET", "appendonly", "yes")
	incr := func(dir string) bool {
		names, err := filepath.Glob(filepath.Join(dir, "*.incr.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if r, err := aof.OpenIncr(vfs.OS{}, name); err == nil {
				return r.Close() == nil
			}
		}
		return false
	}
	for i := 0; !incr(g.aof.dir); i++ {
		c.do("SET", "k"+strconv.Itoa(i), "v")
	}
	dir := t.TempDir()
	copyLive(t, filepath.Join(dir, filepath.Base(g.aof.dir)), g.aof.dir)
	if got := c.info("persistence", "aof_rewrite_in_progress"); got != "1" {
		t.Fatal("it has begun already")
	}
	c.do("CONFIG", "SET", "appendonly", "no")
	lost := t.TempDir()
	if err := os.CopyFS(lost, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	next := startGated(t, gatedOptions{dir: dir})
	if got := dial(t, next.Addr()).do("DBSIZE"); got != "0" || next.aof.enabled() != true {
		t.Errorf("%s keys, on: %v", got, next.aof.enabled())
	}
	marker := aof.BeginningName(filepath.Join(lost, filepath.Base(g.aof.dir)), "appendonly.aof")
	if _, err := os.Stat(aof.BeginningName(next.aof.dir, next.aof.name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the mark is left: %v", err)
	}
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	refused := newGated(t, gatedOptions{dir: lost})
	if err := refused.Start(); err == nil || !strings.Contains(err.Error(), "has data, but there is no manifest") {
		t.Errorf("without the mark: %v", err)
	}
}

// TestTemporaryFilesBesideAppendOnly: what a save or a transfer has left that was broken off goes at the next start,
// also where that loads the append-only file.
func TestTemporaryFilesBesideAppendOnly(t *testing.T) {
	g := startGated(t, gatedOptions{})
	dir := g.cfg.Values().Dir
	for _, name := range []string{"temp-77.rdb", "temp-1764460000.77.rdb", "temp-x.rdb"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g.again()
	if names, err := filepath.Glob(filepath.Join(dir, "temp-*")); err != nil || len(names) != 1 ||
		filepath.Base(names[0]) != "temp-x.rdb" {
		t.Errorf("left: %q, %v", names, err)
	}
}

// TestTurnOnBesideReplica: an append-only file that begins while the log has a reader already is one that a start
// loads, also where there was another one before.
func TestTurnOnBesideReplica(t *testing.T) {
	for _, policy := range []string{"always", "everysec", "no"} {
		for _, before := range []string{"no", "yes"} {
			t.Run(policy+" "+before, func(t *testing.T) {
				g := startGated(t, gatedOptions{args: []string{
					"--appendonly", before, "--appendfsync", policy, "--repl-diskless-sync-delay", "0",
				}})
				c := dial(t, g.Addr())
				c.send("SET a 1\r\n")
				c.want("OK")
				dialReplica(t, g.Server).full()
				c.send("SET b 1\r\n")
				c.want("OK")
				if before == "yes" {
					c.send("CONFIG SET appendonly no\r\n")
					c.want("OK")
					eventually(t, "it is off", func() bool { return !g.aof.enabled() && !g.aof.rewrites.busy() })
				}
				c.send("CONFIG SET appendonly yes\r\n")
				c.want("OK")
				g.rewritten(c, 1)
				c.send("SET c 1\r\nMSET d 1 e 1 f 1\r\n")
				c.want("OK", "OK")
				again := g.again("--appendfsync", policy)
				again.loaded()
				again.send("MGET a b c d e f\r\n")
				again.want("[1 1 1 1 1 1]")
			})
		}
	}
}

// TestTurnOnOverOld: an append-only file that was not loaded is replaced by what is in memory, and the log says so,
// but not one that can't be read, is Redis's, or has not been recovered since its server was killed.
func TestTurnOnOverOld(t *testing.T) {
	const redis = "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
	for name, test := range map[string]struct {
		text    string // of the manifest; "": that of a server
		running bool   // which was killed
		says    string // the log
	}{
		"ended":   {says: "What is in memory takes its place"},
		"killed":  {running: true, says: "was not stopped properly; start with --appendonly yes"},
		"damaged": {text: "nonsense", says: "it can't be read"},
		"Redis's": {text: redis, says: "it can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGated(t, gatedOptions{})
			dial(t, g.Addr()).do("SET", "a", "1")
			if err := g.Shutdown(); err != nil {
				t.Fatal(err)
			}
			m, err := aof.ReadManifest(g.disk, g.aof.dir, g.aof.name)
			if err == nil && test.running {
				m.Last().EndLSN, m.Last().State = 0, aof.Running
				err = m.Commit(g.disk, g.aof.dir, g.aof.name)
			}
			manifest := aof.ManifestName(g.aof.dir, g.aof.name)
			if err == nil && test.text != "" {
				err = os.WriteFile(manifest, []byte(test.text), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			files := g.aofFiles()
			off := startGated(t, gatedOptions{dir: g.cfg.Values().Dir, args: []string{"--appendonly", "no"}})
			c := dial(t, off.Addr())
			c.send("CONFIG SET appendonly yes\r\n")
			if name == "ended" {
				c.want("OK")
				off.rewritten(c, 1)
			} else {
				c.want("-ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. " +
					"Check server logs.")
				c.send("BGREWRITEAOF\r\nCONFIG GET appendonly\r\n")
				c.want("-"+resp.ErrCantRewrite.Error(), "[appendonly no]")
				if now := off.aofFiles(); !slices.Equal(now, files) {
					t.Errorf("there were %q, and there are %q", files, now)
				}
			}
			if !strings.Contains(off.log.String(), test.says) {
				t.Errorf("the log doesn't say %q", test.says)
			}
			if test.running {
				c = off.again()
				c.send("GET a\r\n")
				c.want("1")
			}
		})
	}
}

// TestTurnOffLetsOthersGo: the disk is waited for before all batons are taken.
func TestTurnOffLetsOthersGo(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "no"}})
	c := dial(t, g.Addr())
	g.disk.stop()
	c.send("SET a 1\r\nCONFIG SET appendonly no\r\n")
	c.want("OK", "OK")
	for range 50 {
		time.Sleep(time.Millisecond) // for who takes the batons too early
		c.send("GET a\r\n")
		c.want("1")
	}
	if !g.aof.enabled() {
		t.Error("the disk was not stopped")
	}
	g.disk.resume()
	eventually(t, "it is off", func() bool { return !g.aof.enabled() && !g.aof.rewrites.busy() })
}

// TestTurnOffEndsRewrite: a rewrite is given up when the append-only file is turned off, and when the server ends.
func TestTurnOffEndsRewrite(t *testing.T) {
	for _, off := range []bool{true, false} {
		g := startGated(t, gatedOptions{args: []string{"--rdb-save-rate-limit", "10000", "--rdbcompression", "no"}})
		c := dial(t, g.Addr())
		c.send("DEBUG POPULATE 20000 key 100\r\nBGREWRITEAOF\r\n")
		c.want("OK", "Background append only file rewriting started")
		if off {
			c.send("CONFIG SET appendonly no\r\n")
			c.want("OK")
			eventually(t, "it is off", func() bool { return !g.aof.enabled() && !g.aof.rewrites.busy() })
		}
		c = g.again()
		c.send("DBSIZE\r\n")
		c.want("20000")
	}
}

// TestTurnOffBeforeItIsOn: an append-only file that is turned off before it has begun never begins, whether it has
// waited for a save or not, and leaves no files behind.
func TestTurnOffBeforeItIsOn(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprint(waits), func(t *testing.T) {
			g := startGated(t, gatedOptions{args: []string{
				"--appendonly", "no", "--rdb-save-rate-limit", "10000", "--rdbcompression", "no",
			}})
			c := dial(t, g.Addr())
			c.send("DEBUG POPULATE 20000 key 100\r\n")
			c.want("OK")
			if waits {
				c.send("BGSAVE\r\n")
				c.want("Background saving started")
			}
			c.send("CONFIG SET appendonly yes\r\nSET a 1\r\n")
			c.want("OK", "OK")
			if got := c.info("persistence", "aof_rewrite_scheduled"); got != fmt.Sprint(btoi(waits)) {
				t.Errorf("scheduled: %s", got)
			}
			c.send("CONFIG SET appendonly no\r\n")
			c.want("OK")
			if got := c.info("persistence", "aof_rewrite_scheduled"); got != "0" {
				t.Errorf("scheduled: %s", got)
			}
			eventually(t, "it is given up", func() bool { return !g.aof.rewrites.busy() })
			if files := g.aofFiles(); len(files) > 0 {
				t.Errorf("files are left: %q", files)
			}
			c.send("CONFIG SET rdb-save-rate-limit 0\r\n")
			c.want("OK")
			g.again()
		})
	}
}

// TestRewriteFails: a rewrite that fails before its cut says so to who has asked, one that fails later in INFO. Nothing
// is lost, and the next one works.
func TestRewriteFails(t *testing.T) {
	g := startGated(t, gatedOptions{})
	c := dial(t, g.Addr())
	c.send("SET a 1\r\n")
	c.want("OK")
	block := func(name string) { // a directory stands where the file is to be made
		name = filepath.Join(g.aof.dir, name)
		if err := errors.Join(os.Mkdir(name, 0o755), os.WriteFile(filepath.Join(name, "x"), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	block("appendonly.aof.2.incr.0.aof")
	c.send("BGREWRITEAOF\r\n")
	c.want("-ERR Can't execute an AOF background rewriting. Please check the server logs for more information.")
	block("appendonly.aof.3.base.1.rdb")
	c.send("BGREWRITEAOF\r\nSET b 1\r\n")
	c.want("Background append only file rewriting started", "OK")
	g.rewritten(c, 2)
	for field, want := range map[string]string{
		"aof_last_bgrewrite_status": "err", "aof_rewrites_consecutive_failures": "2", "aof_last_write_status": "ok",
	} {
		if got := c.info("persistence", field); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	for _, name := range []string{"appendonly.aof.2.incr.0.aof", "appendonly.aof.3.base.1.rdb"} {
		if err := os.RemoveAll(filepath.Join(g.aof.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	c.send("BGREWRITEAOF\r\nSET c 1\r\n")
	c.want("Background append only file rewriting started", "OK")
	g.rewritten(c, 3)
	if got := c.info("persistence", "aof_last_bgrewrite_status"); got != "ok" {
		t.Error(got)
	}
	c = g.again()
	c.send("MGET a b c\r\n")
	c.want("[1 1 1]")
}

// TestRewriteHistory: with aof-history-retain-bytes the files of before stay, and INFO says from when on.
func TestRewriteHistory(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--aof-history-retain-bytes", "1gb"}})
	c := dial(t, g.Addr())
	for n := range 3 {
		c.send("SET a 1\r\nBGREWRITEAOF\r\n")
		c.want("OK", "Background append only file rewriting started")
		g.rewritten(c, n+1)
	}
	if got := c.info("persistence", "aof_history_files"); got != "20" { // 4 INCR, then twice 4 BASE and 4 INCR
		t.Errorf("%s files, %q", got, g.aofFiles())
	}
	if got := c.info("persistence", "aof_oldest_restorable_lsn"); got != "0" {
		t.Error(got)
	}
	c.send("CONFIG SET aof-history-retain-bytes 0\r\nBGREWRITEAOF\r\n")
	c.want("OK", "Background append only file rewriting started")
	g.rewritten(c, 4)
	if files := g.aofFiles(); len(files) != 8 {
		t.Errorf("%q", files)
	}
}

// TestRewriteWithoutLog: BGREWRITEAOF while appendonly is off makes files that a start with it loads.
func TestRewriteWithoutLog(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendonly", "no"}})
	c := dial(t, g.Addr())
	c.send("SET a 1\r\nBGREWRITEAOF\r\n")
	c.want("OK", "Background append only file rewriting started")
	g.rewritten(c, 1)
	c.send("SET lost 1\r\n")
	c.want("OK")
	c = g.again()
	c.send("MGET a lost\r\n")
	c.want("[1 nil]")
}

// TestNoFsyncOnRewrite: with no-appendfsync-on-rewrite nothing waits for the disk while a save is under way, and what
// was acknowledged meanwhile is synced afterwards.
func TestNoFsyncOnRewrite(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{
		"--appendfsync", "always", "--no-appendfsync-on-rewrite", "yes", "--rdbcompression", "no",
	}})
	c := dial(t, g.Addr())
	c.send("DEBUG POPULATE 20000 key 100\r\nCONFIG SET rdb-save-rate-limit 10000\r\nBGSAVE\r\n")
	c.want("OK", "OK", "Background saving started")
	g.disk.stop()
	for i := range 20 {
		c.send(fmt.Sprintf("SET k %d\r\n", i))
		c.want("OK")
	}
	if g.aof.writer.Load().SyncedLSN() >= g.set.Log.LSN() {
		t.Error("the disk was not stopped")
	}
	g.disk.resume()
	c.send("CONFIG SET rdb-save-rate-limit 0\r\n")
	c.want("OK")
	eventually(t, "the save ends", func() bool { return c.info("persistence", "rdb_bgsave_in_progress") == "0" })
	eventually(t, "all is synced", func() bool { return g.aof.writer.Load().SyncedLSN() == g.set.Log.LSN() })
}

// TestPolicyWhenASaveEnds: appendfsync that was just set stays, where a save ends before the configuration has it.
func TestPolicyWhenASaveEnds(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--appendfsync", "everysec"}})
	c := dial(t, g.Addr())
	g.cfg.OnApply(func(_, _ *config.Values) error {
		g.aof.applyPolicy()         // as who ends a save does
		g.aof.renew(g.cfg.Values()) // or a rewrite
		return nil
	}, "appendfsync")
	c.send("CONFIG SET appendfsync always\r\n")
	c.want("OK")
	if policy := aof.Policy(g.aof.policy.Load()); policy != aof.Always {
		t.Errorf("the policy is %v", policy)
	}
}

// TestRewriteUnderFlushAll: FLUSHALL gives a rewrite up, which begins again, if it saves.
func TestRewriteUnderFlushAll(t *testing.T) {
	g := startGated(t, gatedOptions{args: []string{"--save", "3600 1", "--rdbcompression", "no"}})
	c := dial(t, g.Addr())
	c.send("DEBUG POPULATE 20000 key 100\r\nCONFIG SET rdb-save-rate-limit 10000\r\nBGREWRITEAOF\r\n")
	c.want("OK", "OK", "Background append only file rewriting started")
	c.send("FLUSHALL\r\n")
	eventually(t, "FLUSHALL has come", func() bool {
		now := g.aof.rewrites.figures()
		return now.scheduled || now.begun == 2 // the save of nothing is soon over
	})
	other := dial(t, g.Addr())
	other.send("CONFIG SET rdb-save-rate-limit 0\r\nSET a 1\r\n")
	other.want("OK", "OK")
	c.want("OK")
	g.rewritten(c, 2)
	c = g.again()
	c.send("DBSIZE\r\n")
	c.want("1")
}

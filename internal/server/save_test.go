package server

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/internal/config"
	"fulmen/internal/need"
	"fulmen/persist/vfs"
)

// badDisk is a file system whose files can't be written or are read slowly, as long as a test wants that.
type badDisk struct {
	vfs.OS
	mu   sync.Mutex
	fail error         // of Create
	gate chan struct{} // reads of Open's files wait until it is closed; nil: they don't
	read chan struct{} // gets one for each read that waits
}

func (d *badDisk) setFail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

func (d *badDisk) Create(name string, perm fs.FileMode) (vfs.File, error) {
	d.mu.Lock()
	err := d.fail
	d.mu.Unlock()
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	return d.OS.Create(name, perm)
}

func (d *badDisk) Open(name string) (vfs.Reader, error) {
	r, err := d.OS.Open(name)
	if err != nil || d.gate == nil {
		return r, err
	}
	return &gatedReader{Reader: r, d: d}, nil
}

type gatedReader struct {
	vfs.Reader
	d *badDisk
}

func (r *gatedReader) Read(p []byte) (int, error) {
	select {
	case r.d.read <- struct{}{}:
	default:
	}
	<-r.d.gate
	return r.Reader.Read(p)
}

// saving is a server whose saves are looked at.
type savingServer struct {
	*Server
	clock *clock.Fake
	disk  *badDisk
	dir   string
	log   *logBuffer
}

// startSaving starts a server on the directory, with a clock that stands still; it ends with the test.
func startSaving(t testing.TB, dir string, disk *badDisk, args ...string) *savingServer {
	t.Helper()
	if disk == nil {
		disk = &badDisk{}
	}
	s := &savingServer{clock: clock.NewFake(1_700_000_000_000), disk: disk, dir: dir, log: &logBuffer{}}
	args = append([]string{
		"--port", need.Port(t), "--bind", "127.0.0.1", "--dir", dir, "--shards", "4", "--event-loops", "2",
		"--enable-debug-command", "yes", "--enable-protected-configs", "yes",
	}, args...)
	cfg, err := config.Load(args, config.Env{Version: Version, Cwd: dir, CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	s.Server, err = New(Options{Config: cfg, Files: disk, Log: NewLogger(s.log, level), Level: level, Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log("the server's log:\n" + s.log.String())
		}
	})
	return s
}

// figures returns what INFO would say.
func (s *savingServer) figures() saveFigures { return s.saves.figures(s.publishedDirty()) }

// idle waits until no save is under way, and none is about to begin.
func (s *savingServer) idle(t testing.TB) {
	t.Helper()
	eventually(t, "the end of the save", func() bool {
		cut := &s.saves.cut
		cut.mu.Lock()
		defer cut.mu.Unlock()
		return cut.work == nil && !s.saves.underWay()
	})
}

// files lists the directory.
func files(t testing.TB, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestSavePoints: a save begins when enough was changed and enough time is over, not before, and counts from the last
// good one.
func TestSavePoints(t *testing.T) {
	s := startSaving(t, t.TempDir(), nil, "--save", "60 2 10 5")
	c := dial(t, s.Addr())
	begun := func(want int64) {
		t.Helper()
		s.saves.cron()
		s.idle(t)
		if got := s.figures().begun; got != want {
			t.Fatalf("%d saves were begun, want %d", got, want)
		}
	}
	changes := int64(0)
	set := func(n int) {
		t.Helper()
		for i := range n {
			c.do("SET", "k", strconv.Itoa(i))
		}
		changes += int64(n)
		s.clock.Advance(20 * time.Millisecond) // shards publish their counters now and then
		// Not those since the last save: the sampler begins one as soon as they are there.
		eventually(t, "changes are published", func() bool { return s.publishedDirty() == changes })
	}
	set(4)
	s.clock.Advance(11 * time.Second)
	begun(0) // 4 changes of 5
	set(1)
	eventually(t, "the save of the second point", func() bool { return s.figures().begun == 1 })
	s.idle(t)
	if f := s.figures(); f.changes != 0 || f.lastSaveMs != s.clock.NowMs() || f.failed {
		t.Errorf("after a save: %+v", f)
	}
	s.log.wantLogged(t, 1, "5 changes in 10 seconds. Saving...")
	set(5)
	s.clock.Advance(10 * time.Second)
	begun(1) // more than 10 seconds are wanted
	s.clock.Advance(time.Second)
	eventually(t, "the next save", func() bool { return s.figures().begun == 2 })
	s.idle(t)
	set(1)
	s.clock.Advance(61 * time.Second)
	begun(2) // one change of two
	if got := c.do("CONFIG", "SET", "save", "60 1"); got != "OK" {
		t.Fatal(got)
	}
	eventually(t, "the save of the new point", func() bool { return s.figures().begun == 3 })
	s.idle(t)
}

// TestFailedSave: a save that fails is told, refuses writes while there are save points, is tried again after five
// seconds, and all is well when one succeeds.
func TestFailedSave(t *testing.T) {
	s := startSaving(t, t.TempDir(), nil, "--save", "3600 1")
	c := dial(t, s.Addr())
	const misconf = "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
	refused := func(want bool, args ...string) {
		t.Helper()
		if got := c.do(args...); strings.HasPrefix(got, misconf) != want {
			t.Fatalf("%q: %q", args, got)
		}
	}
	c.do("SET", "a", "1")
	s.disk.setFail(syscall.ENOSPC)
	if got := c.do("SAVE"); got != "-ERR " && got != "-ERR" {
		t.Errorf("SAVE: %q", got)
	}
	refused(false, "SET", "a", "2") // whoever asked was told
	if got := c.do("BGSAVE"); got != "Background saving started" {
		t.Errorf("BGSAVE: %q", got)
	}
	s.idle(t)
	if got := c.info("persistence", "rdb_last_bgsave_status"); got != "err" {
		t.Errorf("status %s", got)
	}
	refused(true, "SET", "a", "3")
	refused(true, "PING")
	refused(true, "MSET", "a", "1", "b", "2")
	refused(true, "FLUSHALL")
	refused(false, "GET", "a")
	refused(false, "PUBLISH", "a", "b")
	c.do("MULTI")
	refused(true, "SET", "a", "3")
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT") {
		t.Errorf("EXEC: %q", got)
	}
	for _, off := range []string{"stop-writes-on-bgsave-error no", "save "} {
		name, value, _ := strings.Cut(off, " ")
		was := s.cfg.Get([]string{name})[0].Value
		c.do("CONFIG", "SET", name, value)
		refused(false, "SET", "a", "4")
		c.do("CONFIG", "SET", name, was)
		refused(true, "SET", "a", "4")
	}
	// A queue that was filled before is refused as a whole.
	s.disk.setFail(nil)
	c.do("SAVE")
	refused(false, "PING")
	c.do("MULTI")
	c.do("SET", "a", "5")
	s.disk.setFail(syscall.ENOSPC)
	other := dial(t, s.Addr())
	other.do("BGSAVE")
	s.idle(t)
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT Transaction discarded because of: MISCONF") {
		t.Errorf("EXEC: %q", got)
	}
	// The next try comes after more than five seconds.
	s.disk.setFail(nil)
	c.do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
	c.do("SET", "a", "6")
	c.do("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes", "save", "1 1")
	begun := s.figures().begun
	s.clock.Advance(5 * time.Second)
	changes := c.info("persistence", "rdb_changes_since_last_save")
	eventually(t, "changes are published", func() bool {
		return strconv.FormatInt(s.figures().changes, 10) == changes
	})
	s.saves.cron()
	s.idle(t)
	if s.figures().begun != begun {
		t.Error("tried again too early")
	}
	s.clock.Advance(time.Second)
	eventually(t, "another try", func() bool { return s.figures().begun > begun })
	s.idle(t)
	refused(false, "SET", "a", "7")
	if got := c.info("persistence", "rdb_last_bgsave_status"); got != "ok" {
		t.Errorf("status %s", got)
	}
}

// TestFailedSaveLeavesNothing: the snapshot of before is still there, and nothing else.
func TestFailedSaveLeavesNothing(t *testing.T) {
	for _, segments := range []string{"yes", "no"} {
		s := startSaving(t, t.TempDir(), nil, "--save", "", "--rdb-segments", segments)
		c := dial(t, s.Addr())
		c.do("SET", "a", "1")
		if got := c.do("SAVE"); got != "OK" {
			t.Fatal(got)
		}
		before := files(t, s.dir)
		c.do("SET", "a", "2")
		s.disk.setFail(syscall.EIO)
		c.do("SAVE")
		if after := files(t, s.dir); after != before {
			t.Errorf("segments %s: %q is left of %q", segments, after, before)
		}
		s.disk.setFail(nil)
		if got := c.do("DEBUG", "RELOAD", "NOSAVE"); got != "OK" {
			t.Error(got)
		}
		if got := c.do("GET", "a"); got != "1" {
			t.Errorf("segments %s: a is %q", segments, got)
		}
	}
}

// TestSaveCommands: one save at a time; SAVE waits for another SAVE, BGSAVE is refused or scheduled.
func TestSaveCommands(t *testing.T) {
	s := startSaving(t, t.TempDir(), nil, "--save", "")
	c, other := dial(t, s.Addr()), dial(t, s.Addr())
	c.do("DEBUG", "POPULATE", "20000")
	if got := c.do("CONFIG", "SET", "rdb-save-rate-limit", "100000"); got != "OK" { // so that the save lasts
		t.Fatal(got)
	}
	if got := c.do("BGSAVE"); got != "Background saving started" {
		t.Fatal(got)
	}
	const busy = "-ERR Background save already in progress"
	for _, args := range [][]string{{"BGSAVE"}, {"BGSAVE", "SCHEDULE"}, {"SAVE"}} {
		if got := c.do(args...); got != busy {
			t.Errorf("%q: %q", args, got)
		}
	}
	c.do("MULTI")
	c.do("BGSAVE")
	if got := c.do("EXEC"); !strings.Contains(got, "already in progress") {
		t.Errorf("BGSAVE in MULTI: %q", got)
	}
	if c.info("persistence", "rdb_bgsave_in_progress") != "1" ||
		c.info("persistence", "current_save_keys_total") != "20000" {
		t.Error("INFO doesn't tell of the save")
	}
	c.do("CONFIG", "SET", "rdb-save-rate-limit", "0")
	s.idle(t)
	c.do("CONFIG", "SET", "rdb-save-rate-limit", "100000")
	// Two wait for a save of their own; while they do the server goes on.
	c.send(bulk("SAVE"))
	eventually(t, "SAVE has begun", func() bool { return s.saves.underWay() })
	other.send(bulk("SAVE"))
	third := dial(t, s.Addr())
	third.do("SET", "later", "1")
	if got := third.do("BGSAVE"); got != busy {
		t.Errorf("BGSAVE during SAVE: %q", got)
	}
	third.do("CONFIG", "SET", "rdb-save-rate-limit", "0")
	c.want("OK")
	other.want("OK")
	s.idle(t)
	c.do("MULTI")
	c.do("BGSAVE")
	begun := s.figures().begun
	if got := c.do("EXEC"); !strings.Contains(got, "Background saving scheduled") {
		t.Errorf("BGSAVE in MULTI: %q", got)
	}
	eventually(t, "the scheduled save", func() bool { return s.figures().begun > begun })
	s.idle(t)
}

// TestSaveThatWaitsIsBegun: the end of a save can't ask for the batons for who waits for it if they have been asked for
// and what they were wanted for is done, but not over. It is begun all the same.
func TestSaveThatWaitsIsBegun(t *testing.T) {
	s := startSaving(t, t.TempDir(), nil, "--save", "")
	ended := make(chan error, 1)
	s.saves.mu.Lock()
	s.saves.wait(func(err error) { ended <- err }) // and nobody asks for the batons
	s.saves.mu.Unlock()
	eventually(t, "the save", func() bool { return len(ended) == 1 })
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestFlushAllDuringSave: the save is given up, and what FLUSHALL leaves is saved before it replies.
func TestFlushAllDuringSave(t *testing.T) {
	dir := t.TempDir()
	s := startSaving(t, dir, nil, "--save", "3600 1", "--rdb-segments", "no")
	c := dial(t, s.Addr())
	c.do("DEBUG", "POPULATE", "20000")
	c.do("CONFIG", "SET", "rdb-save-rate-limit", "100000")
	c.do("BGSAVE")
	other := dial(t, s.Addr())
	c.send(bulk("FLUSHALL"))
	eventually(t, "the save is given up", func() bool {
		return strings.Contains(s.log.String(), "Saving was given up")
	})
	other.do("CONFIG", "SET", "rdb-save-rate-limit", "0") // the clock stands still: the other save goes on only now
	c.want("OK")
	if got := files(t, dir); got != "dump.rdb" {
		t.Errorf("files: %q", got)
	}
	if n := c.info("persistence", "rdb_changes_since_last_save"); n != "0" || s.figures().failed {
		t.Errorf("after FLUSHALL: %s changes", n)
	}
	other.do("DEBUG", "RELOAD", "NOSAVE")
	if got := c.do("DBSIZE"); got != "0" {
		t.Errorf("%s keys in the snapshot", got)
	}
	c.do("SET", "a", "1")
	c.do("SAVE")
	c.do("MULTI")
	c.do("FLUSHALL")
	c.do("SET", "b", "1")
	c.do("EXEC")
	s.idle(t)
	c.do("DEBUG", "RELOAD", "NOSAVE")
	if got := c.do("DBSIZE"); got != "0" {
		t.Errorf("the cut of a FLUSHALL in a transaction is not where that is: %s keys", got)
	}
	// Without save points nothing is saved, and the save that is under way is given up all the same.
	c.do("SAVE")
	c.do("CONFIG", "SET", "save", "", "rdb-save-rate-limit", "100000")
	c.do("DEBUG", "POPULATE", "20000")
	c.do("BGSAVE")
	if got := c.do("FLUSHALL"); got != "OK" {
		t.Fatal(got)
	}
	c.do("CONFIG", "SET", "rdb-save-rate-limit", "0")
	s.idle(t)
	c.do("DEBUG", "RELOAD", "NOSAVE")
	if got := c.do("DBSIZE"); got != "0" {
		t.Errorf("FLUSHALL did not end the save: it has %s keys", got)
	}
	if s.figures().failed {
		t.Error("a save that was given up counts as failed")
	}
}

// TestLoading: until the data is there commands get LOADING, but for those whose row has the flag.
func TestLoading(t *testing.T) {
	dir := t.TempDir()
	first := startSaving(t, dir, nil, "--save", "")
	c := dial(t, first.Addr())
	c.do("SET", "a", "1")
	c.do("SELECT", "3")
	c.do("RPUSH", "l", "x", "y")
	if got := c.do("SAVE"); got != "OK" {
		t.Fatal(got)
	}
	if err := first.Shutdown(); err != nil {
		t.Fatal(err)
	}
	disk := &badDisk{gate: make(chan struct{}), read: make(chan struct{}, 1)}
	s := startSaving(t, dir, disk)
	<-disk.read
	c = dial(t, s.Addr())
	const loading = "-LOADING Redis is loading the dataset in memory"
	for _, args := range [][]string{
		{"GET", "a"}, {"SET", "a", "2"}, {"PING"}, {"SAVE"}, {"BGSAVE"}, {"DBSIZE"}, {"KEYS", "*"}, {"SCAN", "0"},
		{"FLUSHALL"}, {"MSET", "a", "1"}, {"BLPOP", "l", "0"},
	} {
		if got := c.do(args...); got != loading {
			t.Errorf("%q: %q", args, got)
		}
	}
	for _, args := range [][]string{
		{"LASTSAVE"}, {"ECHO", "x"}, {"SELECT", "3"}, {"COMMAND", "COUNT"}, {"CONFIG", "GET", "save"}, {"TIME"},
		{"CLIENT", "ID"}, {"HELLO"}, {"MULTI"}, {"DISCARD"},
	} {
		if got := c.do(args...); strings.HasPrefix(got, "-") {
			t.Errorf("%q: %q", args, got)
		}
	}
	c.do("MULTI")
	if got := c.do("GET", "a"); got != loading {
		t.Errorf("GET in MULTI: %q", got)
	}
	if got := c.do("EXEC"); !strings.HasPrefix(got, "-EXECABORT") {
		t.Errorf("EXEC: %q", got)
	}
	if c.info("persistence", "loading") != "1" || c.info("persistence", "loading_total_bytes") == "0" {
		t.Error("INFO doesn't tell of the load")
	}
	if err := (consoleSource{s.Server}).Health(); err == nil {
		t.Error("the server says that it is well")
	}
	watcher := dial(t, s.Addr())
	watcher.send(bulk("WATCH", "a")) // needs a baton
	close(disk.gate)
	watcher.want("OK")
	eventually(t, "the data is there", func() bool { return c.do("PING") == "PONG" })
	if got := c.do("LRANGE", "l", "0", "-1"); !strings.Contains(got, "x") {
		t.Errorf("l is %q", got)
	}
	if got := c.info("persistence", "rdb_last_load_keys_loaded"); got != "2" {
		t.Errorf("%s keys loaded", got)
	}
	if got := c.info("persistence", "rdb_changes_since_last_save"); got != "0" {
		t.Errorf("%s changes since the load", got)
	}
	if strings.Contains(c.do("INFO", "persistence"), "loading_start_time") {
		t.Error("fields of a load that is over")
	}
}

// TestSmallLoad: who connects while little data is loaded waits for the data, and is not told LOADING.
func TestSmallLoad(t *testing.T) {
	dir := t.TempDir()
	first := startSaving(t, dir, nil, "--save", "")
	c := dial(t, first.Addr())
	c.do("SET", "k", "value")
	c.do("SAVE")
	if err := first.Shutdown(); err != nil {
		t.Fatal(err)
	}
	disk := &badDisk{gate: make(chan struct{}), read: make(chan struct{}, 1)}
	socket := filepath.Join(t.TempDir(), "s")
	reply := make(chan string, 1)
	go func() {
		defer close(reply)
		<-disk.read
		c := dial(t, socket)
		c.send(bulk("GET", "k"))
		close(disk.gate)
		reply <- c.reply()
	}()
	startSaving(t, dir, disk, "--save", "", "--unixsocket", socket)
	if got := <-reply; got != "value" {
		t.Errorf("%q", got)
	}
}

// TestQuietLoad: who connects when more is loaded than loading-process-events-interval-bytes says is told LOADING.
func TestQuietLoad(t *testing.T) {
	dir := t.TempDir()
	first := startSaving(t, dir, nil, "--save", "", "--rdb-compression", "no")
	c := dial(t, first.Addr())
	c.do("DEBUG", "POPULATE", "3000", "k", "100")
	c.do("SAVE")
	if err := first.Shutdown(); err != nil {
		t.Fatal(err)
	}
	s := startSaving(t, dir, nil, "--save", "", "--key-load-delay", "2000",
		"--loading-process-events-interval-bytes", "1024")
	c = dial(t, s.Addr())
	if got := c.do("GET", "k"); !strings.HasPrefix(got, "-LOADING ") {
		t.Error(got)
	}
	eventually(t, "the data is there", func() bool {
		s.clock.Advance(time.Minute)
		return c.do("DBSIZE") == "3000"
	})
}

// TestBrokenSnapshot: the server doesn't start, and says which file is damaged where and what to do.
func TestBrokenSnapshot(t *testing.T) {
	for _, segments := range []string{"yes", "no"} {
		dir := t.TempDir()
		first := startSaving(t, dir, nil, "--save", "", "--rdb-segments", segments)
		c := dial(t, first.Addr())
		c.do("DEBUG", "POPULATE", "1000")
		c.do("SAVE")
		if err := first.Shutdown(); err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(files(t, dir)) {
			breakFile(t, dir, name)
		}
	}
}

// breakFile damages a file of a snapshot in several ways, and repairs it at the end.
func breakFile(t *testing.T, dir, name string) {
	name = filepath.Join(dir, name)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{
		"cut": whole[:len(whole)/2], "flipped": flipped(whole, len(whole)/2), "empty": {}, "foreign": []byte("hello"),
		"longer": append(bytes.Clone(whole), 'x'), "missing": nil,
	} {
		switch {
		case data != nil:
			err = os.WriteFile(name, data, 0o644)
		case strings.HasSuffix(name, ".manifest") || strings.HasSuffix(name, ".rdb"):
			continue // then there is no snapshot
		default:
			err = os.Remove(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		srv, ended := startOn(t, dir), make(chan error, 1)
		go func() { ended <- srv.Run(nil) }()
		select {
		case <-time.After(patience):
			t.Fatalf("%s %s: the server serves", name, what)
		case err := <-ended:
			if err == nil {
				t.Fatalf("%s %s: no error", name, what)
			}
			for _, word := range []string{name, "offset", "fulmen-check"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%s %s: the error doesn't say %s: %v", name, what, word, err)
				}
			}
		}
		if now, err := os.ReadFile(name); data != nil && (err != nil || !bytes.Equal(now, data)) {
			t.Errorf("%s: the file was touched (%v)", what, err)
		}
		if err := os.WriteFile(name, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// startOn makes a server on a directory that does not run yet.
func startOn(t *testing.T, dir string) *Server {
	socket := filepath.Join(t.TempDir(), "s") // it has to listen somewhere
	cfg, err := config.Load([]string{"--port", "0", "--unixsocket", socket, "--dir", dir},
		config.Env{Cwd: dir, CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	srv, err := New(Options{Config: cfg, Files: vfs.OS{}, Log: NewLogger(&logBuffer{}, level), Level: level})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 0x10
	return data
}

// TestDirectoryIsLocked: a second server does not start in the directory, and CONFIG SET dir takes and gives it.
func TestDirectoryIsLocked(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	s := startSaving(t, dir, nil, "--save", "")
	start := func(dir string) error {
		srv := startOn(t, dir)
		if err := srv.Start(); err != nil {
			return err
		}
		return srv.Shutdown()
	}
	if err := start(dir); err == nil || !strings.Contains(err.Error(), "in use by another") {
		t.Errorf("a second server: %v", err)
	}
	if err := start(other); err != nil {
		t.Error(err)
	}
	startSaving(t, other, nil, "--save", "")
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chdir(cwd); err != nil { // CONFIG SET dir is of the process
			t.Error(err)
		}
	})
	c := dial(t, s.Addr())
	if got := c.do("CONFIG", "SET", "dir", other); !strings.Contains(got, "in use by another") {
		t.Errorf("CONFIG SET dir: %q", got)
	}
	third := t.TempDir()
	if got := c.do("CONFIG", "SET", "dir", third); got != "OK" {
		t.Fatal(got)
	}
	if err := start(dir); err != nil {
		t.Errorf("in the directory that was left: %v", err)
	}
	if err := start(third); err == nil {
		t.Error("in the new directory: no error")
	}
	c.do("SAVE")
	if files(t, dir) != "" || files(t, third) == "" {
		t.Errorf("files: %q in the old directory, %q in the new one", files(t, dir), files(t, third))
	}
}

// TestUseIsSaved: how much a key is used, if the eviction policy goes by that.
func TestUseIsSaved(t *testing.T) {
	s := startSaving(t, t.TempDir(), nil, "--save", "", "--maxmemory-policy", "allkeys-lru")
	c := dial(t, s.Addr())
	c.do("SET", "a", "1")
	s.clock.Advance(1000 * time.Second)
	c.do("RPUSH", "l", "1")
	s.clock.Advance(100 * time.Second)
	c.do("DEBUG", "RELOAD")
	for key, want := range map[string]string{"a": "1100", "l": "100"} {
		if got := c.do("OBJECT", "IDLETIME", key); got != want {
			t.Errorf("%s was used %s s ago, want %s", key, got, want)
		}
	}
	c.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "lfu-log-factor", "0")
	c.do("SET", "f", "1")
	for range 50 {
		c.do("GET", "f")
	}
	want := c.do("OBJECT", "FREQ", "f")
	c.do("DEBUG", "RELOAD")
	if got := c.do("OBJECT", "FREQ", "f"); got != want || want < "3" {
		t.Errorf("frequency %s, want %s", got, want)
	}
	// Without such a policy nothing of it is saved.
	c.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	s.clock.Advance(100 * time.Second)
	c.do("DEBUG", "RELOAD")
	if got := c.do("OBJECT", "IDLETIME", "a"); got != "0" {
		t.Errorf("used %s s ago", got)
	}
}

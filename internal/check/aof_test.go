package check

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fulmen/internal/clock"
	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/lines"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

const aofShards = 3

// aofWorld is an append-only file that a test writes, and a redis-server that executes the same.
type aofWorld struct {
	t        *testing.T
	dir      string
	log      *log.Log
	w        *aof.Writer
	manifest *aof.Manifest
	redis    *redistest.Conn
	redisDir string
	digests  map[uint64]string // by LSN
	ringDir  string            // of the incarnations that begin from now on; empty: they have no ring
	ring     *log.Ring
}

func newAOFWorld(t *testing.T, keys int) *aofWorld { return newAOFWorldOf(t, keys, aof.FormatRDB) }

// newAOFWorldOf is newAOFWorld with a BASE of a format.
func newAOFWorldOf(t *testing.T, keys int, format aof.Format) *aofWorld {
	t.Helper()
	o := redistest.StartOracle(t, "--enable-debug-command", "yes")
	c, err := redistest.Dial(o.Addr)
	fatal(t, err)
	t.Cleanup(func() { _ = c.Close() })
	x := &aofWorld{t: t, dir: t.TempDir(), redis: c, redisDir: o.Dir, digests: map[uint64]string{}}
	x.log = log.New(aofShards, log.Limits{})
	x.log.SetLSN(500)
	for i := range keys {
		do(t, c, "RPUSH", fmt.Sprint("base", i), "a", "b")
	}
	do(t, c, "SAVE")
	x.manifest = &aof.Manifest{
		DirID: 7, Databases: 16, Shards: aofShards, ReplID: strings.Repeat("a", 40),
		Incarnations: []aof.Incarnation{{Number: 1, StartLSN: 500}},
	}
	data, err := os.ReadFile(filepath.Join(o.Dir, "dump.rdb"))
	fatal(t, err)
	if format == aof.FormatAOF {
		data = nil
		for i := range keys {
			data = resp.AppendCommandStrings(data, "RPUSH", fmt.Sprint("base", i), "a", "b")
		}
	}
	base := aof.File{
		Kind: aof.Base, Shard: aof.AllShards, Seq: 1, Incarnation: 1, LSN: 500, Format: format,
		SizeBytes: int64(len(data)), CRC64: lines.Sum(0, data), Keys: int64(keys),
	}
	fatal(t, os.WriteFile(base.Path(x.dir, "a.aof"), data, 0o600))
	x.manifest.Add(base)
	x.live()
	return x
}

// live begins to write what the last incarnation of the manifest commits.
func (x *aofWorld) live() {
	x.t.Helper()
	life, seq := x.manifest.Last(), x.manifest.NextSeq()
	x.log.SetIncarnation(life.Number)
	x.w = aof.Open(aof.Options{
		FS: vfs.OS{}, Dir: x.dir, Name: "a.aof", Log: x.log, DirID: 7, Incarnation: life.Number, Policy: aof.Always,
		Clock: clock.New(),
	})
	fatal(x.t, x.w.Prepare(seq))
	if life.RingDir = x.ringDir; x.ringDir != "" {
		boot, err := log.BootID(vfs.OS{})
		fatal(x.t, err)
		x.ring, err = log.CreateRing(log.RingOptions{
			FS: vfs.OS{}, Dir: x.ringDir,
			Identity: log.RingIdentity{Boot: boot, DirID: 7, Incarnation: life.Number, Shards: aofShards},
		})
		fatal(x.t, err)
		x.log.UseRing(x.ring)
	}
	x.manifest.Add(aof.IncrFiles(aofShards, seq, life.Number, life.StartLSN, 0)...)
	fatal(x.t, x.manifest.Commit(vfs.OS{}, x.dir, "a.aof"))
	h := x.log.Resume()
	fatal(x.t, x.w.Start(h))
	h.Close()
}

// restart stops and goes on in a new incarnation.
func (x *aofWorld) restart() {
	x.t.Helper()
	x.close(true)
	r, err := aof.Recover(&aof.RecoverOptions{FS: vfs.OS{}, Dir: x.dir, Name: "a.aof"})
	fatal(x.t, err)
	x.manifest = r.Begin()
	x.log = log.New(aofShards, log.Limits{})
	x.log.SetLSN(r.EndLSN)
	x.live()
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// change commits random changes of keys, each in the shard of its name.
func (x *aofWorld) change(rnd *rand.Rand, n int) {
	for range n {
		var held []*log.ShardLog
		from := rnd.IntN(aofShards)
		for i := from; i < aofShards; i++ {
			if i > from && rnd.IntN(2) == 0 {
				break
			}
			s := x.log.Shard(i)
			held = append(held, s)
			for range 1 + rnd.IntN(2) {
				db := rnd.IntN(2) * 9
				args := []string{"APPEND", fmt.Sprint("k", i, rnd.IntN(3)), fmt.Sprint(rnd.IntN(100), "\r\n")}
				s.Stage(db, []byte(args[0]), []byte(args[1]), []byte(args[2]))
				do(x.t, x.redis, "SELECT", fmt.Sprint(db))
				do(x.t, x.redis, args...)
			}
		}
		lsn := x.log.Commit(held, true)
		x.digests[lsn] = do(x.t, x.redis, "DEBUG", "DIGEST")
	}
}

func (x *aofWorld) close(clean bool) {
	fatal(x.t, x.w.Close())
	if clean {
		m := x.manifest.Clone()
		m.End(x.log.LSN())
		fatal(x.t, m.Commit(vfs.OS{}, x.dir, "a.aof"))
	}
}

// converted converts the file, has redis-check-aof look at it, and returns the digest that redis-server then has.
func (x *aofWorld) converted(options ...string) string {
	dir := x.t.TempDir()
	out := filepath.Join(dir, "appendonly.aof")
	expect(x.t, 0, nil, append([]string{"convert", x.dir, out}, options...)...)
	if text, err := exec.Command(need.Program(x.t, "redis-check-aof"), out).CombinedOutput(); err != nil {
		x.t.Fatalf("redis-check-aof: %v\n%s", err, text)
	}
	expect(x.t, 0, []string{"fine"}, "verify", out)
	expect(x.t, 0, []string{`"APPEND"`}, "show", out)
	o := redistest.StartOracle(x.t, "--dir", dir, "--appendonly", "yes", "--enable-debug-command", "yes")
	c, err := redistest.Dial(o.Addr)
	fatal(x.t, err)
	defer func() { _ = c.Close() }()
	return do(x.t, c, "DEBUG", "DIGEST")
}

var endLSN = regexp.MustCompile(`LSN 500 to (\d+)`)

// end returns the LSN up to which verify says that the data goes.
func (x *aofWorld) end(code int, texts ...string) (lsn uint64) {
	text := expect(x.t, code, texts, "verify", x.dir)
	found := endLSN.FindStringSubmatch(text)
	if found == nil {
		x.t.Fatalf("no LSN in %s", text)
	}
	lsn, _ = lines.ParseNumber(found[1])
	return lsn
}

func TestAOFConvertAndTruncate(t *testing.T) {
	for seed, base := range []struct {
		keys   int
		format aof.Format
	}{{20, aof.FormatRDB}, {0, aof.FormatRDB}, {20, aof.FormatAOF}} {
		rnd := rand.New(rand.NewPCG(uint64(seed), 1))
		x := newAOFWorldOf(t, base.keys, base.format)
		x.change(rnd, 60)
		x.close(seed == 0)
		if lsn := x.end(0); lsn != x.log.LSN() {
			t.Errorf("the data ends at LSN %d, want %d", lsn, x.log.LSN())
		}
		if got, want := x.converted(), x.digests[x.log.LSN()]; got != want {
			t.Errorf("all: digest %s, want %s", got, want)
		}
		expect(t, 0, []string{"incarnation 1", "incr.2.aof", `"APPEND"`}, "show", x.dir)
		middle := uint64(0)
		for lsn := range x.digests {
			if lsn < (500+x.log.LSN())/2 {
				middle = max(middle, lsn)
			}
		}
		if got, want := x.converted("--until-lsn", fmt.Sprint(middle+1)), x.digests[middle]; got != want {
			t.Errorf("until %d: digest %s, want %s", middle, got, want)
		}
		expect(t, 2, []string{"no way back"}, "truncate", x.dir, "--lsn", "499")
		expect(t, 0, nil, "truncate", x.dir, "--lsn", fmt.Sprint(middle+1))
		if lsn := x.end(0); lsn != middle {
			t.Errorf("truncated to %d, verify says %d", middle, lsn)
		}
		if got, want := x.converted(), x.digests[middle]; got != want {
			t.Errorf("truncated: digest %s, want %s", got, want)
		}
		x.loads()
	}
}

// TestAOFTruncateToATime takes the data back to a moment; what convert writes says the times, too, and redis-check-aof
// does the same with that. Without times in it, or before the BASE, nothing is changed.
func TestAOFTruncateToATime(t *testing.T) {
	const second = int64(1_700_000_000)
	rnd := rand.New(rand.NewPCG(6, 1))
	x := newAOFWorld(t, 3)
	x.change(rnd, 5)
	expect(t, 2, []string{"aof-timestamp-enabled"}, "truncate", x.dir, "--time", fmt.Sprint(second))
	ends := []uint64{x.log.LSN()}
	for i := range 4 {
		if x.log.SetTime(second + 10*int64(i)); i == 2 {
			x.restart()
			x.log.SetTime(second + 10*int64(i))
		}
		x.change(rnd, 10)
		ends = append(ends, x.log.LSN())
	}
	x.close(true)
	dir := t.TempDir()
	out := filepath.Join(dir, "appendonly.aof")
	expect(t, 0, nil, "convert", x.dir, out)
	text, err := exec.Command(need.Program(t, "redis-check-aof"), "--truncate-to-timestamp", fmt.Sprint(second+15),
		out).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-check-aof: %v\n%s", err, text)
	}
	o := redistest.StartOracle(t, "--dir", dir, "--appendonly", "yes", "--enable-debug-command", "yes")
	c, err := redistest.Dial(o.Addr)
	fatal(t, err)
	defer func() { _ = c.Close() }()
	if got, want := do(t, c, "DEBUG", "DIGEST"), x.digests[ends[2]]; got != want {
		t.Errorf("redis-check-aof: digest %s, want %s", got, want)
	}
	for _, cut := range []struct {
		sec  int64
		left int
	}{{second + 30, 4}, {second + 29, 3}, {second + 15, 2}, {second, 1}, {second - 1, 0}} {
		expect(t, 0, nil, "truncate", x.dir, "--time", fmt.Sprint(cut.sec))
		if lsn := x.end(0); lsn != ends[cut.left] {
			t.Errorf("truncated to second %d: the data ends at %d, of %d", cut.sec-second, lsn, ends)
		}
	}
	if got, want := x.converted(), x.digests[ends[0]]; got != want {
		t.Errorf("truncated: digest %s, want %s", got, want)
	}
	expect(t, 2, []string{"no way back"}, "truncate", twoLivesAt(t, second), "--time", fmt.Sprint(second-1))
}

// twoLivesAt is twoLives with a BASE of a time.
func twoLivesAt(t *testing.T, sec int64) string {
	dir := t.TempDir()
	twoLives(t, dir)
	m, err := aof.ReadManifest(vfs.OS{}, dir, "a.aof")
	fatal(t, err)
	m = m.Clone()
	for i := range m.Files {
		if m.Files[i].Kind == aof.Base {
			m.Files[i].CreatedMs = sec * 1000
		}
	}
	fatal(t, m.Commit(vfs.OS{}, dir, "a.aof"))
	return dir
}

// TestAOFTruncateToAnEarlierLife takes the data back to an incarnation before the last one.
func TestAOFTruncateToAnEarlierLife(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 1))
	x := newAOFWorld(t, 3)
	x.change(rnd, 20)
	middle := x.log.LSN()
	x.change(rnd, 20)
	for range 2 {
		x.restart()
		x.change(rnd, 20)
	}
	x.close(false)
	if lsn := x.end(0); lsn != x.log.LSN() {
		t.Errorf("the data ends at LSN %d, want %d", lsn, x.log.LSN())
	}
	if got, want := x.converted("--until-lsn", fmt.Sprint(middle)), x.digests[middle]; got != want {
		t.Errorf("until %d: digest %s, want %s", middle, got, want)
	}
	expect(t, 0, []string{fmt.Sprintf("ends at LSN %d", middle)}, "truncate", x.dir, "--lsn", fmt.Sprint(middle))
	if lsn := x.end(0); lsn != middle {
		t.Errorf("truncated to %d, verify says %d", middle, lsn)
	}
	if got, want := x.converted(), x.digests[middle]; got != want {
		t.Errorf("truncated: digest %s, want %s", got, want)
	}
	last := x.manifest.Last().Number
	if life := x.loads().Begin().Last(); life.Number != last+1 || life.StartLSN != middle {
		t.Errorf("the next life is %d from LSN %d on, want %d from %d", life.Number, life.StartLSN, last+1, middle)
	}
}

// twoLives commits an append-only file in dir: all is in a BASE of four keys, and old files of a life before are left.
func twoLives(t *testing.T, dir string) {
	t.Helper()
	data := smallFile()
	m := &aof.Manifest{
		DirID: 7, Databases: 16, Shards: aofShards, ReplID: strings.Repeat("a", 40),
		Incarnations: []aof.Incarnation{
			{Number: 1, StartLSN: 500, EndLSN: 600, State: aof.Clean},
			{Number: 2, StartLSN: 600, EndLSN: 700, State: aof.Clean},
		},
	}
	old := aof.IncrFiles(aofShards, 1, 1, 500, 0)
	for i := range old {
		old[i].History = true
	}
	base := aof.File{
		Kind: aof.Base, Shard: aof.AllShards, Seq: 2, Incarnation: 2, LSN: 700, SizeBytes: int64(len(data)),
		CRC64: lines.Sum(0, data), Keys: 4,
	}
	m.Add(append(old, base)...)
	fatal(t, os.MkdirAll(dir, 0o700))
	writeFile(t, base.Path(dir, "a.aof"), data)
	fatal(t, m.Commit(vfs.OS{}, dir, "a.aof"))
}

// TestAOFTruncateBehindTheBase: where no life has anything behind the BASE, the BASE stays.
func TestAOFTruncateBehindTheBase(t *testing.T) {
	dir := t.TempDir()
	twoLives(t, dir)
	expect(t, 0, []string{"fine: 4 keys"}, "verify", dir)
	expect(t, 2, []string{"aof-timestamp-enabled", "show", "--lsn"}, "truncate", dir, "--time", "100")
	expect(t, 0, []string{"ends at LSN 700"}, "truncate", dir, "--lsn", "700")
	expect(t, 0, []string{"fine: 4 keys"}, "verify", dir)
}

// busyFS is a directory that a server leaves just before it is locked.
type busyFS struct {
	vfs.FS
	leave func()
}

func (b busyFS) Lock(name string) (io.Closer, error) {
	b.leave()
	return b.FS.Lock(name)
}

// TestAOFTruncateLooksAgain: what is changed is what is there once nobody else can change it.
func TestAOFTruncateLooksAgain(t *testing.T) {
	dir := t.TempDir()
	twoLives(t, dir)
	const databases = 17
	var out bytes.Buffer
	code := Main([]string{"truncate", dir, "--lsn", "700"}, Env{
		Files: busyFS{vfs.OS{}, func() {
			m, err := aof.ReadManifest(vfs.OS{}, dir, "a.aof")
			fatal(t, err)
			m.Databases = databases
			fatal(t, m.Commit(vfs.OS{}, dir, "a.aof"))
		}}, Stdout: &out, Stderr: &out, Clock: clock.NewFake(testNowMs),
	})
	if m, err := aof.ReadManifest(vfs.OS{}, dir, "a.aof"); code != 0 || err != nil || m.Databases != databases {
		t.Errorf("exit code %d, %v, manifest %+v\n%s", code, err, m, &out)
	}
}

// TestAOFComparesTheBase with what the manifest says: an RDB file that is in order in itself, but another one.
func TestAOFComparesTheBase(t *testing.T) {
	dir := t.TempDir()
	twoLives(t, dir)
	path, good := filepath.Join(dir, "a.aof.2.base.all.rdb"), smallFile()
	same := bytes.Clone(good[:len(good)-9])
	same[bytes.Index(same, []byte("val"))] = 'V'
	for _, c := range []struct {
		data []byte
		want string
	}{{(&rawFile{same}).end(), "CRC-64"}, {newRawFile().set("k", "v").end(), "bytes"}, {nil, "missing"}} {
		writeFile(t, path, c.data)
		if c.data == nil {
			fatal(t, os.Remove(path))
		}
		expect(t, 1, []string{c.want, path}, "verify", dir)
		expect(t, 1, []string{c.want, path, "put back from a copy"}, "repair", dir)
		out := filepath.Join(t.TempDir(), "out")
		expect(t, 1, []string{c.want, path}, "convert", dir, out)
		if left, err := filepath.Glob(out + "*"); err != nil || len(left) != 0 {
			t.Errorf("%s: convert leaves %q, %v", c.want, left, err)
		}
	}
}

// TestAOFComparesTheCommands is that for a BASE of commands.
func TestAOFComparesTheCommands(t *testing.T) {
	x := newAOFWorldOf(t, 3, aof.FormatAOF)
	x.close(true)
	path := filepath.Join(x.dir, "a.aof.1.base.all.aof")
	good, err := os.ReadFile(path)
	fatal(t, err)
	expect(t, 0, []string{"3 keys, 3 commands"}, "verify", x.dir)
	for want, data := range map[string][]byte{
		"sum":           bytes.Replace(good, []byte("base1"), []byte("BASE1"), 1),
		"bytes":         append(good[:len(good):len(good)], good...),
		"can't be read": bytes.Replace(good, []byte("$5"), []byte("$4"), 1), "in the middle": good[:len(good)-1],
		"not there": nil,
	} {
		writeFile(t, path, data)
		if data == nil {
			fatal(t, os.Remove(path))
		}
		expect(t, 1, []string{want, path}, "verify", x.dir)
		expect(t, 1, []string{want, path, "put back from a copy"}, "repair", x.dir)
		out := filepath.Join(t.TempDir(), "out")
		expect(t, 1, []string{want, path}, "convert", x.dir, out)
		if left, err := filepath.Glob(out + "*"); err != nil || len(left) != 0 {
			t.Errorf("%s: convert leaves %q, %v", want, left, err)
		}
	}
}

// TestBaseAdvice: what the start advises against a damaged BASE of commands saves what is before the damage.
func TestBaseAdvice(t *testing.T) {
	x := newAOFWorldOf(t, 3, aof.FormatAOF)
	x.close(true)
	path := filepath.Join(x.dir, "a.aof.1.base.all.aof")
	data, err := os.ReadFile(path)
	fatal(t, err)
	writeFile(t, path, bytes.Replace(data, []byte("$5\r\nbase1"), []byte("$4\r\nbase1"), 1))
	err = aof.LoadBase(&aof.LoadOptions{
		FS: vfs.OS{}, Dir: x.dir, Name: "a.aof", Manifest: x.manifest, Applier: countNone{},
	}, &aof.LoadProgress{})
	if err == nil {
		t.Fatal("no error")
	}
	found := regexp.MustCompile("`fulmen-check ([^`]*)`").FindStringSubmatch(err.Error())
	if found == nil {
		t.Fatalf("no advice: %v", err)
	}
	expect(t, 0, []string{"cut off at offset"}, strings.Split(found[1], " ")...)
	expect(t, 0, []string{"1 commands"}, "verify", path)
}

// TestAOFConvertReplacesNothing: neither the new file, nor that of its name while it is written.
func TestAOFConvertReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	twoLives(t, dir)
	for _, suffix := range []string{"", ".converting"} {
		out := filepath.Join(t.TempDir(), "out")
		writeFile(t, out+suffix, []byte("precious"))
		expect(t, 2, []string{"is there already"}, "convert", dir, out)
		if data, err := os.ReadFile(out + suffix); err != nil || string(data) != "precious" {
			t.Errorf("out%s is %q, %v", suffix, data, err)
		}
	}
}

// TestAOFOfDataDirectory: a data directory stands for its append-only file if it has no snapshot, or what is left of
// one.
func TestAOFOfDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*")
	twoLives(t, filepath.Join(dir, "appendonlydir"))
	for _, sub := range []string{"verify", "repair", "show"} {
		expect(t, 0, []string{filepath.Join(dir, "appendonlydir", "a.aof.manifest")}, sub, dir)
	}
	segment := filepath.Join(dir, "dump.rdb.2.0")
	writeFile(t, segment, smallFile())
	expect(t, 1, []string{"1 segments are read without a manifest"}, "repair", dir)
	fatal(t, os.Remove(segment))
	twoLives(t, filepath.Join(dir, "other"))
	expect(t, 2, []string{"which of these?", "appendonlydir", "other"}, "verify", dir)
	writeFile(t, filepath.Join(dir, "dump.rdb"), smallFile())
	if out := expect(t, 0, []string{"fine: 4 keys"}, "verify", dir); strings.Contains(out, "aof") {
		t.Errorf("the snapshot was asked for:\n%s", out)
	}
}

// TestAOFRepairMakesNoOther: what only a snapshot's repair can do is refused.
func TestAOFRepairMakesNoOther(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "appendonly.aof")
	writeFile(t, path, []byte("*"))
	for _, option := range [][]string{{"--out", filepath.Join(dir, "out")}, {"--shards", "3"}} {
		expect(t, 2, []string{"for snapshots"}, append(append([]string{"repair"}, option...), path)...)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "*" {
		t.Errorf("the file has become %q, %v", data, err)
	}
}

// TestAOFOfAnyName: appendfilename may be anything.
func TestAOFOfAnyName(t *testing.T) {
	dir := t.TempDir()
	twoLives(t, filepath.Join(dir, "log"))
	names, err := filepath.Glob(filepath.Join(dir, "log", "a.aof.*"))
	fatal(t, err)
	for _, name := range names {
		fatal(t, os.Rename(name, strings.Replace(name, "a.aof.", "journal.", 1)))
	}
	writeFile(t, filepath.Join(dir, "log", "other.manifest"), []byte("what is this?"))
	for _, where := range []string{dir, filepath.Join(dir, "log"), filepath.Join(dir, "log", "journal.manifest")} {
		expect(t, 0, []string{"journal.manifest"}, "verify", where)
	}
}

// countNone is an aof.Applier.
type countNone struct{}

func (countNone) Apply(_ int, parts [][]byte) (done, n int, err error) {
	return len(parts), len(parts), nil
}

// loads wants a start to accept the file, and returns what it recovers.
func (x *aofWorld) loads() *aof.Recovered {
	x.t.Helper()
	r, err := aof.Recover(&aof.RecoverOptions{FS: vfs.OS{}, Dir: x.dir, Name: "a.aof"})
	fatal(x.t, err)
	fatal(x.t, aof.Load(&aof.LoadOptions{
		FS: vfs.OS{}, Dir: x.dir, Name: "a.aof", Manifest: r.Manifest, Applier: countNone{},
	}, &aof.LoadProgress{}))
	return r
}

func TestAOFRepair(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	x := newAOFWorld(t, 3)
	x.change(rnd, 60)
	x.close(false)
	path := filepath.Join(x.dir, "a.aof.2.incr.1.aof")
	data, err := os.ReadFile(path)
	fatal(t, err)
	whole := []byte(strings.TrimRight(string(data), "\x00"))
	// What was synced says so in the header (its mark); without that a torn end is damage.
	for i := range aofShards {
		name := filepath.Join(x.dir, fmt.Sprintf("a.aof.2.incr.%d.aof", i))
		file, err := os.ReadFile(name)
		fatal(t, err)
		h, err := aof.ReadHeader(strings.NewReader(string(file)), name)
		fatal(t, err)
		h.MarkLSN = 0
		fatal(t, os.WriteFile(name, append(h.Append(nil), file[aof.HeaderBytes:]...), 0o600))
		if i == 1 {
			whole = append(h.Append(nil), whole[aof.HeaderBytes:]...)
		}
	}
	fatal(t, os.WriteFile(path, whole[:len(whole)-5], 0o600))
	torn := x.end(1, "TORN")
	if torn >= x.log.LSN() || x.digests[torn] == "" {
		t.Errorf("torn at LSN %d, which ends no commit", torn)
	}
	if got := x.converted(); got != x.digests[torn] {
		t.Errorf("a torn file: digest %s, want %s", got, x.digests[torn])
	}
	expect(t, 0, []string{"cut off", "repaired"}, "repair", x.dir)
	if lsn := x.end(0); lsn != torn {
		t.Errorf("repaired to LSN %d, want %d", lsn, torn)
	}
	x.loads()
	data, err = os.ReadFile(path)
	fatal(t, err)
	data[len(data)/2] ^= 1
	fatal(t, os.WriteFile(path, data, 0o600))
	expect(t, 1, []string{"DAMAGED"}, "verify", x.dir)
	expect(t, 1, []string{"--fix"}, "repair", x.dir)
	expect(t, 1, []string{"DAMAGED"}, "verify", x.dir)
	expect(t, 0, nil, "repair", x.dir, "--fix")
	if lsn := x.end(0); x.digests[lsn] == "" || lsn >= torn {
		t.Errorf("fixed to LSN %d, which ends no commit", lsn)
	}
	if got, want := x.converted(), x.digests[x.end(0)]; got != want {
		t.Errorf("fixed: digest %s, want %s", got, want)
	}
	x.loads()
}

// TestForeignAOF verifies, repairs and truncates a file of Redis's.
func TestForeignAOF(t *testing.T) {
	const set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
	name := filepath.Join(t.TempDir(), "x.aof")
	put := func(text string) { fatal(t, os.WriteFile(name, []byte(text), 0o600)) }
	size := func(want int) {
		t.Helper()
		if data, err := os.ReadFile(name); err != nil || len(data) != want {
			t.Errorf("%d bytes (%v), want %d", len(data), err, want)
		}
	}
	put("#TS:100\r\n" + set + "*1\r\n$5\r\nMULTI\r\n" + set)
	expect(t, 1, []string{"TORN at offset 36"}, "verify", name)
	expect(t, 0, []string{"cut off at offset 36"}, "repair", name)
	size(36)
	expect(t, 0, []string{"fine"}, "verify", name)
	put(set + "rubbish\r\n" + set)
	expect(t, 1, []string{"--fix"}, "repair", name)
	size(27*2 + 9)
	expect(t, 0, []string{"cut off at offset 27"}, "repair", name, "--fix")
	put("#TS:100\r\n" + set + "#TS:200\r\n" + set)
	expect(t, 0, []string{"cut off at offset 36"}, "truncate", name, "--time", "1970-01-01T00:02:00Z")
	size(36)
	expect(t, 0, []string{"nothing is later"}, "truncate", name, "--time", "150")
	put(set + strings.ReplaceAll(set, "SET", "SEU") + set)
	expect(t, 1, []string{`DAMAGED at offset 27: unknown command "SEU"`}, "verify", name)
	expect(t, 1, []string{"--fix"}, "repair", name)
	expect(t, 0, []string{"cut off at offset 27"}, "repair", name, "--fix")
	expect(t, 0, []string{"fine"}, "verify", name)
	const multi, exec = "*1\r\n$5\r\nMULTI\r\n", "*1\r\n$4\r\nEXEC\r\n"
	put(set + multi + set + "#TS:200\r\n" + set + exec)
	expect(t, 0, []string{"cut off at offset 27"}, "truncate", name, "--time", "150")
	put(set + multi + set)
	expect(t, 1, []string{"DAMAGED at offset 27"}, "truncate", name, "--time", "150")
}

// TestForeignScripts: files of versions of Redis that wrote scripts as such are as good as others.
func TestForeignScripts(t *testing.T) {
	var text []byte
	for _, words := range [][]string{
		{"EVAL", "return redis.call('SET',KEYS[1],1)", "1", "k"}, {"SCRIPT", "LOAD", "return 1"}, {"MULTI"},
		{"EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"}, {"EXEC"}, {"SCRIPT", "FLUSH"},
	} {
		text = resp.AppendCommandStrings(text, words...)
	}
	name := filepath.Join(t.TempDir(), "x.aof")
	fatal(t, os.WriteFile(name, text, 0o600))
	expect(t, 0, []string{"fine", "6 commands, 1 transactions"}, "verify", name)
	expect(t, 0, []string{`"EVAL" "return redis.call('SET',KEYS[1],1)" "1" "k"`, `"EVALSHA"`, `"FLUSH"`}, "show", name)
	expect(t, 0, nil, "repair", name)
}

// TestForeignErrorsAdviseWhatThereIs: what is said to help against damage of Redis's files is a subcommand.
func TestForeignErrorsAdviseWhatThereIs(t *testing.T) {
	advised := 0
	for kind := aof.ForeignManifest; kind <= aof.ForeignExecution; kind++ {
		e := aof.ForeignError{Kind: kind, File: "f"}
		for _, m := range regexp.MustCompile("fulmen-check ([a-z-]+) f").FindAllStringSubmatch(e.Error(), -1) {
			if advised++; find(m[1]) == nil {
				t.Errorf("%v", &e)
			}
		}
	}
	if advised < 2 {
		t.Errorf("%d pieces of advice", advised)
	}
}

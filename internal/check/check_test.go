package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/clock"
	"fulmen/internal/config"
	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/persist/vfs"
	"fulmen/shard"
)

const testNowMs = 1_900_000_000_000

// runCheck runs the command.
func runCheck(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Main(args, Env{Files: vfs.OS{}, Stdout: &out, Stderr: &errs, Clock: clock.NewFake(testNowMs), Version: "1"})
	return code, out.String(), errs.String()
}

// expect runs the command and checks its exit code and that its output has some texts.
func expect(t *testing.T, code int, want []string, args ...string) string {
	t.Helper()
	got, stdout, stderr := runCheck(args...)
	if got != code {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	for _, text := range want {
		if !strings.Contains(stdout+stderr, text) {
			t.Errorf("%q: no %q in\n%.3000s", args, text, stdout+stderr)
		}
	}
	return stdout
}

// oracle is a redis-server that loads a file at its start.
func oracle(t *testing.T, dir, dbfilename string) *redistest.Conn {
	t.Helper()
	o := redistest.StartOracle(t, "--dir", dir, "--dbfilename", dbfilename, "--enable-debug-command", "yes")
	c, err := redistest.Dial(o.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// do sends a command that must not fail.
func do(t *testing.T, c *redistest.Conn, args ...string) string {
	t.Helper()
	v, err := c.Do(args...)
	if err == nil && v.Err() != nil {
		err = v.Err()
	}
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return v.String()
}

// fill makes keys of all types and encodings.
func fill(t *testing.T, c *redistest.Conn) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 1))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return string(b)
	}
	for _, n := range []int{1, 5, 100, 600, 2000} {
		args := map[string][]string{}
		for i := range n {
			for kind, elements := range map[string][]string{
				"rpush list": {word(i % 40)}, "rpush numbers": {fmt.Sprint(rnd.Int64() >> rnd.IntN(64))},
				"sadd set": {word(8)}, "sadd intset": {fmt.Sprint(rnd.Int64() >> rnd.IntN(64))},
				"zadd zset": {fmt.Sprint(rnd.NormFloat64()), word(8)}, "hset hash": {word(6), word(i % 70)},
			} {
				args[kind] = append(args[kind], elements...)
			}
		}
		for kind, elements := range args {
			command, name, _ := strings.Cut(kind, " ")
			do(t, c, append([]string{command, fmt.Sprint(name, ":", n)}, elements...)...)
		}
	}
	for i, n := range []int{0, 1, 20, 44, 45, 63, 64, 1000, 16384, 100_000} {
		do(t, c, "set", fmt.Sprint("string:", i), word(n))
		do(t, c, "set", fmt.Sprint("compresses:", i), strings.Repeat("abc", n))
		do(t, c, "set", fmt.Sprint("expires:", i), "v", "px", fmt.Sprint(1000*(i+1)*100_000))
	}
	do(t, c, "rpush", "list of a long item", word(100_000), "short")
	do(t, c, "hset", "hash of long ones", word(10_000), word(20_000))
	do(t, c, "set", "", "the empty key")
	do(t, c, "select", "7")
	do(t, c, "set", word(20), "in another database")
	do(t, c, "zadd", "scores", "inf", "a", "-inf", "b", "0", "c", "1e300", "d")
	do(t, c, "select", "0")
}

// digest sums up all that a server has.
func digest(t *testing.T, c *redistest.Conn) string { return do(t, c, "debug", "digest") }

// redisDump has a redis-server write a file with keys of all types and returns their digest.
func redisDump(t *testing.T, dir, dbfilename string) string {
	t.Helper()
	c := oracle(t, dir, dbfilename)
	fill(t, c)
	do(t, c, "save")
	return digest(t, c)
}

// TestConvertedFilesAreRedisFiles: whatever way a snapshot has gone through convert, redis-check-rdb and redis-server
// accept it, and the contents are the same.
func TestConvertedFilesAreRedisFiles(t *testing.T) {
	checker := need.Program(t, "redis-check-rdb")
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	want := redisDump(t, dir, "original.rdb")
	expect(t, 0, []string{"fine"}, "verify", "--duplicates", path("original.rdb"))
	for i, steps := range [][][]string{
		{{}},
		{{"--compression", "none", "--no-checksum"}},
		{{"--shards", "8"}, {}},
		{{"--shards", "5", "--compression", "lzf"}, {"--shards", "3", "--compression", "none"}, {}},
		{{"--compression", "lz4"}, {}},
	} {
		from := path("original.rdb")
		for j, step := range steps {
			to := path(fmt.Sprintf("%d.%d.rdb", i, j))
			expect(t, 0, []string{"keys written"}, append([]string{"convert", from, to}, step...)...)
			if len(step) > 0 && step[0] == "--shards" {
				to += ".manifest"
			}
			expect(t, 0, []string{"fine"}, "verify", to)
			from = to
		}
		if out, err := exec.Command(checker, from).CombinedOutput(); err != nil {
			t.Fatalf("%q: redis-check-rdb: %v\n%s", steps, err, out)
		}
		c := oracle(t, dir, filepath.Base(from))
		if got := digest(t, c); got != want {
			t.Errorf("%q: digest %s, want %s", steps, got, want)
		}
	}
}

// TestConvertKeepsOldFiles: nothing that is there is replaced.
func TestConvertKeepsOldFiles(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.rdb"), filepath.Join(dir, "to.rdb")
	writeFile(t, from, smallFile())
	writeFile(t, to, []byte("mine"))
	expect(t, 2, []string{"is there already"}, "convert", from, to)
	expect(t, 2, []string{"is there already"}, "convert", "--shards", "2", from, to)
	expect(t, 2, []string{"is there already"}, "convert", from, from)
	if data, err := os.ReadFile(to); err != nil || string(data) != "mine" {
		t.Errorf("%q, %v", data, err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 2 {
		t.Errorf("files %q", left)
	}
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestShow: what is listed and printed.
func TestShow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.rdb")
	writeFile(t, path, smallFile())
	expect(t, 0, []string{
		"RDB version 10", `aux redis-ver = "7.0.15"`, `db0 "k": string`, `db0 "hash": hash`,
		`db0 "list": list`, `db3 "expiring": string, `, "expires at 2033-05-18 03:33:20.000 UTC (2000000000000)",
	}, "show", path)
	expect(t, 0, []string{`1) "f" "v"`}, "show", "--key", "hash", path)
	expect(t, 0, []string{"1) \"one\"\n2) \"2\"\n"}, "show", path, "--db=0", "--key=list")
	expect(t, 2, []string{`no key "nobody"`}, "show", "--key", "nobody", path)
	if out := expect(t, 0, nil, "show", "--match", "*a*", path); strings.Contains(out, `"k"`) {
		t.Errorf("a key that doesn't match:\n%s", out)
	}
	if out := expect(t, 0, nil, "show", "--limit", "1", path); strings.Contains(out, `db3`) {
		t.Errorf("more than one key:\n%s", out)
	}
}

// TestAnalyse: figures of a file whose content is known, as text and as JSON.
func TestAnalyse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.rdb")
	writeFile(t, path, smallFile())
	expect(t, 0, []string{"4 keys", "hash/listpack", "30 days and more", "The biggest keys:"}, "analyse", path,
		"--prefix", ":")
	var a analysis
	if err := json.Unmarshal([]byte(expect(t, 0, nil, "analyse", "--json", "--top", "2", path)), &a); err != nil {
		t.Fatal(err)
	}
	if a.Keys != 4 || len(a.Databases) != 2 || len(a.Types) != 3 || len(a.Biggest) != 2 || a.MemoryBytes <= 0 {
		t.Errorf("%+v", a)
	}
	for _, g := range a.Types {
		if want := map[string][2]int64{"string": {2, 5}, "hash": {1, 1}, "list": {1, 2}}[g.Name]; g.Keys != want[0] ||
			g.Elements != want[1] {
			t.Errorf("%+v, want %v", g, want)
		}
	}
	if db := a.Databases[1]; db.DB != 3 || db.Expires != 1 || db.Expired != 0 {
		t.Errorf("%+v", db)
	}
}

func TestWrongCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.rdb")
	writeFile(t, path, smallFile())
	for _, args := range [][]string{
		{}, {"nonsense"}, {"verify"}, {"verify", "--nonsense", path}, {"verify", "--quiet=yes", path},
		{"show", "--db", "x", path}, {"show", path, "--limit"}, {"convert", path}, {"repair"},
		{"convert", path, path + ".new", "--compression", "zip"}, {"convert", path, path + ".new", "--shards", "0"},
		{"verify", path + ".missing"}, {"verify", filepath.Dir(path), "--dbfilename", "other.rdb"},
	} {
		if code, _, stderr := runCheck(args...); code != 2 || stderr == "" {
			t.Errorf("%q: exit code %d, %q", args, code, stderr)
		}
	}
	for _, args := range [][]string{{"--help"}, {"help"}, {"help", "verify"}, {"show", "-h"}, {"--version"}, {"-h"}} {
		if code, stdout, _ := runCheck(args...); code != 0 || stdout == "" {
			t.Errorf("%q: exit code %d, %q", args, code, stdout)
		}
	}
	for _, sub := range subcommands() {
		if out := expect(t, 0, []string{sub.summary}, sub.name, "--help"); !strings.Contains(out, "--quiet") {
			t.Errorf("%s --help:\n%s", sub.name, out)
		}
	}
}

// TestDefaultLimits: values are built as a server with the standard configuration has them.
func TestDefaultLimits(t *testing.T) {
	v := config.New(config.Env{Cwd: "/", CPUs: 1}).Values()
	want := shard.BuildLimits{
		ListFill: v.ListMaxListpackSize, HashEntries: v.HashMaxListpackEntries,
		HashValueBytes: v.HashMaxListpackValueBytes,
		ZSet:           shard.ZSetLimits{Entries: v.ZSetMaxListpackEntries, ValueBytes: v.ZSetMaxListpackValueBytes},
		Sets: shard.SetLimits{
			IntsetEntries: v.SetMaxIntsetEntries, ListpackEntries: v.SetMaxListpackEntries,
			ListpackValue: v.SetMaxListpackValue,
		},
		Stream: shard.StreamLimits{NodeBytes: v.StreamNodeMaxBytes, NodeEntries: v.StreamNodeMaxEntries},
	}
	if got := defaultLimits(); got != want {
		t.Errorf("limits %+v, a server has %+v", got, want)
	}
}

package aof

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/crc"
	"fulmen/internal/need"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/log"
	"fulmen/persist/rdb"
	"fulmen/persist/vfs"
)

// toRedis is an Applier, and a loader of RDB files, that has a redis-server execute what is loaded.
type toRedis struct {
	t    testing.TB
	conn *redistest.Conn
	db   int
}

func (a *toRedis) in(db int) {
	if a.db != db {
		a.do("SELECT", strconv.Itoa(db))
		a.db = db
	}
}

func (a *toRedis) do(args ...string) resp.Value {
	v, err := a.conn.Do(args...)
	must(a.t, err)
	if err := v.Err(); err != nil {
		a.t.Fatalf("%.80q: %v", args, err)
	}
	return v
}

// Apply implements Applier.
func (a *toRedis) Apply(_ int, parts [][]byte) (done, n int, err error) {
	for _, part := range parts {
		db := 0
		err = errors.Join(err, log.ForEachIn(part, func(args [][]byte) error {
			var words []string
			for _, arg := range args {
				words = append(words, string(arg))
			}
			if strings.EqualFold(words[0], "select") {
				db, err = strconv.Atoi(words[1])
				return err
			}
			n++
			a.in(db)
			a.do(words...)
			return nil
		}))
	}
	return len(parts), n, err
}

// rdb loads an RDB file that others may follow.
func (a *toRedis) rdb(name string) (int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	r := rdb.NewReaderOptions(file, rdb.ReadOptions{File: name, Embedded: true})
	for {
		ev, err := r.Next()
		if err == io.EOF {
			return r.Offset(), nil
		}
		if err != nil {
			return 0, err
		}
		if ev.Kind != rdb.EventKey {
			continue
		}
		key, db, at := string(ev.Key), ev.DB, ev.ExpireAtMs
		payload, err := r.Raw([]byte{ev.Type})
		if err != nil {
			return 0, err
		}
		payload = binary.LittleEndian.AppendUint16(payload, rdb.Version7)
		payload = binary.LittleEndian.AppendUint64(payload, crc.Update64(0, payload))
		a.in(db)
		a.do("RESTORE", key, strconv.FormatInt(at, 10), string(payload), "ABSTTL")
	}
}

// writeRandomly has a server execute random writes of all types, in several databases, with transactions.
func writeRandomly(t *testing.T, conn *redistest.Conn, rnd *rand.Rand, n int) {
	a := &toRedis{t: t, conn: conn}
	multi := false
	for range n {
		key := fmt.Sprint("k", rnd.IntN(9))
		value := strings.Repeat(fmt.Sprint(rnd.IntN(1000), "\r\n*#$"), 1+rnd.IntN(20))
		commands := [][]string{
			{"SET", "s" + key, value}, {"SET", "s" + key, "1", "EX", "10000"}, {"INCRBYFLOAT", "f" + key, "1.5"},
			{"APPEND", "s" + key, "x"}, {"RPUSH", "l" + key, value, "7"}, {"LPOP", "l" + key},
			{"SADD", "i" + key, "1", "7"},
			{"SADD", "m" + key, value}, {"SPOP", "m" + key}, {"ZADD", "z" + key, "1.5", value, "-inf", "b"},
			{"ZREMRANGEBYRANK", "z" + key, "0", "0"},
			{"HSET", "h" + key, "a", value, value, "b"}, {"HDEL", "h" + key, "a"},
			{"PEXPIRE", "s" + key, "9999999"}, {"DEL", "z" + key}, {"SETRANGE", "r" + key, "9", "abc"},
			{"PFADD", "p" + key, value}, {"GETEX", "s" + key, "PERSIST"},
		}
		a.do(commands[rnd.IntN(len(commands))]...)
		switch rnd.IntN(8) {
		case 0:
			if !multi {
				a.do("MULTI")
			} else {
				a.do("EXEC")
			}
			multi = !multi
		case 1:
			a.do("SELECT", fmt.Sprint(rnd.IntN(4)*5))
		}
	}
	if multi {
		a.do("EXEC")
	}
}

func dial(t *testing.T, args ...string) (*redistest.Oracle, *redistest.Conn) {
	o := redistest.StartOracle(t, append(args, "--enable-debug-command", "yes")...)
	conn, err := redistest.Dial(o.Addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return o, conn
}

func digest(t *testing.T, conn *redistest.Conn) string {
	v, err := conn.Do("DEBUG", "DIGEST")
	must(t, err)
	return v.String()
}

// TestForeignRedis loads what a redis-server has written: many files after a rewrite, BASE with and without RDB, and
// single files as versions before 7 have them.
func TestForeignRedis(t *testing.T) {
	for seed, preamble := range []string{"yes", "no", "yes", "no"} { // the latter two in a single file
		rnd := rand.New(rand.NewPCG(uint64(seed), 7))
		o, conn := dial(t, "--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes",
			"--auto-aof-rewrite-percentage", "0", "--appendfsync", "no")
		writeRandomly(t, conn, rnd, 300)
		(&toRedis{t: t, conn: conn}).do("BGREWRITEAOF")
		writeRandomly(t, conn, rnd, 300)
		for rewriting := true; rewriting; {
			v, err := conn.Do("INFO", "persistence")
			must(t, err)
			rewriting = !strings.Contains(v.String(), "aof_rewrite_in_progress:0") ||
				!strings.Contains(v.String(), "aof_rewrite_scheduled:0")
		}
		writeRandomly(t, conn, rnd, 100)
		want := digest(t, conn)
		dir := o.Dir
		if seed >= 2 {
			dir = joined(t, dir)
		}
		f, err := FindForeign(vfs.OS{}, dir, "appendonlydir", "appendonly.aof")
		must(t, err)
		if f == nil || (f.Manifest == "") != (seed >= 2) {
			t.Fatalf("found %+v", f)
		}
		_, target := dial(t)
		a := &toRedis{t: t, conn: target}
		var p LoadProgress
		r, err := LoadForeign(f, &ForeignOptions{FS: vfs.OS{}, LoadRDB: a.rdb, Applier: a, Databases: 16}, &p)
		must(t, err)
		if got := digest(t, target); got != want || r.Failed > 0 || r.Cut != nil || seed%2 == 1 && r.TimestampSec == 0 {
			t.Errorf("preamble %s: digest %s, want %s; %+v", preamble, got, want, r)
		}
	}
}

// joined makes a single file of the files of a directory.
func joined(t *testing.T, dir string) string {
	f, err := FindForeign(vfs.OS{}, dir, "appendonlydir", "appendonly.aof")
	must(t, err)
	var all []byte
	for i := range f.Files {
		data, err := os.ReadFile(f.Files[i].Path)
		must(t, err)
		all = append(all, data...)
	}
	dir = t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "appendonly.aof"), all, 0o600))
	return dir
}

// startsWith has redis-server load a single file, and returns how many keys there are in databases 0 and 3; "refused"
// if it doesn't start.
func startsWith(t *testing.T, binary string, data []byte, truncated string) string {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "appendonly.aof"), data, 0o600))
	socket := filepath.Join(dir, "s")
	c := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--dir", dir, "--appendonly", "yes",
		"--save", "", "--aof-load-truncated", truncated)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait() // killed
	}()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			sizes := ""
			for _, db := range []string{"0", "3"} {
				n, err := exec.Command("redis-cli", "-s", socket, "-n", db, "dbsize").Output()
				must(t, err)
				sizes += strings.TrimSpace(string(n)) + " "
			}
			return sizes
		}
	}
	return "refused"
}

// TestForeignTruncations loads a file cut off at every byte, and damaged in some places, and compares with redis-server
// whether that loads and what of it.
func TestForeignTruncations(t *testing.T) {
	binary := need.Program(t, "redis-server")
	var whole []byte
	for _, words := range []string{"SET a 1", "#", "MULTI", "SELECT 3", "SET b 2", "EXEC", "DEL a"} {
		if words == "#" {
			whole = append(whole, "#TS:1700000000\r\n"...)
			continue
		}
		whole = resp.AppendCommandStrings(whole, strings.Fields(words)...)
	}
	for n := 1; n <= len(whole); n += raceShare {
		for _, truncated := range []string{"yes", "no"} {
			if truncated == "no" && n%9 != 0 {
				continue
			}
			compareStart(t, binary, whole[:n], truncated)
		}
	}
	for _, text := range []string{
		"x", "REDIS0010", "*0\r\n", "*1\r\n#\r\n", "*1\r\n$4\r\nPING\r\nx", "*1\r\n$4\r\nNONE\r\n",
	} {
		compareStart(t, binary, []byte(text), "yes")
	}
}

func compareStart(t *testing.T, binary string, data []byte, truncated string) {
	want := startsWith(t, binary, data, truncated)
	got, _, err := loadText(data, truncated == "yes")
	if got != want {
		t.Errorf("%q, truncated %s: keys %s (%v), redis-server has %s", data, truncated, got, err, want)
	}
}

// keySet is an Applier that knows SET and DEL.
type keySet map[string]bool

// Apply implements Applier.
func (k keySet) Apply(_ int, parts [][]byte) (done, n int, err error) {
	for i, part := range parts {
		if err := k.do(part); err != nil {
			return i, i, err
		}
	}
	return len(parts), len(parts), nil
}

func (k keySet) do(part []byte) error {
	db := "0"
	return log.ForEachIn(part, func(args [][]byte) error {
		switch string(args[0]) {
		case "SELECT":
			db = string(args[1])
		case "SET":
			k[db+string(args[1])] = true
		case "DEL":
			delete(k, db+string(args[1]))
		}
		return nil
	})
}

func (k keySet) size(db byte) (n int) {
	for key := range k {
		if key[0] == db {
			n++
		}
	}
	return n
}

// loadText loads a file and returns how many keys databases 0 and 3 have, and how many of its bytes are taken.
func loadText(data []byte, truncated bool) (string, int64, error) {
	dir, err := os.MkdirTemp("", "foreign")
	if err != nil {
		return "", -1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "a.aof"), data, 0o600); err != nil {
		return "", -1, err
	}
	f, err := FindForeign(vfs.OS{}, dir, "d", "a.aof")
	if err != nil {
		return "", -1, err
	}
	var p LoadProgress
	keys := keySet{}
	ahead := len(data)%2 == 0
	r, err := LoadForeign(f, &ForeignOptions{
		FS: vfs.OS{}, Databases: 16, Truncated: truncated, Applier: keys, ahead: &ahead,
		LoadRDB: func(string) (int64, error) { return 0, errors.New("no RDB here") },
		Known:   func(name []byte) bool { return string(name) != "NONE" },
	}, &p)
	size := int64(len(data))
	if r.Cut != nil {
		size = r.Cut.Offset
	}
	if err != nil {
		return "refused", -1, err
	}
	return fmt.Sprintf("%d %d ", keys.size('0'), keys.size('3')), size, nil
}

// FuzzForeign has any bytes loaded.
func FuzzForeign(f *testing.F) {
	f.Add([]byte("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n#TS:1\r\n*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n"))
	f.Add([]byte("*1\r\n$99999999999\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, n, err := loadText(data, true)
		if (err != nil) != (n < 0) || n > int64(len(data)) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// FuzzForeignManifest has any bytes read as Redis's manifest.
func FuzzForeignManifest(f *testing.F) {
	f.Add([]byte("file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"))
	f.Add([]byte("file . seq 1 type b\nfile .. seq 1 type i\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := ParseForeignManifest("d/m", data)
		if err == nil && len(files) > len(data)/18 {
			t.Errorf("%d files in %d bytes", len(files), len(data))
		}
		for _, file := range files {
			if filepath.Dir(file.Path) != "d" {
				t.Errorf("%q is somewhere else", file.Path)
			}
		}
	})
}

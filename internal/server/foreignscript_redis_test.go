package server

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/vfs"
)

// scriptFile makes append-only files as versions of Redis had them that wrote scripts as such.
type scriptFile struct {
	rnd     *rand.Rand
	text    []byte
	sources []string
}

func (f *scriptFile) add(args ...string) { f.text = resp.AppendCommandStrings(f.text, args...) }

func (f *scriptFile) pick(words ...string) string { return words[f.rnd.IntN(len(words))] }

// statements are what scripts of a file do.
var statements = []string{
	"redis.call('INCRBY',KEYS[1],ARGV[1])",
	"redis.call('RPUSH',KEYS[2],ARGV[1],n)",
	"for i = 1, ARGV[1] do n = n + i redis.call('ZADD','z',n,i) end",
	"redis.call('HSET','h'..ARGV[1],'n',n,KEYS[1],cjson.encode(ARGV))",
	"redis.call('SET',KEYS[1],'x','EX',100000)",
	"redis.call('SELECT',ARGV[2]) redis.call('INCR','selected')",
	"redis.pcall('INCR',KEYS[2])",
	"redis.call('INCR',KEYS[2])",
	"redis.call('DEL',KEYS[1],KEYS[2])",
	"redis.call('SET','r'..ARGV[1],math.random(1000))",
	"redis.call('SADD','s',redis.sha1hex(n))",
	"if redis.call('EXISTS','gone') == 1 then redis.call('INCR','found') end",
	"redis.call('XADD','stream','1-'..(redis.call('XLEN','stream') + 1),'f',ARGV[1])",
	"if n > 20 then error('enough') end",
	"redis.call('NONE')",
	"redis.call('PUBLISH','c',redis.call('TIME')[1])",
	"redis.call('EXPIREAT',KEYS[1],'40000000000')",
	"redis.setresp(3) redis.replicate_commands() redis.set_repl(redis.REPL_NONE)",
	"redis.call('SET','pinged',redis.call('PING','pong')..redis.call('ECHO','echo'))",
	"do return redis.error_reply('MY own') end",
	"do return redis.status_reply('FINE') end",
	"do return {1,'two',{3}} end",
}

// source makes a script, or finds one that was there.
func (f *scriptFile) source() string {
	if len(f.sources) > 5 && f.rnd.IntN(3) > 0 {
		return f.sources[f.rnd.IntN(len(f.sources))]
	}
	source := f.pick("", "", "", "#!lua\n", "#!lua flags=no-writes\n") + "local n = 0\n"
	for range 1 + f.rnd.IntN(4) {
		source += statements[f.rnd.IntN(len(statements))] + "\n"
	}
	if f.rnd.IntN(30) == 0 {
		source += "syntax error ("
	}
	f.sources = append(f.sources, source)
	return source
}

func shaOf(source string) string {
	sum := sha1.Sum([]byte(source))
	return hex.EncodeToString(sum[:])
}

// step adds a record of any kind.
func (f *scriptFile) step() {
	rest := []string{
		"2", f.pick("a", "b", "c", "l"), f.pick("l", "m", "b"), fmt.Sprint(f.rnd.IntN(9)), fmt.Sprint(f.rnd.IntN(3)),
	}
	call := func(words ...string) { f.add(append(words, rest...)...) }
	switch f.rnd.IntN(16) {
	case 0, 1, 2, 3, 4, 5:
		call(f.pick("EVAL", "eval"), f.source())
	case 6, 7, 8:
		call("EVALSHA", shaOf(f.source()))
	case 9:
		f.add("SCRIPT", "LOAD", f.source())
	case 10:
		f.add("SELECT", fmt.Sprint(f.rnd.IntN(3)))
	case 11:
		f.add("INCR", rest[1])
	case 12:
		if f.rnd.IntN(8) == 0 {
			f.add("SCRIPT", "FLUSH")
		}
		call(f.pick("EVAL_RO", "EVALSHA_RO"), f.source())
	case 13:
		f.add("FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nredis.register_function('f', function(KEYS, ARGV) "+
			"local n = 7 "+f.pick(statements...)+" end)")
	case 14:
		call(f.pick("FCALL", "FCALL", "FCALL_RO"), "f")
	case 15:
		f.add("RPUSH", rest[2], rest[3])
	}
}

// newScriptFile makes a file. Before a redis-server has executed a transaction it crashes at a command that fails in a
// script, so one comes first. Keys whose time has passed are there while it is loaded, and are removed in the end.
func newScriptFile(seed uint64) *scriptFile {
	f := &scriptFile{rnd: rand.New(rand.NewPCG(seed, 9))}
	f.add("MULTI")
	f.add("SET", "gone", "1")
	f.add("PEXPIREAT", "gone", "1000000000000")
	f.add("EXEC")
	for range 400 {
		if f.rnd.IntN(12) > 0 {
			f.step()
			continue
		}
		f.add("MULTI")
		for range 1 + f.rnd.IntN(4) {
			f.step()
		}
		f.add("EXEC")
	}
	f.add("SELECT", "0")
	f.add("DEL", "gone")
	return f
}

// TestForeignScripts loads random files with scripts, and compares what is there then with redis-server.
func TestForeignScripts(t *testing.T) {
	for seed := range uint64(8) {
		f := newScriptFile(seed)
		write := func() (dir string) {
			dir = t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "appendonly.aof"), f.text, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}
		o := redistest.StartOracle(t, "--dir", write(), "--appendonly", "yes", "--enable-debug-command", "yes")
		c, err := redistest.Dial(o.Addr)
		if err != nil {
			t.Fatal(err)
		}
		do := func(args ...string) resp.Value {
			v, err := c.Do(args...)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		srv := newIdleServer(t, 1+int(seed%3))
		file, err := aof.OpenForeign(vfs.OS{}, filepath.Join(write(), "appendonly.aof"))
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.loadForeign(file, false, srv.set.Seize(), &aof.LoadProgress{}); err != nil {
			t.Fatal(err)
		}
		if got, want := srv.digest(0), do("DEBUG", "DIGEST").String(); !strings.Contains(want, got) {
			t.Errorf("seed %d: digest %s, want %s", seed, got, want)
		}
		for _, source := range f.sources {
			want := do("SCRIPT", "EXISTS", shaOf(source)).Elems[0].Int == 1
			if got := srv.scripts.find(shaOf(source)) != nil; got != want {
				t.Errorf("seed %d: %q is in the cache: %v, want %v", seed, source, got, want)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := srv.space.Close(); err != nil {
			t.Error(err)
		}
	}
}

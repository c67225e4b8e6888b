package rdb

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/shard/object"
)

// golden is a file: the server's parameters and the commands that make its content.
type golden struct {
	name     string
	args     []string
	commands []string // split at blanks; words as x*500 are that often the first part
	since    string   // the first version of the server that has the commands
}

// expireAt is an expiry that no test lives to see.
const expireAt = "4000000000123"

const library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"

var goldens = []golden{
	{name: "strings", commands: []string{
		"set 0:text value", "set 0:empty %e", "set 0:0 0", "set 0:int8 -128", "set 0:int16 -129",
		"set 0:int32 2147483647",
		"set 0:int33 2147483648", "set 0:int64 -9223372036854775808", "set 0:zeros 007",
		"set 0:20 xxxxxxxxxxxxxxxxxxxx",
		"set 0:63 ab*31", "set 0:lzf abcdefgh*60", "set 0:long x*5000", "set 0:binary %00%ff%0d%0a",
		"set 0:px v pxat " + expireAt, "setbit 0:bits 300 1", "pfadd 0:hll a b c",
	}},
	{name: "collections", commands: []string{
		"rpush 18:list a b 1 -1 127 128 4095 4096 -4097 32767 32768",
		"rpush 18:list 8388607 8388608 2147483647 2147483648 x*63 x*64 xy*2050",
		"rpush 18:nodes ab*2000 ab*2001 ab*2002 c", "rpush 18:expires a", "pexpireat 18:expires " + expireAt,
		"sadd 11:int16 1 2 3 -32768", "sadd 11:int32 1 2 65536", "sadd 11:int64 1 4294967296",
		"sadd 2:text a b 1 2 -3 x*80",
		"sadd 2:long a x*100", "sadd 2:ints 1", "config set set-max-intset-entries 4",
		"sadd 2:ints 2 3 4 5 9223372036854775807",
		"zadd 17:zset 1 a 2.5 b -inf c inf d 1e300 e -0.1 f 3 7", "zadd 5:long 1.5 x*100 -inf b inf c 0.1 d 5e-324 e",
		"hset 16:hash f v 1 2 g -100000", "hset 4:long f x*100 1 2 h abc*50", "select 9", "hset 16:other f v",
	}},
	{name: "plainnodes", args: []string{"--enable-debug-command", "yes"}, commands: []string{
		"debug quicklist-packed-threshold 50b", "rpush 18:plain a abcdef*20 b 5 uvwxyz*30",
	}},
	{name: "streams", commands: []string{
		"xadd %t:plain 1-1 f v", "xadd %t:groups 1-1 f v g w", "xadd %t:groups 5-0 f v", "xadd %t:groups 9-9 h i",
		"xdel %t:groups 5-0", "xgroup create %t:groups g1 0", "xgroup create %t:groups g2 9-9",
		"xreadgroup group g1 alice count 1 streams %t:groups >", "xreadgroup group g1 bob streams %t:groups >",
		"xgroup createconsumer %t:groups g2 carol", "xdel %t:groups 9-9",
		"xadd %t:empty 1-1 f v", "xdel %t:empty 1-1", "xgroup create %t:empty %00g 0 entriesread 7",
		"xadd %t:numbers 5-18446744073709551615 1 -1 127 128 4095 4096 -4097 32768 x*63 8388608 x*64 2147483648",
		"xadd %t:numbers 18446744073709551614-0 1 5000000000 a x*100",
		"xadd %t:numbers 18446744073709551614-200 1 5 127 6 4095 7 x*63 8 x*64 9", "set 0:after v",
	}},
	{name: "functions", commands: []string{"function load %l", "set 0:after v", "script load return", "select 3",
		"set 0:3 v"}},
	{name: "lfu", args: []string{"--maxmemory-policy", "allkeys-lfu", "--maxmemory", "1gb"},
		commands: []string{"set 0:new v", "set 0:old v pxat " + expireAt}},
	{name: "lru", args: []string{"--maxmemory-policy", "allkeys-lru", "--maxmemory", "1gb"},
		commands: []string{"set 0:new v", "hset 16:h f v"}},
	{name: "nochecksum", args: []string{"--rdbchecksum", "no", "--rdbcompression", "no"},
		commands: []string{"set 0:text abcdefgh*60", "rpush 18:list a*30 b"}},
	{name: "setlistpacks", since: "7.2", commands: []string{"sadd 20:set a b 1 -5 x*60", "sadd 2:big x*65 a"}},
	{name: "fieldexpiry", since: "7.4", commands: []string{
		"hset 25:some a 1 b 2 c 3", "hpexpireat 25:some " + expireAt + " fields 1 b", "hset 25:all a 1 b 2",
		"hpexpireat 25:all " + expireAt + " fields 2 a b", "hpexpireat 25:all 4000000000000 fields 1 b",
		"hset 24:some a x*100 b 2 c 3", "hpexpireat 24:some " + expireAt + " fields 2 a c",
		"hpexpireat 24:some 4000000099999 fields 1 b",
		"hset 24:one a x*100 b 2 c 3", "hpexpireat 24:one " + expireAt + " fields 1 a", "pexpireat 24:one " + expireAt,
		"hset 25:never a 1 b 2", "hpexpireat 25:never " + expireAt + " fields 1 b", "hpersist 25:never fields 1 b",
		"hset 4:never a x*100 b 2", "hpexpireat 4:never " + expireAt + " fields 1 b", "hpersist 4:never fields 1 b",
	}},
	{name: "cluster", since: "7.4", args: []string{"--cluster-enabled", "yes"},
		commands: []string{"cluster addslotsrange 0 16383", "%wait cluster", "set 0:a v", "set 0:b v pxat " +
			expireAt, "set 0:c v"}},
}

// rewriteGolden writes the golden files anew from the redis-server on PATH, if the test has the flag -rewrite. Those of
// other versions stay.
func rewriteGolden(t *testing.T) {
	if flag.Lookup("rewrite").Value.String() != "true" {
		return
	}
	for _, g := range goldens {
		writeGolden(t, g)
	}
}

func writeGolden(t *testing.T, g golden) {
	oracle := redistest.StartOracle(t, g.args...)
	conn, err := redistest.Dial(oracle.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := goldenServer{t: t, conn: conn}
	_, info, _ := strings.Cut(string(s.do("info", "server").Str), "redis_version:")
	full, _, _ := strings.Cut(info, "\r\n")
	version := full[:strings.LastIndexByte(full, '.')]
	if g.since > version {
		return
	}
	for _, command := range g.commands {
		s.run(command, version)
	}
	var lines, dumps []string
	if strings.Contains(strings.Join(g.commands, " "), "%l") {
		lines = append(lines, describe(Event{Kind: EventFunction, Code: []byte(library)}))
	}
	for db := range 16 {
		if v := s.do("select", strconv.Itoa(db)); v.Err() != nil {
			break // a cluster has one
		}
		for _, key := range s.do("keys", "*").Elems {
			dumps = append(dumps, fmt.Sprintf("%q %q", key.Str, s.do("dump", string(key.Str)).Str))
			lines = append(lines, s.line(db, string(key.Str), g.name))
		}
	}
	if v := s.do("save"); v.Err() != nil {
		t.Fatal(v.Err())
	}
	dir := filepath.Join("testdata", "redis-"+version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	slices.Sort(dumps)
	writeFile(t, filepath.Join(dir, g.name+".rdb"), readFile(t, filepath.Join(oracle.Dir, "dump.rdb")))
	writeFile(t, filepath.Join(dir, g.name+".txt"), []byte(strings.Join(lines, "\n")+"\n"))
	writeFile(t, filepath.Join(dir, g.name+".dump"), []byte(strings.Join(dumps, "\n")+"\n"))
}

func writeFile(t *testing.T, path string, b []byte) {
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// goldenServer is a real server that makes a file.
type goldenServer struct {
	t    *testing.T
	conn *redistest.Conn
}

func (s *goldenServer) do(args ...string) resp.Value {
	v, err := s.conn.Do(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// run sends a command of a golden.
func (s *goldenServer) run(command, version string) {
	if command == "%wait cluster" {
		for !strings.Contains(string(s.do("cluster", "info").Str), "cluster_state:ok") {
		}
		return
	}
	streamType := "19"
	if version >= "7.2" {
		streamType = "21"
	}
	args := strings.Fields(command)
	for i, arg := range args {
		if word, times, ok := strings.Cut(arg, "*"); ok {
			n, err := strconv.Atoi(times)
			if err != nil {
				s.t.Fatal(err)
			}
			arg = strings.Repeat(word, n)
		}
		args[i] = strings.NewReplacer("%e", "", "%l", library, "%t", streamType, "%00", "\x00", "%ff", "\xFF",
			"%0d", "\r",
			"%0a", "\n").Replace(arg)
	}
	if v := s.do(args...); v.Err() != nil {
		s.t.Fatalf("%s: %v", command, v.Err())
	}
}

// line is a key as describe and recorder.text put it.
func (s *goldenServer) line(db int, key, name string) string {
	e := Event{Kind: EventKey, DB: db, Key: []byte(key), IdleSeconds: -1, Freq: -1}
	n, _, _ := strings.Cut(key, ":")
	rdbType, err := strconv.Atoi(n)
	if err != nil {
		s.t.Fatal(err)
	}
	e.Type = byte(rdbType)
	e.ExpireAtMs = max(s.do("pexpiretime", key).Int, 0)
	valueType, ok := TypeOf(e.Type)
	if !ok || string(s.do("type", key).Str) != valueType.String() {
		s.t.Fatalf("%s is a %s", key, s.do("type", key).Str)
	}
	value := s.value(key, Form{Type: valueType, RDBType: e.Type})
	switch name { // last: all other commands use the key
	case "lfu":
		e.Freq = int(s.do("object", "freq", key).Int)
	case "lru":
		e.IdleSeconds = s.do("object", "idletime", key).Int
	}
	return describe(e) + value
}

// value is a key's value as recorder.text puts it.
func (s *goldenServer) value(key string, form Form) string {
	b := recorder{t: s.t}
	err := b.Begin(form)
	switch form.Type {
	case object.String:
		err = b.String(s.do("get", key).Str)
	case object.List:
		for _, v := range s.do("lrange", key, "0", "-1").Elems {
			err = b.Item(v.Str)
		}
	case object.Set:
		for _, v := range s.do("smembers", key).Elems {
			err = b.Member(v.Str)
		}
	case object.ZSet:
		elems := s.do("zrange", key, "0", "-1", "withscores").Elems
		for i := 0; i < len(elems) && err == nil; i += 2 {
			score, parseErr := strconv.ParseFloat(string(elems[i+1].Str), 64)
			if parseErr != nil {
				s.t.Fatal(parseErr)
			}
			err = b.Scored(elems[i].Str, score+0) // -0 depends on the encoding
		}
	case object.Stream:
		s.stream(key, &b)
	case object.Hash:
		elems := s.do("hgetall", key).Elems
		for i := 0; i < len(elems) && err == nil; i += 2 {
			var at int64
			if form.RDBType >= TypeHashMetadata {
				at = max(s.do("hpexpiretime", key, "fields", "1", string(elems[i].Str)).Elems[0].Int, 0)
			}
			err = b.Field(elems[i].Str, elems[i+1].Str, at)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return b.text()
}

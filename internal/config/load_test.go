package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestDefaultValues(t *testing.T) {
	v := New(testEnv(t)).Values()
	got := []any{v.Port, strings.Join(v.Bind, "|"), v.ProtectedMode, v.MaxClients, v.Databases, v.Hz, v.Dir, v.LogLevel,
		v.Shards, v.EventLoops, v.ProtoMaxBulkLenBytes, v.OutputLimits[ClassPubSub], v.TCPKeepaliveSeconds, v.HTTPPort}
	want := []any{6379, "*|-::*", true, 10000, 16, 10, "/srv", LogNotice,
		8, 3, int64(512 << 20), OutputLimit{32 << 20, 8 << 20, 60}, 300, 0}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	env := testEnv(t)
	for _, w := range []struct{ cpus, shards, loops int }{
		{1, 1, 1}, {2, 2, 1}, {3, 8, 2}, {16, 16, 15}, {300, 256, 128},
	} {
		env.CPUs = w.cpus
		if v := New(env).Values(); v.Shards != w.shards || v.EventLoops != w.loops {
			t.Errorf("%d processors: %d shards, %d event loops", w.cpus, v.Shards, v.EventLoops)
		}
	}
}

func TestLoadFile(t *testing.T) {
	c := mustLoad(t, `
	  # comment
	PORT 7000 `+"\r"+`
	bind 127.0.0.1 ::1
	bind '10.0.0.1'
	requirepass "a\x20\"b\" \t\\"
	pidfile 'it\'s "so"'
	client-output-buffer-limit normal 1kb 2k 3
	client-output-buffer-limit slave 0 0 0
	unixsocketperm 770
	io-threads 2
	loglevel VERBOSE
	maxmemory 3gb
	slave-read-only yes
	lua-replicate-commands yes
	dir sub/dir`)
	v := c.Values()
	got := []any{v.Port, strings.Join(v.Bind, "|"), v.RequirePass, v.PidFile, v.OutputLimits.String(),
		v.UnixSocketPerm, v.EventLoops, v.LogLevel, v.MaxMemoryBytes, v.Dir, c.File()}
	want := []any{7000, "10.0.0.1", "a \"b\" \t\\", `it's "so"`,
		"normal 1024 2000 3 slave 0 0 0 pubsub 33554432 8388608 60", uint32(0o770), 2, LogVerbose, int64(3 << 30),
		"/srv/sub/dir", "/srv/test.conf"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLineErrors(t *testing.T) {
	const (
		bad    = "Bad directive or wrong number of arguments"
		notYet = "not supported yet: "
	)
	for _, test := range []struct{ line, reason string }{
		{"nosuch 1", bad},
		{"maxclient 1", bad + ": there is no 'maxclient', did you mean 'maxclients'?"},
		{"Prot 1", bad + ": there is no 'prot', did you mean 'port'?"},
		{"tcp-backlog", "wrong number of arguments"},
		{"shutdown-on-sigint", "argument(s) must be one of the following: default, save, nosave, now, force"},
		{"port 1 2", "wrong number of arguments"},
		{`port "1`, "Unbalanced quotes in configuration line"},
		{`port "1"2`, "Unbalanced quotes in configuration line"},
		{"port 65536", "argument must be between 0 and 65535 inclusive"},
		{"unixsocketperm 888", "argument couldn't be parsed as an octal number"},
		{"unixsocketperm 1777", "argument must be between 0 and 777 inclusive"},
		{"maxmemory 1tb", "argument must be a memory value"},
		{"maxmemory 9223372036854775807kb", "argument must be a memory value"},
		{"dir /nosuch", "No such file or directory"},
		{"syslog-enabled yes", notYet + "'syslog-enabled' must be no until there is logging to syslog"},
		{`appendfilename ""`, "appendfilename can't be empty"},
		{"appenddirname a/b", "appenddirname can't be a path, just a dirname"},
		{"dbfilename a/b", "dbfilename can't be a path, just a filename"},
		{"save 900", "Invalid save parameters"},
		{"io-engine io_uring", notYet + "'io-engine' must be epoll until there is an io_uring engine"},
		{"cluster-enabled yes", notYet + "'cluster-enabled' must be no until there is cluster mode"},
		{"slaveof 127.0.0.1", "wrong number of arguments"},
		{"replicaof 127.0.0.1 65536", "Invalid master port"},
		{"tls-cert-file x", notYet + "'tls-cert-file' must not be set until there is TLS"},
		{"user bob on", notYet + "'user' must not be set until there is access control"},
		{"port 1\x00", "the line has a NUL byte"},
	} {
		_, err := loadText(t, "# first\n\n \t"+test.line+" \r\nport 1\n")
		want := "\n*** FATAL CONFIG FILE ERROR (Fulmen 0.1) ***\n" +
			"Reading the configuration file, at line 3 (/srv/test.conf)\n>>> '" + test.line + "'\n" + test.reason
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestInclude(t *testing.T) {
	env := testEnv(t)
	files := memFiles{
		"/srv/main.conf":     "port 1\ninclude sub/a.conf\ninclude conf.d/*.conf\ninclude none/*.conf\nhz 3\n",
		"/srv/sub/a.conf":    "port 2\ntimeout 2\n",
		"/srv/conf.d/2.conf": "timeout 4",
		"/srv/conf.d/1.conf": "timeout 3\nhz 2",
		"/srv/loop.conf":     "include loop.conf",
		"/srv/fan.conf":      "include fan.conf\ninclude fan.conf",
		"/srv/bad.conf":      "include sub/bad.conf",
		"/srv/sub/bad.conf":  "\n\nporte 2",
		"/srv/missing.conf":  "include sub/missing.conf",
	}
	env.Files = files
	c, err := Load([]string{"main.conf"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Values(); v.Port != 2 || v.TimeoutSeconds != 4 || v.Hz != 3 {
		t.Errorf("port %d, timeout %d, hz %d", v.Port, v.TimeoutSeconds, v.Hz)
	}
	for file, want := range map[string]string{
		"loop.conf":    "files are included more than 16 deep",
		"fan.conf":     "files are included more than 16 deep",
		"bad.conf":     "at line 3 (sub/bad.conf)\n>>> 'porte 2'",
		"missing.conf": "Fatal error, can't open config file 'sub/missing.conf': No such file or directory",
		"none.conf":    "Fatal error, can't open config file '/srv/none.conf': No such file or directory",
	} {
		if _, err := Load([]string{file}, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
	files["/srv/many.conf"] = strings.Repeat("include sub/a.conf\n", maxIncludes+1)
	if _, err := Load([]string{"many.conf"}, env); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("many includes: %v", err)
	}
}

// TestArguments gives the lines that a command line stands for, as redis-server 7.0.15 reads it.
func TestArguments(t *testing.T) {
	for _, test := range []struct {
		args string // split like a line
		want commandLine
	}{
		{``, commandLine{}},
		{`a.conf`, commandLine{file: "a.conf"}},
		{`-`, commandLine{stdin: true}},
		{`a.conf -`, commandLine{file: "a.conf", stdin: true}},
		{`- --port 1`, commandLine{stdin: true, options: `port "1" `}},
		{`--port 1 - --hz 2`, commandLine{options: `port "1" "-" ` + "\n" + `hz "2" `}},
		{`--port 1 -`, commandLine{options: `port "1" `, stdin: true}},
		{`--port 1 --bind 1.1.1.1 ::1`, commandLine{options: `port "1" ` + "\n" + `bind "1.1.1.1" "::1" `}},
		{`"--port 1" --hz 2`, commandLine{options: "port 1 \n" + `hz "2" `}},
		{`--requirepass --secret --hz 2`, commandLine{options: `requirepass "--secret" ` + "\n" + `hz "2" `}},
		{`--save --port 1`, commandLine{options: `save ""` + "\n" + `port "1" `}},
		{`--port 1 --save`, commandLine{options: `port "1" ` + "\n" + `save ""`}},
		{`--save "" --port 1`, commandLine{options: `save "" ` + "\n" + `port "1" `}},
		{`--port`, commandLine{options: `port `}},
		{`--logfile -`, commandLine{options: `logfile `, stdin: true}},
		{`a.conf b.conf`, commandLine{file: "a.conf", options: `"b.conf" `}},
		{`-x`, commandLine{options: `"-x" `}},
	} {
		args, err := splitArgs(test.args)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseArgs(args)
		if err != nil || got != test.want {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", test.args, got, err, test.want)
		}
	}
	for arg, want := range map[string]error{
		"-h": ErrHelp, "--help": ErrHelp, "-v": ErrVersion, "--version": ErrVersion,
	} {
		if _, err := Load([]string{arg}, testEnv(t)); !errors.Is(err, want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if !strings.Contains(Usage("./fulmen-server"), "./fulmen-server - (read config from stdin)") {
		t.Error(Usage("./fulmen-server"))
	}
}

func TestOrderOfSources(t *testing.T) {
	env := testEnv(t)
	env.Files = memFiles{"/srv/a.conf": "port 1\nhz 1\ntimeout 1"}
	env.Stdin = func() ([]byte, error) { return []byte("hz 2\ntimeout 2\n"), nil }
	c, err := Load([]string{"a.conf", "--timeout", "3", "-"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Values(); v.Port != 1 || v.Hz != 2 || v.TimeoutSeconds != 3 {
		t.Errorf("port %d, hz %d, timeout %d", v.Port, v.Hz, v.TimeoutSeconds)
	}
	for want, args := range map[string][]string{
		"at line 2 (command line)\n>>> 'port'\nwrong number":      {"--hz", "1", "--port"},
		"at line 1 (command line)\n>>> 'nosuch \"1\"'\nBad":       {"--nosuch", "1"},
		"at line 1 (command line)\n>>> '\"b.conf\"'\nBad":         {"a.conf", "b.conf"},
		"at line 1 (command line)\n>>> 'port \"1\" \"2\"'\nwrong": {"--port", "1", "2"},
	} {
		if _, err := Load(args, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q\ngot  %v\nwant %s", args, err, want)
		}
	}
	env.Stdin = func() ([]byte, error) { return []byte("hz x"), nil }
	_, err = Load([]string{"-"}, env)
	if line := new(LineError); !errors.As(err, &line) || line.Source != "standard input" || line.Line != 1 {
		t.Errorf("got %v", err)
	}
}

// TestDebianFile: the file that Debian installs for redis-server asks for nothing that is missing here.
func TestDebianFile(t *testing.T) {
	env := testEnv(t)
	var notices []string
	env.Notice = func(text string) { notices = append(notices, text) }
	env.Files = memFiles{"/etc/redis/redis.conf": debianFile}
	c, err := Load([]string{"/etc/redis/redis.conf"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Values(); !v.Daemonize || v.Dir != "/var/lib/redis" {
		t.Errorf("daemonize %v, dir %s", v.Daemonize, v.Dir)
	}
	want := "Parameter 'set-proc-title yes' is accepted but has no effect: the process keeps its title"
	if len(notices) != 8 || notices[0] != want {
		t.Errorf("%d notices: %q", len(notices), notices)
	}
}

// debianFile has the values of Debian's redis.conf, of redis 7.0.15.
const debianFile = `
bind 127.0.0.1 -::1
protected-mode yes
port 6379
tcp-backlog 511
timeout 0
tcp-keepalive 300
daemonize yes
pidfile /run/redis/redis-server.pid
loglevel notice
logfile /var/log/redis/redis-server.log
databases 16
always-show-logo no
set-proc-title yes
proc-title-template "{title} {listen-addr} {server-mode}"
stop-writes-on-bgsave-error yes
rdbcompression yes
rdbchecksum yes
dbfilename dump.rdb
rdb-del-sync-files no
dir /var/lib/redis
replica-serve-stale-data yes
replica-read-only yes
repl-diskless-sync yes
repl-diskless-sync-delay 5
repl-diskless-sync-max-replicas 0
repl-diskless-load disabled
repl-disable-tcp-nodelay no
replica-priority 100
acllog-max-len 128
lazyfree-lazy-eviction no
lazyfree-lazy-expire no
lazyfree-lazy-server-del no
replica-lazy-flush no
lazyfree-lazy-user-del no
lazyfree-lazy-user-flush no
oom-score-adj no
oom-score-adj-values 0 200 800
disable-thp yes
appendonly no
appendfilename "appendonly.aof"
appenddirname "appendonlydir"
appendfsync everysec
no-appendfsync-on-rewrite no
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
aof-load-truncated yes
aof-use-rdb-preamble yes
aof-timestamp-enabled no
slowlog-log-slower-than 10000
slowlog-max-len 128
latency-monitor-threshold 0
notify-keyspace-events ""
hash-max-listpack-entries 512
hash-max-listpack-value 64
list-max-listpack-size -2
list-compress-depth 0
set-max-intset-entries 512
zset-max-listpack-entries 128
zset-max-listpack-value 64
hll-sparse-max-bytes 3000
stream-node-max-bytes 4096
stream-node-max-entries 100
activerehashing yes
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit replica 256mb 64mb 60
client-output-buffer-limit pubsub 32mb 8mb 60
hz 10
dynamic-hz yes
aof-rewrite-incremental-fsync yes
rdb-save-incremental-fsync yes
jemalloc-bg-thread yes
`

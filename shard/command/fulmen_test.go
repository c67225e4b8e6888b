package command_test

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/redistest"
	"fulmen/internal/server"
	"fulmen/persist/vfs"
	"fulmen/shard/command"
)

// fulmen is this server on a unix socket, with the given number of shards and these parameters.
func fulmen(shards int, params ...string) redistest.Server {
	return fulmenPacking(shards, 0, params...)
}

// tinyFulmen is one with tiny limits, among them that of what is kept packed.
func tinyFulmen(shards int, params ...string) redistest.Server {
	s := fulmenPacking(shards, 24, append(redistest.TinyLimits(), params...)...)
	s.Name, s.Tiny = s.Name+"-tiny", true
	return s
}

func fulmenPacking(shards, packedBytes int, params ...string) redistest.Server {
	start := func(t testing.TB, params []string) string {
		t.Helper()
		dir := t.TempDir()
		socket := filepath.Join(dir, "s")
		args := append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir, "--shards", strconv.Itoa(shards),
			"--loglevel", "warning", "--save", ""}, params...)
		cfg, err := config.Load(args, config.Env{Version: server.Version, Cwd: dir, CPUs: 2, Files: vfs.OS{}})
		if err != nil {
			t.Fatal(err)
		}
		level := &slog.LevelVar{}
		level.Set(slog.LevelError)
		srv, err := server.New(server.Options{
			Config: cfg, Files: vfs.OS{}, Log: server.NewLogger(t.Output(), level), Level: level,
			PackedBytes: packedBytes,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := srv.Shutdown(); err != nil {
				t.Error(err)
			}
		})
		return socket
	}
	return redistest.Server{
		Name:  "fulmen-" + strconv.Itoa(shards),
		Start: func(t testing.TB) string { return start(t, params) },
		Debugged: func(t testing.TB) string {
			return start(t, append([]string{"--enable-debug-command", "yes"}, params...))
		},
	}
}

// TestDiffRedis compares the replies to random commands on strings and keys with redis-server's.
func TestDiffRedis(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			grammar := append(append(redistest.Strings(), redistest.Keyspace()...), redistest.Moving()...)
			grammar = append(grammar, redistest.Encodings()...)
			redistest.Diff(t, redistest.Redis(), fulmen(shards), grammar)
		})
	}
}

// TestScripts replays what redis-server answered to every command.
func TestScripts(t *testing.T) {
	servers := []redistest.Server{fulmen(8), tinyFulmen(1), fulmen(1), tinyFulmen(8)}
	if command.RaceShare > 1 {
		servers = servers[:2]
	}
	redistest.RunScripts(t, "testdata", servers...)
}

// newer are the commands that the recorded redis-server does not have, and whose replies no script holds.
var newer = []string{"client|setinfo", "client|no-touch"}

// TestEveryCommandHasAScript looks for one at the table of the whole server.
func TestEveryCommandHasAScript(t *testing.T) {
	conn, err := redistest.Dial(fulmen(1).Start(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	list, err := conn.Do("COMMAND", "LIST")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range list.Elems {
		if !slices.Contains(newer, string(name.Str)) {
			names = append(names, string(name.Str))
		}
	}
	redistest.RequireScripts(t, "testdata", names)
}

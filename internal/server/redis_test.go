package server_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/redistest"
	"fulmen/internal/resp"
	"fulmen/internal/server"
	"fulmen/persist/vfs"
)

// patience bounds every wait of a test.
const patience = 3 * time.Minute

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
	return redistest.Server{Name: "fulmen-" + strconv.Itoa(shards), Start: func(t testing.TB) string {
		t.Helper()
		dir := t.TempDir()
		socket := filepath.Join(dir, "s")
		args := append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir, "--shards", strconv.Itoa(shards),
			"--enable-debug-command", "yes", "--save", ""}, params...)
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
	}}
}

// both are connections to redis-server and to this one.
type both struct {
	t           testing.TB
	right, ours *redistest.Conn
}

// dialBoth starts both servers with the same parameters and connects to them.
func dialBoth(t testing.TB, params ...string) *both {
	t.Helper()
	b := &both{t: t}
	params = append([]string{"--enable-debug-command", "yes"}, params...)
	b.right = b.dial(redistest.Redis(params...).Start(t))
	b.ours = b.dial(fulmen(8, params...).Start(t))
	return b
}

func (b *both) dial(addr string) *redistest.Conn {
	b.t.Helper()
	conn, err := redistest.Dial(addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() }) // a test may have had the server close it
	return conn
}

// do sends a command to both.
func (b *both) do(args ...string) (right, ours resp.Value) {
	b.t.Helper()
	return ask(b.t, b.right, args...), ask(b.t, b.ours, args...)
}

func ask(t testing.TB, conn *redistest.Conn, args ...string) resp.Value {
	t.Helper()
	v, err := conn.Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return v
}

// newer tells whether a command is newer than redis-server, or no Redis's, by COMMAND DOCS.
func (b *both) newer(name string) bool {
	b.t.Helper()
	docs := ask(b.t, b.ours, "COMMAND", "DOCS", name)
	fields, since := docs.Elems[1].Elems, ""
	for i := 0; i+1 < len(fields); i += 2 {
		switch string(fields[i].Str) {
		case "since":
			since = string(fields[i+1].Str)
		case "module":
			return true
		}
	}
	if since == "" {
		b.t.Fatalf("COMMAND DOCS %s does not say since when", name)
	}
	return redistest.Newer(since)
}

// TestRowsEqualRedis compares what COMMAND INFO and COMMAND DOCS say about every command of the server with
// redis-server, field by field and in both protocols. What is newer than that one is left out.
func TestRowsEqualRedis(t *testing.T) {
	b := dialBoth(t)
	list := ask(t, b.ours, "COMMAND", "LIST")
	if len(list.Elems) < 70 {
		t.Fatalf("COMMAND LIST names %d commands", len(list.Elems))
	}
	for _, proto := range []string{"2", "3"} {
		b.do("HELLO", proto)
		for _, e := range list.Elems {
			name := string(e.Str)
			if b.newer(name) {
				continue
			}
			for _, question := range []string{"INFO", "DOCS"} {
				want, got := b.do("COMMAND", question, name)
				if question == "INFO" {
					got = redistest.WithOlderArity(name, got)
				}
				if want, got := rowText(want), rowText(redistest.WithoutNewer(got)); got != want {
					t.Errorf("RESP%s: COMMAND %s %s:\n%s", proto, question, name, firstDifference(got, want))
				}
			}
		}
	}
}

// rowText words what COMMAND says about one command but for its subcommands, which are asked for one by one.
func rowText(v resp.Value) string {
	for i := range v.Elems {
		row := v.Elems[i].Elems
		if len(row) == 10 && row[1].Kind == resp.KindInt { // COMMAND INFO
			row[9] = resp.Value{}
		}
		for k := 0; k+1 < len(row); k += 2 {
			if string(row[k].Str) == "subcommands" {
				row[k+1] = resp.Value{}
			}
		}
	}
	return string(inOrder(v).Append(nil))
}

// inOrder sorts what is a set.
func inOrder(v resp.Value) resp.Value {
	for i := range v.Elems {
		v.Elems[i] = inOrder(v.Elems[i])
	}
	if v.Kind == resp.KindSet {
		slices.SortFunc(v.Elems, func(a, b resp.Value) int { return strings.Compare(string(a.Str), string(b.Str)) })
	}
	return v
}

// firstDifference shows where two replies part.
func firstDifference(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("got  …%q\nwant …%q", got[from:min(len(got), i+80)], want[from:min(len(want), i+80)])
}

// TestDiffEverything compares the replies to random commands of all kinds, transactions among them, with encodings that
// change at sizes as by default and at tiny ones.
func TestDiffEverything(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			redistest.Diff(t, redistest.Redis(), fulmen(shards), redistest.Everything())
		})
		t.Run(strconv.Itoa(shards)+" tiny", func(t *testing.T) {
			redistest.Diff(t, redistest.Redis(redistest.TinyLimits()...), tinyFulmen(shards), redistest.Everything())
		})
	}
}

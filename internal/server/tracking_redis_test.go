package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/redistest"
)

// trackingServer is a server with some clients that may track keys.
type trackingServer struct {
	addr    string
	clients []*listenerConn
	watcher *redistest.Conn
}

func newTrackingServer(t *testing.T, addr string, clients int) *trackingServer {
	t.Helper()
	watcher, err := redistest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Close() })
	// While nobody tracks keys, what was read before is forgotten here, and remembered by Redis.
	if _, err := watcher.Do("CLIENT", "TRACKING", "ON"); err != nil {
		t.Fatal(err)
	}
	return &trackingServer{addr: addr, clients: make([]*listenerConn, clients), watcher: watcher}
}

// lastID opens a connection, closes it, and returns its id: the next one's is the next number.
func (s *trackingServer) lastID(t *testing.T) int {
	c := dialListener(t, s.addr)
	words := c.run(t, [][]string{{"CLIENT", "ID"}}, "t")
	_ = c.nc.Close()
	id, err := strconv.Atoi(strings.TrimPrefix(words[0], ":"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// connect opens connection i, in the place of the one that was there, which the server must have forgotten.
func (s *trackingServer) connect(t *testing.T, i, oldID int) {
	t.Helper()
	if c := s.clients[i]; c != nil {
		_ = c.nc.Close()
		for begun := time.Now(); ; {
			v, err := s.watcher.Do("CLIENT", "LIST", "ID", strconv.Itoa(oldID))
			if err != nil {
				t.Fatal(err)
			}
			if len(strings.TrimSpace(string(v.Str))) == 0 {
				break
			}
			if time.Since(begun) > patience {
				t.Fatal("a connection that was closed is still there")
			}
		}
	}
	s.clients[i] = dialListener(t, s.addr)
	s.clients[i].run(t, nil, "there")
}

// step has client i send a command, or a transaction, and returns what all clients get. A push may come a moment behind
// a reply of another client: the second of two PINGs has all behind it.
func (s *trackingServer) step(t *testing.T, i int, commands [][]string) (got []string) {
	t.Helper()
	for _, words := range s.clients[i].run(t, commands, "done") {
		got = append(got, fmt.Sprintf("%d: %s", i, words))
	}
	for k, c := range s.clients {
		for _, token := range []string{"one", "two"} {
			for _, words := range c.run(t, nil, token) {
				got = append(got, fmt.Sprintf("%d: %s", k, words))
			}
		}
	}
	// Redis sends some of what a client is told of its own commands before their replies, others behind them.
	rank := func(line string) int {
		if isPush(line) {
			return int(line[0])*2 + 1
		}
		return int(line[0]) * 2
	}
	slices.SortStableFunc(got, func(a, b string) int {
		if n := rank(a) - rank(b); n != 0 || !isPush(a) {
			return n
		}
		return strings.Compare(a, b) // what a client is told of one command has no order
	})
	return got
}

func isPush(line string) bool {
	return strings.Contains(line, " >[") || strings.Contains(line, " *[message")
}

func pushesOf(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !isPush(line) })
}

// trackingDraw draws what clients do; ids are those of all clients.
type trackingDraw struct {
	rnd *rand.Rand
	ids []int
}

func (d *trackingDraw) pick(words ...string) string { return words[d.rnd.IntN(len(words))] }

func (d *trackingDraw) key() string { return d.pick("a", "ab", "abc", "b", "ba", "c", "{x}1") }

func (d *trackingDraw) keys(most int) (keys []string) {
	for range 1 + d.rnd.IntN(most) {
		keys = append(keys, d.key())
	}
	return keys
}

// options draws options of CLIENT TRACKING.
func (d *trackingDraw) options() (args []string) {
	for range d.rnd.IntN(3) {
		switch d.rnd.IntN(8) {
		case 0, 1:
			id := d.ids[d.rnd.IntN(len(d.ids))]
			if d.rnd.IntN(8) == 0 {
				id = 1 << 40
			}
			args = append(args, "REDIRECT", strconv.Itoa(id))
		case 2, 3:
			args = append(args, "BCAST")
			if slices.Contains(args, "PREFIX") { // of more than two Redis takes some that overlap
				continue
			}
			for range d.rnd.IntN(3) {
				args = append(args, "PREFIX", d.pick("a", "ab", "b", "", "c"))
			}
		case 4:
			args = append(args, d.pick("OPTIN", "OPTOUT"))
		case 5, 6:
			args = append(args, "NOLOOP")
		default:
			args = append(args, d.pick("REDIRECT", "foo", "REDIRECT x"))
		}
	}
	return args
}

// command draws a command.
func (d *trackingDraw) command() []string {
	command := func(name string, args ...string) []string { return append(strings.Fields(name), args...) }
	switch n := d.rnd.IntN(60); {
	case n < 8:
		return command("CLIENT TRACKING ON", d.options()...)
	case n < 10:
		return command("CLIENT TRACKING " + d.pick("OFF", "off", "foo"))
	case n < 13:
		return command("CLIENT CACHING " + d.pick("YES", "NO", "foo"))
	case n < 14:
		return command("CLIENT " + d.pick("GETREDIR", "TRACKINGINFO"))
	case n < 16:
		return command("CLIENT TRACKINGINFO")
	case n < 18:
		return command(d.pick("SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE") + " __redis__:invalidate")
	case n < 20:
		return command("HELLO " + d.pick("2", "3"))
	case n < 21:
		return command("RESET")
	case n < 32:
		return command(d.pick("GET", "EXISTS", "MGET", "TYPE", "EXPIRETIME", "LLEN", "DUMP"), d.key())
	case n < 34:
		return command("MGET", d.keys(4)...)
	case n < 41:
		return command("SET", d.key(), d.pick("1", "2"))
	case n < 44:
		return command("INCR", d.key())
	case n < 46:
		return command("DEL", d.keys(3)...)
	case n < 48:
		return command("MSET", d.key(), "1", d.key(), "2", d.key(), "3")
	case n < 50:
		return command("SET", d.key(), "1", "PXAT", "1000") // its time has come
	case n < 52:
		return command("RENAME", d.key(), d.key())
	case n < 54:
		// A time that is the same on both, whenever they are asked.
		return command("EXPIREAT", d.key(), d.pick("33000000000", "1"))
	case n < 55:
		return command(d.pick("FLUSHDB", "FLUSHALL"))
	case n < 56:
		return command("SELECT " + d.pick("0", "1"))
	case n < 58:
		return command(d.pick("RPUSH", "LPUSH"), d.key(), "x")
	}
	return command("APPEND", d.key(), "x")
}

// step draws a command, or a transaction.
func (d *trackingDraw) step() [][]string {
	if d.rnd.IntN(6) > 0 {
		return [][]string{d.command()}
	}
	group := [][]string{{"MULTI"}}
	for range 1 + d.rnd.IntN(4) {
		args := d.command()
		switch args[0] {
		case "RESET", "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "HELLO":
			continue
		}
		// Redis sends what a client is told of its own changes to where it redirects to at the end of the transaction.
		if len(args) < 2 || args[1] != "TRACKING" {
			group = append(group, args)
		}
	}
	return append(group, []string{"EXEC"})
}

// TestTrackingEqualsRedis has several clients send random commands to both servers: each of them gets the same replies,
// invalidations and messages from both.
func TestTrackingEqualsRedis(t *testing.T) {
	const clients, steps = 4, 3000
	right := newTrackingServer(t, redistest.Redis("--enable-debug-command", "yes").Start(t), clients)
	ours := newTrackingServer(t, fulmen(8, "--event-loops", "3", "--enable-debug-command", "yes").Start(t), clients)
	for _, s := range []*trackingServer{right, ours} {
		if _, err := s.watcher.Do("DEBUG", "SET-ACTIVE-EXPIRE", "0"); err != nil {
			t.Fatal(err)
		}
	}
	last, other := right.lastID(t), ours.lastID(t)
	for ; last < other; last++ {
		right.lastID(t)
	}
	for ; other < last; other++ {
		ours.lastID(t)
	}
	ids := make([]int, clients)
	connect := func(i int) {
		right.connect(t, i, ids[i])
		ours.connect(t, i, ids[i])
		last++
		ids[i] = last
	}
	for i := range clients {
		connect(i)
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var history []string
	told := map[string]int{}
	for n := range steps {
		i := rnd.IntN(clients)
		if rnd.IntN(60) == 0 {
			connect(i)
			history = append(history, fmt.Sprintf("%d comes anew as %d", i, ids[i]))
			continue
		}
		group := (&trackingDraw{rnd, ids}).step()
		history = append(history, fmt.Sprintf("%d: %q", i, group))
		want, got := right.step(t, i, group), ours.step(t, i, group)
		if slices.ContainsFunc(want, func(line string) bool { return strings.Contains(line, ": array of ") }) {
			want, got = pushesOf(want), pushesOf(got) // a push stands among the replies of EXEC
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, step %d:\n%s\ngot\n%s\nwant\n%s", seed, n,
				strings.Join(history[max(len(history)-40, 0):], "\n"), strings.Join(got, "\n"),
				strings.Join(want, "\n"))
		}
		for _, words := range got {
			for _, kind := range []string{">[invalidate", "*[message __redis__", "-redir-broken", "invalidate nil"} {
				told[kind] += strings.Count(words, kind)
			}
		}
	}
	t.Logf("seed %d: %v", seed, told)
}

package server_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// listenerConn is a client of which everything that it gets is looked at, whether it has asked for it or not.
type listenerConn struct {
	nc net.Conn
	r  *resp.Reader
}

func dialListener(t testing.TB, addr string) *listenerConn {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &listenerConn{nc: nc, r: resp.NewReader(nc)}
}

// run sends commands and a PING with a token, and returns all that comes up to its reply, in words.
func (c *listenerConn) run(t testing.TB, commands [][]string, token string) (got []string) {
	t.Helper()
	var out []byte
	for _, args := range append(slices.Clone(commands), []string{"PING", token}) {
		out = resp.AppendCommandStrings(out, args...)
	}
	if _, err := c.nc.Write(out); err != nil {
		t.Fatal(err)
	}
	for {
		v, err := c.r.ReadReply()
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		words := wordsOf(v)
		if words == token || words == "*[pong "+token+"]" {
			return inAnyOrder(got)
		}
		if v.Kind == resp.KindArray && len(v.Elems) < 14 && slices.ContainsFunc(v.Elems, isArray) {
			// EXEC: messages are counted as its elements, and so what it has replied may go on behind it.
			got = append(got, fmt.Sprint("array of ", len(v.Elems)))
			for _, e := range v.Elems {
				got = append(got, wordsOf(e))
			}
			continue
		}
		got = append(got, words)
	}
}

// wordsOf words a reply, with the type of what is an array, a push or the like. HELLO tells of ids.
func wordsOf(v resp.Value) string {
	if v.Elems == nil || v.Null {
		switch {
		case v.Null:
			return "nil"
		case v.Kind == resp.KindInt:
			return fmt.Sprint(":", v.Int)
		case v.Kind == resp.KindError:
			return "-" + string(v.Str)
		}
		return string(v.Str)
	}
	parts := make([]string, len(v.Elems))
	hello := len(v.Elems) == 14
	for i, e := range v.Elems {
		parts[i] = wordsOf(e)
		if hello && i > 0 && (parts[i-1] == "id" || parts[i-1] == "version") {
			parts[i] = "…"
		}
	}
	return fmt.Sprintf("%c[%s]", v.Kind, strings.Join(parts, " "))
}

// inAnyOrder sorts what has no order: the messages that one publication is for a client's patterns, and the channels
// that UNSUBSCRIBE without arguments names.
func inAnyOrder(got []string) []string {
	runOf := func(s string) string {
		fields := strings.Fields(s)
		switch {
		case len(fields) == 4 && strings.HasSuffix(fields[0], "[pmessage"):
			return fields[2] + fields[3]
		case len(fields) == 3 && strings.HasSuffix(fields[0], "unsubscribe"):
			return fields[0]
		}
		return ""
	}
	for i := 0; i < len(got); {
		k := i + 1
		for k < len(got) && runOf(got[i]) != "" && runOf(got[k]) == runOf(got[i]) {
			k++
		}
		if run := got[i:k]; len(run) > 1 && strings.Contains(run[0], "unsubscribe") {
			sortNames(run)
		} else if len(run) > 1 {
			slices.Sort(run)
		}
		i = k
	}
	return got
}

// sortNames sorts the names in a run of unsubscriptions; the numbers stay.
func sortNames(run []string) {
	names := make([]string, len(run))
	for i, s := range run {
		names[i] = strings.Fields(s)[1]
	}
	slices.Sort(names)
	for i, s := range run {
		fields := strings.Fields(s)
		fields[1] = names[i]
		run[i] = strings.Join(fields, " ")
	}
}

// pubsubGroup draws commands that are sent together.
func pubsubGroup(rnd *rand.Rand) (group [][]string) {
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	channel := func() string { return pick("a", "b", "ab", "a1", "news") }
	pattern := func() string { return pick("a*", "*", "?", "[ab]", "n*s", "a") }
	some := func(one func() string, least int) (args []string) {
		for range least + rnd.IntN(3) {
			args = append(args, one())
		}
		return args
	}
	command := func(name string, args ...string) []string { return append([]string{name}, args...) }
	one := func() []string {
		switch rnd.IntN(24) {
		case 0, 1:
			return command("SUBSCRIBE", some(channel, 1)...)
		case 2, 3:
			return command("PSUBSCRIBE", some(pattern, 1)...)
		case 4:
			return command("SSUBSCRIBE", some(channel, 1)...)
		case 5:
			return command("UNSUBSCRIBE", some(channel, 0)...)
		case 6:
			return command("PUNSUBSCRIBE", some(pattern, 0)...)
		case 7:
			return command("SUNSUBSCRIBE", some(channel, 0)...)
		case 8, 9, 10, 11, 12, 13:
			return command("PUBLISH", channel(), pick("x", "", "a-longer-one", strings.Repeat("big", 6000)))
		case 14, 15:
			return command("SPUBLISH", channel(), pick("x", "y"))
		case 16:
			return command("PUBSUB", "NUMSUB", channel(), channel())
		case 17:
			return command("PUBSUB", pick("NUMPAT", "SHARDNUMSUB", "NUMSUB", "NOTHING", "numpat"))
		case 18:
			return command("HELLO", pick("2", "3"))
		case 19:
			return command("RESET")
		case 20:
			return command(pick("SUBSCRIBE", "PUBLISH", "SPUBLISH", "SSUBSCRIBE", "PSUBSCRIBE", "PUBSUB"))
		case 21:
			return command("PING")
		case 22:
			return command(pick("GET", "INCR", "CLIENT", "WATCH"), channel())
		}
		return command("SET", channel(), "1")
	}
	if rnd.IntN(5) > 0 {
		for range 1 + rnd.IntN(3) {
			group = append(group, one())
		}
		return group
	}
	group = append(group, []string{"MULTI"})
	for range 1 + rnd.IntN(4) {
		if args := one(); args[0] != "RESET" {
			group = append(group, args)
		}
	}
	return append(group, []string{pick("EXEC", "EXEC", "DISCARD")})
}

// TestPubSubEqualsRedis has several clients send random commands to both servers, in step: each gets the same from
// both, in the same order.
func TestPubSubEqualsRedis(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			// Of their own: a server hears of connections that the seed before has closed when it gets to it, and
			// counts their subscriptions until then.
			right, ours := redistest.Redis().Start(t), fulmen(8, "--event-loops", "3").Start(t)
			comparePubSub(t, right, ours, seed)
		})
	}
}

func comparePubSub(t *testing.T, right, ours string, seed uint64) {
	const clients, groups = 5, 3000
	rnd := rand.New(rand.NewPCG(seed, 7))
	var rights, all [clients]*listenerConn
	for i := range clients {
		rights[i], all[i] = dialListener(t, right), dialListener(t, ours)
	}
	history := map[int][]string{}
	for n := range groups {
		i, group, token := rnd.IntN(clients), pubsubGroup(rnd), fmt.Sprint("token-", n)
		history[i] = append(history[i], fmt.Sprintf("%.300q", group))
		want, got := rights[i].run(t, group, token), all[i].run(t, group, token)
		if !slices.Equal(got, want) {
			t.Fatalf("client %d, group %d:\n%s\ngot\n%.3000q\nwant\n%.3000q", i, n,
				strings.Join(history[i][max(len(history[i])-8, 0):], "\n"), got, want)
		}
	}
}

func isArray(v resp.Value) bool { return v.Elems != nil }

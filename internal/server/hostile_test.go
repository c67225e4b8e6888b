package server

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// hostileInput is what a client sends in one piece.
type hostileInput struct {
	name   string
	raw    string
	closes bool // the server closes the connection by itself; else the test does
}

// bulk is a command of arguments as clients send it.
func bulk(args ...string) string { return string(resp.AppendCommandStrings(nil, args...)) }

const kilo64 = 64 << 10

// hostileInputs are sent to a server that wants no password.
var hostileInputs = []hostileInput{
	{"empty commands", "*0\r\n*-1\r\n*-100\r\n\r\n \r\n\n" + bulk("PING"), false},
	{"a negative bulk", "*1\r\n$-1\r\nPING\r\n", true},
	{"count beyond 32 bits", bulk("PING") + "*2147483648\r\n" + bulk("PING"), true},
	{"count beyond 64 bits", "*99999999999999999999999\r\n", true},
	{"a huge count and no more", bulk("PING") + "*2147483647\r\n$4\r\nPING\r\n", false},
	{"count is no number", "*x\r\n", true},
	{"count is missing", "*\r\n", true},
	{"count with a blank", "* 1\r\n", true},
	{"count of 64 KB", "*" + strings.Repeat("1", kilo64+10), true},
	{"bulk above the limit", "*1\r\n$536870913\r\n", true},
	{"bulk at the limit", bulk("PING") + "*1\r\n$536870912\r\nabc", false},
	{"bulk beyond 64 bits", "*1\r\n$99999999999999999999999\r\n", true},
	{"bulk's length is no number", "*2\r\n$4\r\nECHO\r\n$a\r\nb\r\n", true},
	{"bulk's length of 64 KB", "*1\r\n$" + strings.Repeat("1", kilo64+10), true},
	{"no bulk", bulk("PING") + "*1\r\n:1\r\n", true},
	{"no bulk, but a control character", "*1\r\n\x01PING\r\n", true},
	{"a bulk's end is not looked at", "*2\r\n$4\r\nECHO\r\n$3\r\nabcXX" + bulk("PING"), false},
	{"a reply", "+OK\r\n:1\r\n$4\r\nPING\r\n", false},
	{"binary rubbish", "\x00\x01\xff\xfe\r\n" + bulk("PING"), false},
	{"rubbish without an end", strings.Repeat("\xde\xad", 100), false},
	{"an inline command of 64 KB", strings.Repeat("A", kilo64+10), true},
	{"unbalanced quotes", bulk("PING") + "SET k \"v\r\n" + bulk("PING"), true},
	{"rubbish behind a quote", "SET k 'v'x\r\n", true},
	{"replies before an error", strings.Repeat(bulk("PING"), 100) + "*1\r\n$a\r\n" + bulk("PING"), true},
	{"errors before an error", "nonsense\r\nGET\r\n*1\r\n!\r\n", true},
	{"half a command", bulk("PING") + "*2\r\n$4\r\nECHO\r\n$10\r\nabc", false},
	{"half a line", bulk("PING") + "PIN", false},
	{"an HTTP request", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nPING\r\n", true},
	{"an HTTP request in capitals and bulks", bulk("PING") + bulk("pOsT", "x") + bulk("PING"), true},
	{"a header of HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nPING\r\n", true},
	{"a header of HTTP inside MULTI", bulk("MULTI") + bulk("host:"), true},
	{"words that begin alike", "POSTS\r\nHOST\r\nHost:: a\r\n", false},
	{"QUIT", bulk("PING") + bulk("QUIT") + bulk("PING"), true},
	{"QUIT and rubbish", bulk("QUIT") + "*x\r\n", true},
	{"QUIT inside MULTI", bulk("MULTI") + bulk("PING") + bulk("QUIT"), true},
	{"RESET", bulk("MULTI") + bulk("SELECT", "3") + bulk("RESET") + bulk("PING"), false},
	{"RESET brings replies back", bulk("CLIENT", "REPLY", "OFF") + bulk("PING") + bulk("RESET") + bulk("PING"), false},
	{"replies off", bulk("CLIENT", "REPLY", "OFF") + bulk("PING") + "nonsense\r\n" + bulk("GET") +
		bulk("CLIENT", "REPLY", "ON") + bulk("PING"), false},
	{"one reply skipped", bulk("CLIENT", "REPLY", "SKIP") + bulk("ECHO", "a") + bulk("ECHO", "b"), false},
	{"skips in a row", strings.Repeat(bulk("CLIENT", "REPLY", "SKIP"), 3) + bulk("ECHO", "a") + bulk("ECHO", "b"),
		false},
	{"an error skipped", bulk("CLIENT", "REPLY", "SKIP") + bulk("GET") + bulk("ECHO", "b"), false},
	{"an empty command is skipped", bulk("CLIENT", "REPLY", "SKIP") + "\r\n*0\r\n" + bulk("ECHO", "b") +
		bulk("ECHO", "c"), false},
	{"a skip while off", bulk("CLIENT", "REPLY", "OFF") + bulk("CLIENT", "REPLY", "SKIP") + bulk("PING") +
		bulk("CLIENT", "REPLY", "ON") + bulk("PING"), false},
	{"a wrong CLIENT REPLY", bulk("CLIENT", "REPLY", "maybe") + bulk("CLIENT", "REPLY") + bulk("PING"), false},
	{"keys while off", bulk("CLIENT", "REPLY", "OFF") + bulk("MSET", "a", "1", "b", "2", "c", "3") + bulk("GET", "a") +
		bulk("CLIENT", "REPLY", "ON") + bulk("MGET", "a", "b", "c"), false},
	{"CLIENT KILL of nobody", bulk("CLIENT", "KILL", "1.2.3.4:5") + bulk("CLIENT", "KILL", "ID", "123456789") +
		bulk("CLIENT", "KILL", "ID", "0") + bulk("CLIENT", "KILL", "TYPE", "x") + bulk("PING"), false},
	{"CLIENT KILL of oneself", bulk("CLIENT", "KILL", "SKIPME", "no") + bulk("PING"), true},
}

// strangersInputs are sent to a server that wants the password "secret".
var strangersInputs = []hostileInput{
	{"no password", bulk("PING") + bulk("GET", "a") + "nonsense\r\n" + bulk("GET"), false},
	{"ten arguments", bulk("SET", "1", "2", "3", "4", "5", "6", "7", "8", "9") + bulk("PING"), false},
	{"eleven arguments", bulk("PING") + bulk("SET", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"), true},
	{"a huge count", "*1000000\r\n", true},
	{"16 KB", bulk("ECHO", strings.Repeat("x", 16384)), false},
	{"more than 16 KB", bulk("PING") + "*2\r\n$4\r\nECHO\r\n$16385\r\n", true},
	{"a huge bulk", "*1\r\n$100000000\r\n", true},
	{"a wrong password", bulk("AUTH", "x") + bulk("AUTH", "default", "x") + bulk("AUTH", "x", "secret") + bulk("PING"),
		false},
	{"eleven arguments behind AUTH",
		bulk("AUTH", "secret") + bulk("DEL", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"), false},
	{"17 KB behind AUTH", bulk("AUTH", "secret") + bulk("ECHO", strings.Repeat("x", 17000)), false},
	{"eleven arguments behind RESET", bulk("AUTH", "secret") + bulk("RESET") + "*11\r\n", true},
	{"all eleven behind RESET", bulk("AUTH", "secret") + bulk("RESET") +
		bulk("DEL", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"), true},
	{"AUTH by HELLO", bulk("HELLO", "2", "AUTH", "default", "x") + bulk("PING") + bulk("HELLO", "9"), false},
	{"HTTP", "POST / HTTP/1.1\r\n\r\nPING\r\n", true},
	{"QUIT", bulk("QUIT"), true},
}

// TestHostileInput sends bad input to this server and to redis-server: what they answer before they close is the
// same, byte for byte.
func TestHostileInput(t *testing.T) {
	for _, tt := range []struct {
		name   string
		params []string
		inputs []hostileInput
	}{
		{"open", nil, hostileInputs},
		{"password", []string{"--requirepass", "secret"}, strangersInputs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			oracle := redistest.StartOracle(t, tt.params...)
			srv := startServer(t, tt.params...)
			for _, in := range tt.inputs {
				want, err := exchange(oracle.Addr, in)
				if err != nil {
					t.Errorf("%s: redis: %v", in.name, err)
				}
				got, err := exchange(srv.Addr(), in)
				if err != nil {
					t.Errorf("%s: %v", in.name, err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s: answers\n%.500q, redis\n%.500q", in.name, got, want)
				}
			}
		})
	}
}

// exchange sends input and returns all that comes until the connection is closed.
func exchange(addr string, in hostileInput) ([]byte, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(nc, in.raw); err != nil {
		return nil, err
	}
	if !in.closes {
		if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
			return nil, err
		}
	}
	got, err := io.ReadAll(nc)
	if err != nil && os.IsTimeout(err) {
		return got, fmt.Errorf("not closed: %w", err)
	}
	return got, nil // a reset is an end, too: bytes may have been left unread
}

// TestBetterThanRedis has what redis-server answers in a way that no client can use: there QUIT and protocol errors
// don't close a connection whose replies are off, and EXEC gives the head of an array without its elements.
func TestBetterThanRedis(t *testing.T) {
	srv := startServer(t)
	off, on, skip := bulk("CLIENT", "REPLY", "OFF"), bulk("CLIENT", "REPLY", "ON"), bulk("CLIENT", "REPLY", "SKIP")
	ping := bulk("PING")
	for _, tt := range []struct {
		in   hostileInput
		want string
	}{
		{hostileInput{"a protocol error while off", off + ping + "*x\r\n", true}, ""},
		{hostileInput{"QUIT while off", off + bulk("QUIT"), true}, ""},
		{hostileInput{"off inside MULTI", bulk("MULTI") + off + ping + bulk("EXEC") + ping + on + ping, false},
			"+OK\r\n+QUEUED\r\n+QUEUED\r\n+OK\r\n+PONG\r\n"},
		{hostileInput{"skip inside MULTI", bulk("MULTI") + ping + skip + bulk("EXEC") + ping + ping, false},
			"+OK\r\n+QUEUED\r\n+QUEUED\r\n+PONG\r\n"},
	} {
		if got, err := exchange(srv.Addr(), tt.in); string(got) != tt.want || err != nil {
			t.Errorf("%s: answers %q, %v; want %q", tt.in.name, got, err, tt.want)
		}
	}
}

// TestHTTPIsLogged, but not each time.
func TestHTTPIsLogged(t *testing.T) {
	srv, log := startLogged(t, "--event-loops", "1")
	for range 20 {
		c := dial(t, srv.Addr())
		c.send("POST / HTTP/1.1\r\n")
		c.wantClosed()
	}
	log.wantLogged(t, 1, "Possible SECURITY ATTACK detected")
}

// splitScript leaves no state behind and has replies of all kinds; none depends on time or order of keys.
var splitScript = bulk("DEL", "a", "b", "{x}1", "{x}2", "list") + "set a \"quoted \\x41\"\r\n" + bulk("GET", "a") +
	bulk("MSET", "a", "1", "b", "2") + bulk("MULTI") + bulk("INCR", "a") + bulk("GET", "b") + bulk("EXEC") +
	"*0\r\n\r\n" +
	bulk("CLIENT", "REPLY", "SKIP") + bulk("MSET", "a", "3", "b", "4", "c", "5") + bulk("MGET", "a", "b", "nokey") +
	bulk("CLIENT", "REPLY", "OFF") + bulk("MSET", "a", "6", "b", "7") + bulk("GET", "a") +
	bulk("CLIENT", "REPLY", "ON") + "nonsense x\r\n" + bulk("GET") +
	bulk("SET", "{x}1", strings.Repeat("v", 50)) + bulk("APPEND", "{x}1", "end") + bulk("STRLEN", "{x}1") + "ping\r\n"

// TestSplitEverywhere: the script's replies are the same at whatever byte it is split, and sent byte by byte.
func TestSplitEverywhere(t *testing.T) {
	srv := startServer(t, "--event-loops", "1")
	whole := hostileInput{raw: splitScript}
	if _, err := exchange(srv.Addr(), whole); err != nil { // now DEL finds what it always will
		t.Fatal(err)
	}
	want, err := exchange(srv.Addr(), whole)
	if err != nil || bytes.Count(want, []byte("\r\n")) < 20 {
		t.Fatalf("%q, %v", want, err)
	}
	for at := 1; at < len(splitScript); at += proofShare {
		if got := sendPieces(t, srv, splitScript[:at], splitScript[at:]); !bytes.Equal(got, want) {
			t.Fatalf("split at %d: answers\n%q, want\n%q", at, got, want)
		}
	}
	pieces := strings.Split(splitScript, "")
	if got := sendPieces(t, srv, pieces...); !bytes.Equal(got, want) {
		t.Fatalf("byte by byte: answers\n%q, want\n%q", got, want)
	}
}

// sendPieces sends each piece when the server has read the one before, and returns all that comes back.
func sendPieces(t *testing.T, srv *Server, pieces ...string) []byte {
	t.Helper()
	c := dial(t, srv.Addr())
	read := srv.reactor.Totals().NetInputBytes
	for _, p := range pieces {
		c.send(p)
		for read += int64(len(p)); srv.reactor.Totals().NetInputBytes < read; {
			runtime.Gosched()
		}
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestSplitAtRandom: a long pipeline over all shards, whose batons others take at random, in random pieces.
func TestSplitAtRandom(t *testing.T) {
	var script strings.Builder
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 300 {
		script.WriteString(splitScript)
		size := rnd.IntN(1 << rnd.IntN(15))
		script.WriteString(bulk("SET", fmt.Sprint("k", i%7), strings.Repeat("x", size)))
		script.WriteString(bulk("GET", fmt.Sprint("k", rnd.IntN(7))))
	}
	p := startProof(t, 8, 2, 5)
	dial(t, p.path).do("FLUSHALL")
	want := sendAtRandom(t, p, script.String(), nil)
	p.meddlers()
	rounds := 4
	if testing.Short() || proofShare > 1 {
		rounds = 1
	}
	for range rounds {
		dial(t, p.path).do("FLUSHALL")
		if got := sendAtRandom(t, p, script.String(), rnd); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of replies, want %d, or other ones", len(got), len(want))
		}
	}
}

// sendAtRandom sends text in pieces and closes its end right behind it; it returns all replies.
func sendAtRandom(t *testing.T, p *proof, text string, rnd *rand.Rand) []byte {
	t.Helper()
	nc, err := net.Dial("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sent := make(chan error, 1)
	go func() {
		for text != "" {
			n := len(text)
			if rnd != nil {
				n = min(n, 1+rnd.IntN(1<<rnd.IntN(13)))
			}
			if _, err := io.WriteString(nc, text[:n]); err != nil {
				sent <- err
				return
			}
			text = text[n:]
			select {
			case p.kicks <- struct{}{}:
			default:
			}
		}
		sent <- nc.(*net.UnixConn).CloseWrite()
	}()
	got, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDeepPipeline: a hundred thousand commands in one write, and the end of the connection right behind.
func TestDeepPipeline(t *testing.T) {
	srv := startServer(t)
	depth := 100_000
	if testing.Short() || proofShare > 1 {
		depth = 10_000
	}
	var script, want []byte
	for i := range depth {
		key := fmt.Sprint("key", i%1000)
		script = resp.AppendCommandStrings(script, "SET", key, fmt.Sprint(i))
		script = resp.AppendCommandStrings(script, "GET", key)
		want = resp.AppendBulkString(resp.AppendOK(want), fmt.Sprint(i))
	}
	got, err := exchange(srv.Addr(), hostileInput{raw: string(script)})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of replies, want %d, or other ones; %v", len(got), len(want), err)
	}
}

// TestManyArguments: a command of a million arguments, arriving in pieces, in time of the processor that grows with its
// length.
func TestManyArguments(t *testing.T) {
	srv := startServer(t)
	count := 1_000_000
	if testing.Short() || proofShare > 1 {
		count = 100_000
	}
	c := dial(t, srv.Addr())
	elapsed := func(n int) time.Duration {
		var raw []byte
		raw = fmt.Appendf(raw, "*%d\r\n$4\r\nMSET\r\n", n+1)
		for i := range n / 2 {
			raw = fmt.Appendf(raw, "$9\r\nkey:%05d\r\n$1\r\n%d\r\n", i%50_000, i%10)
		}
		began := cpuTime(t)
		for len(raw) > 0 {
			piece := min(len(raw), 1000)
			c.send(string(raw[:piece]))
			raw = raw[piece:]
		}
		c.want("OK")
		return cpuTime(t) - began
	}
	tenth, whole := elapsed(count/10), elapsed(count)
	t.Logf("%d arguments: %v, %d: %v", count/10, tenth, count, whole)
	if whole > 40*tenth+time.Second {
		t.Errorf("%d arguments took %v, a tenth of them %v", count, whole, tenth)
	}
	if got := c.do("GET", fmt.Sprintf("key:%05d", (count/2-1)%50_000)); got != fmt.Sprint((count/2-1)%10) {
		t.Errorf("the last key is %q", got)
	}
	for _, l := range srv.loops {
		done := make(chan int)
		l.rl.Post(onLoop(func() { done <- max(cap(l.args), cap(l.keys)) }))
		if n := <-done; n > maxScratch {
			t.Errorf("loop %d keeps room for %d arguments", l.rl.ID, n)
		}
	}
}

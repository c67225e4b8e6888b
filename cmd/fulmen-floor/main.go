// Command fulmen-floor measures what the engine costs by itself: it reads and parses the same bytes as
// fulmen-server on the same event loops and answers them without a keyspace (SET, MSET: +OK, GET: a value of
// fixed size, everything else: +PONG). benchmarks runs it beside the servers: fulmen-floor --port P
// [--event-loops N] [--value-bytes N].
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fulmen/internal/resp"
	"fulmen/persist/vfs"
	"fulmen/reactor"
)

type floor struct {
	value []byte
}

// state is one loop's reusable memory.
type state struct {
	args [][]byte
	out  []byte
}

func (f *floor) Open(c *reactor.Conn) {
	c.Context = &resp.Parser{Authenticated: true, MaxBulk: 512 << 20}
	if c.Loop().State == nil {
		c.Loop().State = &state{}
	}
}

func (f *floor) Data(c *reactor.Conn, p []byte) (consumed int) {
	parser, st := c.Context.(*resp.Parser), c.Loop().State.(*state)
	st.out = st.out[:0]
	for consumed < len(p) {
		args, n, err := parser.Parse(p[consumed:], st.args[:0])
		if err != nil {
			c.CloseAfterFlush()
			break
		}
		if n == 0 {
			c.SetNeed(parser.Need())
			break
		}
		st.args = args
		consumed += n
		if len(args) > 0 {
			st.out = f.reply(st.out, args[0])
		}
	}
	c.Write(st.out)
	return consumed
}

func (f *floor) reply(dst, name []byte) []byte {
	switch {
	case bytes.EqualFold(name, []byte("get")):
		return resp.AppendBulk(dst, f.value)
	case bytes.EqualFold(name, []byte("set")), bytes.EqualFold(name, []byte("mset")):
		return resp.AppendOK(dst)
	case bytes.EqualFold(name, []byte("lrange")):
		return appendItems(dst, 100)
	case bytes.EqualFold(name, []byte("hgetall")):
		return appendItems(dst, 20)
	case bytes.EqualFold(name, []byte("zrangebyscore")):
		return appendItems(dst, 10)
	}
	return resp.AppendSimple(dst, "PONG")
}

// appendItems appends what benchmarks read from a collection.
func appendItems(dst []byte, n int) []byte {
	dst = resp.AppendArray(dst, n)
	for range n {
		dst = resp.AppendBulk(dst, []byte("0123456789"))
	}
	return dst
}

func (f *floor) Close(*reactor.Conn, error)  {}
func (f *floor) Tick(*reactor.Loop)          {}
func (f *floor) Stalled(*reactor.Conn, bool) {}

func main() {
	port := flag.Int("port", 6379, "TCP port on 127.0.0.1")
	loops := flag.Int("event-loops", 1, "event loops")
	size := flag.Int("value-bytes", 64, "size of the value that GET answers")
	flag.Parse()
	if err := run(*port, *loops, *size); err != nil {
		fmt.Fprintln(os.Stderr, "fulmen-floor:", err)
		os.Exit(1)
	}
}

func run(port, loops, size int) error {
	r := reactor.New(reactor.Options{
		Loops:     loops,
		Limits:    reactor.Limits{QueryBufferBytes: 1 << 30, StallBytes: 4 << 20, StalledTotalBytes: 256 << 20},
		KeepAlive: func() time.Duration { return 0 },
		Log:       func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}, &floor{value: bytes.Repeat([]byte("x"), size)})
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	if err := r.Start(); err != nil {
		return err
	}
	if err := reactor.CalmSysmon(vfs.OS{}); err != nil {
		fmt.Fprintln(os.Stderr, "fulmen-floor:", err)
	}
	r.Listen(ln)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ctx.Done()
	return r.Stop()
}

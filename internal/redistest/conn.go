package redistest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"fulmen/internal/resp"
)

// replyTimeout bounds every wait for a server, so that a test which hangs says where.
const replyTimeout = 3 * time.Minute

// Conn is a client's connection for tests: plain, synchronous, for one goroutine.
type Conn struct {
	net    net.Conn
	reader *resp.Reader
	out    []byte
	sent   [][]string // commands whose replies were not read
	proto  int
}

// Dial connects to host:port, or to a unix socket if addr has a slash. The connection speaks RESP2 until Do has sent a
// HELLO.
func Dial(addr string) (*Conn, error) {
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	}
	conn, err := net.DialTimeout(network, addr, replyTimeout)
	if err != nil {
		return nil, err
	}
	return &Conn{net: conn, reader: resp.NewReader(conn), proto: 2}, nil
}

// Close closes the connection. The server hears of that some time later.
func (c *Conn) Close() error { return c.net.Close() }

// End closes the connection when the server has: nothing is left there of what it was about, subscribed or waiting for
// a key. What still comes is thrown away.
func (c *Conn) End() error {
	err := c.net.SetDeadline(time.Now().Add(replyTimeout))
	if end, ok := c.net.(interface{ CloseWrite() error }); ok && err == nil {
		_ = end.CloseWrite() // the server may have closed it
		if _, err = io.Copy(io.Discard, c.net); errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("a connection that has ended is not closed: %w", err)
		} else {
			err = nil // a reset is an end, too
		}
	}
	return errors.Join(err, c.net.Close())
}

// Do sends a command and gives its reply. An error reply is no error.
func (c *Conn) Do(args ...string) (resp.Value, error) {
	c.Queue(args...)
	if err := c.Flush(); err != nil {
		return resp.Value{}, err
	}
	return c.Receive()
}

// Queue adds a command to those that Flush sends.
func (c *Conn) Queue(args ...string) {
	c.out = resp.AppendCommandStrings(c.out, args...)
	c.sent = append(c.sent, args)
}

// Flush sends the queued commands.
func (c *Conn) Flush() error {
	if err := c.net.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err
}

// Receive reads the next reply, or another message that the server has sent.
func (c *Conn) Receive() (resp.Value, error) {
	if err := c.net.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return resp.Value{}, err
	}
	v, err := c.reader.ReadReply()
	if len(c.sent) == 0 {
		return v, err
	}
	args := c.sent[0]
	c.sent = c.sent[1:]
	if err != nil {
		return v, fmt.Errorf("%s: %w", joinArgs(args), err)
	}
	c.noteProtocol(args, v)
	return v, nil
}

// Proto gives the protocol that the connection speaks, 2 or 3.
func (c *Conn) Proto() int { return c.proto }

// noteProtocol follows the commands that change the protocol.
func (c *Conn) noteProtocol(args []string, v resp.Value) {
	switch {
	case v.Err() != nil || len(args) == 0:
	case strings.EqualFold(args[0], "reset"):
		c.proto = 2
	case strings.EqualFold(args[0], "hello") && len(args) > 1:
		c.proto = int(args[1][0] - '0')
	}
}

// receive is Receive for comparing.
func (c *Conn) receive() (reply, error) {
	v, err := c.Receive()
	return newReply(v, c.proto), err
}

// newReply turns a reply as it was read into one to compare. An attribute is left out.
func newReply(v resp.Value, proto int) reply {
	if v.Null {
		return newNull(v, proto)
	}
	r := reply{kind: byte(v.Kind), text: string(v.Str)}
	switch v.Kind {
	case resp.KindInt:
		r.text = fmt.Sprint(v.Int)
	case resp.KindBool:
		r.text = map[int64]string{0: "f", 1: "t"}[v.Int]
	case resp.KindVerbatim:
		r.text = v.Format + ":" + r.text
	}
	for _, elem := range v.Elems {
		r.items = append(r.items, newReply(elem, proto))
	}
	return r
}

func newNull(v resp.Value, proto int) reply {
	wire := map[resp.Kind]string{resp.KindBulk: "$-1", resp.KindArray: "*-1", resp.KindNull: "_"}[v.Kind]
	switch {
	case proto == 2 && v.Kind == resp.KindBulk, proto == 3 && v.Kind == resp.KindNull:
		return reply{kind: '_'}
	case proto == 2 && v.Kind == resp.KindArray:
		return reply{kind: nullArray}
	}
	return reply{kind: wrongNull, text: wire}
}

// joinArgs writes a command as one types it into redis-cli.
func joinArgs(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg
		if arg == "" || escape(arg, "\"' ") != arg {
			words[i] = quote(arg)
		}
	}
	return strings.Join(words, " ")
}

package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Conn is a connection for questions: one at a time, each with a deadline. Loads don't go through it.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
}

// Reply is an answer. A simple or bulk string is in Text, a number in Int, an array in Items; null is Null.
type Reply struct {
	Text  string
	Int   int64
	Items []Reply
	Null  bool
}

// ServerError is an error reply: the connection is still good.
type ServerError struct{ Text string }

// Error is the server's text.
func (e *ServerError) Error() string { return "server: " + e.Text }

// maxReply bounds a bulk string or an array of a reply.
const maxReply = 64 << 20

// Dial connects to a server.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	conn, err := (&net.Dialer{Timeout: answerTime}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	return &Conn{conn: conn, in: bufio.NewReader(conn)}, nil
}

// Close closes the connection.
func (c *Conn) Close() { c.conn.Close() }

// Do sends a command and reads its reply; an error reply is a *ServerError.
func (c *Conn) Do(args ...string) (Reply, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return Reply{}, fmt.Errorf("peer: %w", err)
	}
	if _, err := io.WriteString(c.conn, out.String()); err != nil {
		return Reply{}, fmt.Errorf("peer: %s: %w", args[0], err)
	}
	reply, err := c.read(0)
	if err != nil {
		return reply, fmt.Errorf("peer: %s: %w", args[0], err)
	}
	return reply, nil
}

func (c *Conn) read(depth int) (Reply, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return Reply{}, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" || depth > 8 {
		return Reply{}, errors.New("bad reply")
	}
	kind, rest := line[0], line[1:]
	if kind == '+' {
		return Reply{Text: rest}, nil
	}
	if kind == '-' {
		return Reply{}, &ServerError{Text: rest}
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || (kind != ':' && n > maxReply) {
		return Reply{}, fmt.Errorf("bad reply %q", line)
	}
	switch {
	case kind == ':':
		return Reply{Int: n}, nil
	case n < 0:
		return Reply{Null: true}, nil
	case kind == '$':
		text := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, text); err != nil {
			return Reply{}, err
		}
		return Reply{Text: string(text[:n])}, nil
	case kind == '*':
		var items []Reply
		for range n {
			item, err := c.read(depth + 1)
			if err != nil {
				return Reply{}, err
			}
			items = append(items, item)
		}
		return Reply{Items: items}, nil
	}
	return Reply{}, fmt.Errorf("bad reply %q", line)
}

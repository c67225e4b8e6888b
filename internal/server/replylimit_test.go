package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"fulmen/internal/resp"
)

// longReplies are commands with a reply of 20 MB each, where m is a string of 100 kB and list has it 200 times.
var longReplies = map[string]string{
	"MGET":   "MGET" + strings.Repeat(" m", 200) + "\r\n",
	"EXEC":   "MULTI\r\n" + strings.Repeat("GET m\r\n", 200) + "EXEC\r\n",
	"LRANGE": "LRANGE list 0 -1\r\n",
}

// fillLong makes m and list; 3 replies come.
func fillLong(t *testing.T, c io.Writer) {
	t.Helper()
	value := make([]byte, 100_000)
	script := resp.AppendCommand(nil, []byte("SET"), []byte("m"), value)
	push := append([][]byte{[]byte("RPUSH"), []byte("list")}, slices.Repeat([][]byte{value}, 100)...)
	for range 2 {
		script = resp.AppendCommand(script, push...)
	}
	if _, err := c.Write(script); err != nil {
		t.Fatal(err)
	}
}

// TestOneReplyIsBounded: the output limit holds inside one command and inside one transaction, too, before their whole
// reply has been made.
func TestOneReplyIsBounded(t *testing.T) {
	for name, many := range longReplies {
		t.Run(name, func(t *testing.T) {
			p := startProof(t, 4, 1, 0, "--client-output-buffer-limit", "normal", "4mb", "0", "0")
			c, err := net.Dial("unix", p.path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			fillLong(t, c)
			if _, err := c.Write([]byte(many)); err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, bufio.NewReader(c))
			if n > 8<<20 {
				t.Errorf("%d bytes came before the connection was closed (%v)", n, err)
			}
			if hits := p.srv.reactor.Totals().OutputLimitHits; hits != 1 {
				t.Errorf("%d connections cut at their limit, want 1", hits)
			}
		})
	}
}

// TestOneReplyInPiecesIsSent: without a limit a reply is sent whatever its length, also where the command waited for
// its baton, and another goroutine executes it.
func TestOneReplyInPiecesIsSent(t *testing.T) {
	for name, many := range longReplies {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprint(name, waits), func(t *testing.T) {
				p := startProof(t, 4, 1, 0)
				c := p.dial()
				c.do("CLIENT", "SETNAME", "reader")
				fillLong(t, c.nc)
				for range 3 {
					c.reply()
				}
				s := p.sessionOf("reader")
				o := p.outsider()
				if waits {
					o.take(p.srv.allShards...)
				}
				c.raw([]byte(many))
				if waits {
					eventually(t, "the command to wait for a baton", func() bool { return s.parkedBytes.Load() > 0 })
					o.drop()
				}
				for range strings.Count(many, "\n") - 1 {
					c.reply()
				}
				if v := c.reply(); len(v.Elems) != 200 || len(v.Elems[199].Str) != 100_000 {
					t.Errorf("%d elements, or others", len(v.Elems))
				}
			})
		}
	}
}

package server

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fulmen/internal/resp"
)

// TestOneReplyIsBounded: the output limit holds inside one command and inside one transaction, too, before their whole
// reply has been made.
func TestOneReplyIsBounded(t *testing.T) {
	for name, many := range map[string]string{
		"MGET": "MGET" + strings.Repeat(" m", 1000) + "\r\n",
		"EXEC": "MULTI\r\n" + strings.Repeat("GET m\r\n", 1000) + "EXEC\r\n",
	} {
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
			value := make([]byte, 100_000)
			if _, err := c.Write(resp.AppendCommand(nil, []byte("SET"), []byte("m"), value)); err != nil {
				t.Fatal(err)
			}
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
			if keep := cap(p.srv.loops[0].ctx.Out); keep > 8<<20 {
				t.Errorf("%d bytes of reply were made", keep)
			}
		})
	}
}

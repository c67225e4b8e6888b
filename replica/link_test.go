package replica

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"fulmen/internal/clock"
)

// TestKeepAliveOutlivesTimeout: signs of life are sent however long ago the primary was last asked for something.
func TestKeepAliveOutlivesTimeout(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	c := clock.NewFake(time.Now().Add(-time.Hour).UnixMilli())
	l := &Link{o: LinkOptions{TimeoutMs: 60_000, Clock: c}, conn: ours}
	if err := l.extend(); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Hour)
	heard := make(chan byte, 1)
	go func() {
		b := make([]byte, 1)
		_, _ = theirs.Read(b)
		heard <- b[0]
	}()
	if err := l.KeepAlive(); err != nil {
		t.Fatal(err)
	}
	if b := <-heard; b != '\n' {
		t.Errorf("%q is sent", b)
	}
}

// TestTransferPieces: a snapshot comes out of a transfer as it went in, whatever pieces it comes in and however much is
// read at a time, by length and with a mark; one that breaks off ends in an error.
func TestTransferPieces(t *testing.T) {
	mark := strings.Repeat("m", markBytes-1) + "k"
	body := strings.Repeat("m", 30) + strings.Repeat("body "+mark[:30], 20) + strings.Repeat("m", 50)
	for _, c := range []struct {
		head, tail string
	}{{"$EOF:" + mark + "\r\n", mark}, {fmt.Sprintf("\n$%d\r\n", len(body)), ""}} {
		for size := 1; size <= 120; size += 7 {
			for _, broken := range []bool{false, true} {
				ours, theirs := net.Pipe()
				go func() {
					text := c.head + body + c.tail
					if broken {
						text = text[:len(text)-1]
					}
					for i := 0; i < len(text); i += 1 + i%41 {
						if _, err := theirs.Write([]byte(text[i:min(i+1+i%41, len(text))])); err != nil {
							return
						}
					}
					if broken {
						_ = theirs.Close()
					}
				}()
				l := &Link{o: LinkOptions{TimeoutMs: 60_000, Clock: clock.New()}, conn: ours}
				transfer, err := l.Expect()
				if err != nil {
					t.Fatal(err)
				}
				var got strings.Builder
				_, err = io.CopyBuffer(struct{ io.Writer }{&got}, transfer, make([]byte, size))
				switch {
				case broken && err == nil:
					t.Errorf("reads of %d: nobody notices that it is broken off", size)
				case !broken && (err != nil || got.String() != body):
					t.Errorf("reads of %d: %v, %q", size, err, got.String())
				}
				_ = ours.Close()
			}
		}
	}
}

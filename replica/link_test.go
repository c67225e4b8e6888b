package replica

import (
	"net"
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

package redistest

import (
	"slices"
	"testing"
	"time"
)

// Pour sends so many random commands of a grammar to one server, over two connections, and takes no notice of the
// replies. It is for tests that look at what others have of it: replicas, files.
func Pour(t testing.TB, addr string, grammar Grammar, seed uint64, commands int) {
	t.Helper()
	var conns [streamConns]*Conn
	for i := range conns {
		c, err := Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	for batch := range slices.Chunk(newStream(grammar, seed, commands, time.Now().Unix()), streamBatch) {
		for _, step := range batch {
			conns[step.conn].Queue(step.args...)
		}
		for _, step := range batch {
			if err := conns[step.conn].Flush(); err != nil {
				t.Fatal(err)
			}
			if _, err := conns[step.conn].Receive(); err != nil {
				t.Fatalf("after %q: %v", step.args, err)
			}
		}
	}
}

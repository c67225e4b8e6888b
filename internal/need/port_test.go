package need

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPort: a port is the test's until that ends, whether a server listens there or not, and a server can listen there
// again and again.
func TestPort(t *testing.T) {
	port := Port(t)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	taken := func() bool {
		fd, err := keepPort(n)
		if err == nil {
			unix.Close(fd)
		} else if err != unix.EADDRINUSE {
			t.Fatal(err)
		}
		return err != nil
	}
	addr := "127.0.0.1:" + port
	for range 3 {
		if _, err := net.Dial("tcp", addr); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("nobody listens, and a connection gets %v", err)
		}
		if !taken() {
			t.Error("before a server listens, the port is anybody's")
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if !taken() {
			t.Error("while a server listens, the port is anybody's")
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		served, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// The server's end comes first: it leaves a trace at the port.
		for _, end := range []interface{ Close() error }{served, ln, c} {
			if err := end.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

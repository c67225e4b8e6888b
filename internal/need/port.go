package need

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Port gives a port of the loopback interface, in digits, that is the test's until it ends, for a server that listens
// later, ends, and listens again. Meanwhile nobody else gets it: neither another call of Port, of whatever process, nor
// who lets the system choose, nor the near end of a connection. Until a server listens there, connections are refused.
//
// A socket that doesn't listen keeps the port. It was bound as the only one there, and lets others in, as servers ask
// for (SO_REUSEADDR, which redis-server and Go's net set), only afterwards: Linux asks each socket what it allows when
// another one is bound.
func Port(t testing.TB) string {
	t.Helper()
	// None of those that the system gives to who lets it choose.
	const first, end = 10_000, 32_768
	for tries := 0; ; tries++ {
		port := first + rand.IntN(end-first)
		fd, err := keepPort(port)
		if err == nil {
			t.Cleanup(func() { unix.Close(fd) })
			return strconv.Itoa(port)
		}
		if err != unix.EADDRINUSE || tries == 1000 {
			t.Fatalf("need: port %d: %v", port, err)
		}
	}
}

// keepPort gives the descriptor of a socket that has a port, until it is closed.
func keepPort(port int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

package peer

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// heldPort keeps a port of the loopback interface for a server, over restarts, from everybody else. The zero value
// keeps none.
//
// It is a socket that is bound and doesn't listen. Others are let in once it is bound, as servers ask for
// (SO_REUSEADDR): Linux asks each socket what it allows when another one is bound. Who lets the system choose never
// gets such a port.
type heldPort struct {
	socket *os.File
	number string
}

func holdPort() (p heldPort, err error) {
	// None of those that the system gives to who lets it choose.
	const first, end = 10_000, 32_768
	for range 1000 {
		port := first + rand.IntN(end-first)
		if p, err = bindPort(port); err != unix.EADDRINUSE {
			break
		}
	}
	if err != nil {
		return p, fmt.Errorf("peer: a free port: %w", err)
	}
	return p, nil
}

func bindPort(port int) (heldPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return heldPort{}, err
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err != nil {
		unix.Close(fd)
		return heldPort{}, err
	}
	return heldPort{os.NewFile(uintptr(fd), "port"), strconv.Itoa(port)}, nil
}

// release lets others have the port. It may be called again.
func (p *heldPort) release() {
	if p.socket != nil {
		p.socket.Close()
	}
}

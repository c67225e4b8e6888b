package reactor

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Second returns a second handle on the connection's socket, for a goroutine that writes to it, with deadlines, while
// the loop goes on to read. The caller writes nothing through the Conn any more, and closes the handle when the handler
// is told Close: as long as it is open, so is the socket. On the connection's loop, with no output pending.
func (c *Conn) Second() (net.Conn, error) {
	own, err := unix.FcntlInt(uintptr(c.raw.Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(own), "second")
	nc, err := net.FileConn(f)
	_ = f.Close() // FileConn has its own copy
	return nc, err
}

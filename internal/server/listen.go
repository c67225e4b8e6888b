package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/reactor"
)

// reservedFiles is how many descriptors beside clients' the server may need.
const reservedFiles = 128

// Bounds on what connections make the server hold that don't read their replies.
const (
	// stallBytes is from where on a connection is not executed until it has read: the socket's own buffer,
	// a megabyte or more, lies before it.
	stallBytes = 256 << 10
	// stalledShare and minStalledBytes bound all of them together: a share of the machine's memory.
	stalledShare    = 8
	minStalledBytes = 256 << 20
	// As Redis has them for connections that have not authenticated.
	untrustedQueryBytes  = 1 << 20
	untrustedOutputBytes = 1 << 10
)

func connLimits(v *config.Values) reactor.Limits {
	normal, pubsub := v.OutputLimits[config.ClassNormal], v.OutputLimits[config.ClassPubSub]
	return reactor.Limits{
		QueryBufferBytes: int(v.QueryBufferLimitBytes),
		OutputBytes:      int(normal.HardBytes),
		SoftOutputBytes:  int(normal.SoftBytes),
		SoftOutputMs:     normal.SoftSeconds * 1000,

		PushOutputBytes:     int(pubsub.HardBytes),
		PushSoftOutputBytes: int(pubsub.SoftBytes),
		PushSoftOutputMs:    pubsub.SoftSeconds * 1000,

		// Where limits are configured they are reached: being cut is what their user expects of a slow reader.
		StallBytes:           int(max(stallBytes, normal.HardBytes, normal.SoftBytes)),
		StalledTotalBytes:    int(max(minStalledBytes, totalMemory()/stalledShare)),
		UntrustedQueryBytes:  untrustedQueryBytes,
		UntrustedOutputBytes: untrustedOutputBytes,
	}
}

func (srv *Server) keepAlive() time.Duration {
	return time.Duration(srv.cfg.Values().TCPKeepaliveSeconds) * time.Second
}

// listenTCP binds all configured addresses, if there are any. One with a leading '-' may be missing on this machine.
func listenTCP(v *config.Values) ([]net.Listener, error) {
	if v.Port == 0 || len(v.Bind) == 0 {
		return nil, nil
	}
	var listeners []net.Listener
	port := v.Port
	for _, addr := range v.Bind {
		optional := strings.HasPrefix(addr, "-")
		ln, err := listenOn(strings.TrimPrefix(addr, "-"), port, v.TCPBacklog)
		if err != nil {
			if optional && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) ||
				errors.Is(err, unix.EPROTONOSUPPORT)) {
				continue
			}
			return nil, errors.Join(fmt.Errorf("could not create server TCP listening socket %s:%d: %w",
				addr, port, err), closeAll(listeners))
		}
		listeners = append(listeners, ln)
	}
	if len(listeners) == 0 {
		return nil, fmt.Errorf("none of the addresses to bind is available: %s", strings.Join(v.Bind, " "))
	}
	return listeners, nil
}

func listenOn(addr string, port, backlog int) (net.Listener, error) {
	network := "tcp4"
	switch {
	case addr == "*":
		addr = "0.0.0.0"
	case addr == "::*":
		addr, network = "::", "tcp6"
	case strings.Contains(addr, ":"):
		network = "tcp6"
	case net.ParseIP(addr) == nil:
		network = "tcp"
	}
	cfg := net.ListenConfig{KeepAlive: -1}
	ln, err := cfg.Listen(context.Background(), network, net.JoinHostPort(addr, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return ln, setBacklog(ln, backlog)
}

// setBacklog calls listen(2) again with the configured length of the queue.
func setBacklog(ln net.Listener, backlog int) error {
	rc, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var listenErr error
	if err := rc.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), backlog) }); err != nil {
		return err
	}
	return listenErr
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, ln := range listeners {
		err = errors.Join(err, ln.Close())
	}
	return err
}

func (srv *Server) listenUnix(v *config.Values) error {
	if v.UnixSocket == "" {
		return nil
	}
	// The socket of an earlier run is in the way. As in Redis any file is: some clients make one to have a free name.
	if info, err := srv.files.Stat(v.UnixSocket); err == nil && !info.IsDir() {
		if err := srv.files.Remove(v.UnixSocket); err != nil {
			return err
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: v.UnixSocket, Net: "unix"})
	if err != nil {
		return fmt.Errorf("failed opening Unix socket: %w", err)
	}
	ln.SetUnlinkOnClose(false) // Close removes it
	if v.UnixSocketPerm != 0 {
		if err := srv.files.Chmod(v.UnixSocket, permOf(v.UnixSocketPerm)); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	srv.unix = ln
	return nil
}

// admit decides about a new connection on the acceptor's goroutine.
func (srv *Server) admit(nc net.Conn) (refusal []byte) {
	v := srv.cfg.Values()
	if srv.reactor.ConnCount() >= v.MaxClients {
		return resp.AppendError(nil, resp.ErrMaxClients)
	}
	if v.ProtectedMode && v.RequirePass == "" {
		if t, ok := nc.RemoteAddr().(*net.TCPAddr); ok && !t.IP.IsLoopback() {
			return resp.AppendError(nil, resp.ErrDenied)
		}
	}
	return nil
}

// openFiles raises the process's limit of open files to want if it can, and returns the limit there is now.
func openFiles(want uint64) (have uint64, err error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, err
	}
	if lim.Cur >= want {
		return lim.Cur, nil
	}
	raised := unix.Rlimit{Cur: want, Max: max(lim.Max, want)}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
		return want, nil
	}
	raised = unix.Rlimit{Cur: min(want, lim.Max), Max: lim.Max}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
		return raised.Cur, nil
	}
	return lim.Cur, nil
}

// checkFileLimit raises the limit of open files to what maxclients needs, or lowers maxclients.
func (srv *Server) checkFileLimit(v *config.Values) {
	want := uint64(v.MaxClients + reservedFiles)
	have, err := openFiles(want)
	if err != nil {
		srv.log.Warn("Unable to obtain the current NOFILE limit: " + err.Error())
		return
	}
	if have >= want {
		return
	}
	clients := max(int(have)-reservedFiles, 1)
	srv.log.Warn(fmt.Sprintf("You requested maxclients of %d requiring at least %d max file descriptors, but the "+
		"limit is %d. maxclients has been reduced to %d. If you need higher maxclients increase 'ulimit -n'.",
		v.MaxClients, want, have, clients))
	if err := srv.cfg.Override("maxclients", strconv.Itoa(clients)); err != nil {
		srv.log.Warn("lowering maxclients: " + err.Error())
	}
}

// raiseFileLimit is CONFIG SET maxclients.
func raiseFileLimit(clients int) error {
	want := uint64(clients + reservedFiles)
	if have, err := openFiles(want); err != nil || have < want {
		return fmt.Errorf("The operating system is not able to handle the specified number of clients, try with %d",
			max(int(have)-reservedFiles, 1))
	}
	return nil
}

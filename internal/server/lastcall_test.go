package server

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"fulmen/internal/config"
)

// ending serves a server's end as Run does.
type ending struct {
	signals chan os.Signal
	ended   chan error
}

// runEnd has a started server obey SHUTDOWN and signals as Run does.
func runEnd(t testing.TB, srv *Server) *ending {
	e := &ending{signals: make(chan os.Signal, 4), ended: make(chan error, 1)}
	quit := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-quit:
				return
			case <-srv.stops.bell:
			}
			if r, ok := srv.stops.next(); ok {
				if done, err := srv.end(r, e.signals); done {
					e.ended <- err
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(quit)
		<-over
	})
	return e
}

// lastCallServer starts a server with a replica that has not acknowledged the last write, in all end bytes.
func lastCallServer(t testing.TB, args ...string) (*Server, *logBuffer, *client, *lagging, int64) {
	t.Helper()
	srv, log := startLogged(t, append([]string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1000"},
		args...)...)
	x := dialLagging(t, srv)
	ours := dial(t, srv.Addr())
	ours.do(failoverWrite...)
	return srv, log, ours, x, x.lsn + int64(len(record(failoverWrite...)))
}

// TestShutdownWaitsForReplicas: writes wait and INFO counts down until the replica has acknowledged the last byte; then
// the server ends.
func TestShutdownWaitsForReplicas(t *testing.T) {
	srv, log, ours, x, end := lastCallServer(t, "--shutdown-timeout", "1000000")
	e := runEnd(t, srv)
	asker, writer := dial(t, srv.Addr()), dial(t, srv.Addr())
	id := writer.do("CLIENT", "ID")
	asker.send("SHUTDOWN NOSAVE\r\n")
	eventually(t, "it waits", func() bool {
		return strings.Contains(ours.do("INFO", "server"), "\r\nshutdown_in_milliseconds:99")
	})
	eventually(t, "writes are paused", srv.paused)
	writer.send("SET later 1\r\n")
	untilFlag(t, ours, id, "b")
	if got := ours.do("GET", "later"); got != "nil" {
		t.Errorf("a write is executed: %s", got)
	}
	x.ack(end - 1)
	f := (*srv.replication.followers.Load())[0]
	eventually(t, "it has acknowledged all but a byte", func() bool { return int64(f.ackLSN.Load()) == end-1 })
	if srv.replication.lags(uint64(end)) != 1 {
		t.Error("a replica that lacks a byte does not lag")
	}
	select {
	case err := <-e.ended:
		t.Fatalf("it has ended before the replica had everything: %v", err)
	default:
	}
	x.ack(end)
	if err := <-e.ended; err != nil {
		t.Error(err)
	}
	asker.wantClosed()
	for _, want := range []string{"User requested shutdown...", "Waiting for replicas before shutting down.",
		"1 of 1 replicas are in sync when shutting down."} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}

// TestShutdownAborted: SHUTDOWN ABORT while replicas are waited for has writes go on, and all who asked are told.
func TestShutdownAborted(t *testing.T) {
	srv, log, ours, _, _ := lastCallServer(t, "--shutdown-timeout", "1000000")
	runEnd(t, srv)
	const failed = "Errors trying to SHUTDOWN. Check logs."
	for range 3 {
		asker, again, writer := dial(t, srv.Addr()), dial(t, srv.Addr()), dial(t, srv.Addr())
		asker.send("SHUTDOWN\r\n")
		eventually(t, "writes are paused", srv.paused)
		second := again.do("CLIENT", "ID")
		again.send("SHUTDOWN NOW\r\n") // as in Redis it comes too late
		untilFlag(t, ours, second, "b")
		writer.send("SET later 1\r\n")
		if got := ours.do("SHUTDOWN", "ABORT"); got != "OK" {
			t.Fatal(got)
		}
		writer.want("OK")
		asker.want("-ERR " + failed)
		again.want("-ERR " + failed)
		if strings.Contains(ours.do("INFO", "server"), "shutdown_in_milliseconds") {
			t.Error("INFO says that it ends")
		}
	}
	if !strings.Contains(log.String(), "Shutdown manually aborted.") {
		t.Error("the log does not say so")
	}
	if got := ours.do("SHUTDOWN", "ABORT"); got != "-ERR No shutdown in progress." {
		t.Error(got)
	}
}

// TestShutdownTimesOut: replicas that don't acknowledge in time, or are to be given none, are logged and left.
func TestShutdownTimesOut(t *testing.T) {
	for _, c := range []struct {
		timeout string
		how     config.Shutdown
		waits   bool
	}{{"1", config.Shutdown{NoSave: true}, true}, {"0", config.Shutdown{NoSave: true}, false},
		{"1000000", config.Shutdown{NoSave: true, Now: true}, false}} {
		srv, log, _, x, end := lastCallServer(t, "--shutdown-timeout", c.timeout)
		e := runEnd(t, srv)
		srv.stops.ask(stopRequest{how: c.how})
		if err := <-e.ended; err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "Waiting for replicas"); got != c.waits {
			t.Errorf("with shutdown-timeout %s it waits: %t", c.timeout, got)
		}
		for _, want := range []string{
			fmt.Sprintf("Lagging replica 127.0.0.1:%s reported offset %d behind master, lag=", x.port, end-x.lsn),
			"state=online.",
			"0 of 1 replicas are in sync when shutting down.",
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
	}
}

// TestShutdownInsisted: SIGINT ends the server at once if a signal has come before.
func TestShutdownInsisted(t *testing.T) {
	srv, _, _, _, _ := lastCallServer(t, "--shutdown-timeout", "1000000")
	e := runEnd(t, srv)
	srv.stops.ask(stopRequest{})
	e.signals <- syscall.SIGINT
	e.signals <- syscall.SIGTERM
	e.signals <- syscall.SIGINT
	if err := <-e.ended; err != ErrInsisted {
		t.Error(err)
	}
}

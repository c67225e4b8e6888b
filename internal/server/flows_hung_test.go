package server

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"weak"
)

// hungPair are kinds of two replicas that share a walk, the first of which takes nothing in.
type hungPair struct{ hungByFlows, otherByFlows bool }

var hungPairs = []hungPair{{true, true}, {false, false}, {true, false}}

// hungBeside has a replica that takes nothing in share a walk with another one, which has to come to have the data at
// its first attempt, and has a repl-timeout. Limits are those of the primary. It returns the hung one, which says all
// the time that it is there, and the primary and its log.
func hungBeside(t *testing.T, kind hungPair, timeout string, limits ...string) (*asker, *Server, *logBuffer) {
	t.Helper()
	srv, log := startLogged(t, append([]string{
		"--repl-diskless-sync-delay", "1000", "--repl-diskless-sync-max-replicas", "2", "--shards", "2",
		"--rdbcompression", "no",
	}, limits...)...)
	capa := "eof"
	if kind.hungByFlows {
		capa = "fulmen-flows=1,2"
	}
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "40000", "key", "2000")
	hung := newAsker(t, srv, capa)
	ours.wantInfo("replication", "connected_slaves", "1")
	replica, theirLog := startLogged(t, "--repl-flows", strconv.Itoa(2*btoi(kind.otherByFlows)), "--repl-timeout",
		timeout)
	theirs := dial(t, replica.Addr())
	host, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	theirs.do("REPLICAOF", host, port)
	quit, over := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(quit); <-over })
	if kind.hungByFlows {
		hung.offered()
		for i := range 2 {
			hung.open(fmt.Sprintf("%s:%d", hung.token, i))
		}
	} else if got := hung.line(); !strings.HasPrefix(got, "+FULLRESYNC ") {
		t.Fatal(got)
	}
	go func() {
		defer close(over)
		for {
			select {
			case <-quit:
				return
			case <-time.After(100 * time.Millisecond):
				_, _ = io.WriteString(hung.Conn, "REPLCONF ACK 0\r\n") // until it is dropped
			}
		}
	}()
	waitLinked(t, theirs)
	sameData(t, ours, theirs)
	theirLog.wantLogged(t, 1, "sync started")
	return hung, srv, log
}

// TestHungReplicaHoldsUpNoOther: a replica that takes nothing of its data in, and says that it is there, holds up none
// that shares the walk: what it lacks goes to a file. That it goes in the end is no error of the walk.
func TestHungReplicaHoldsUpNoOther(t *testing.T) {
	for _, kind := range hungPairs {
		hung, srv, log := hungBeside(t, kind, "3600", "--repl-timeout", "3600")
		log.wantLogged(t, 0, "Disconnecting")
		log.wantLogged(t, 0, "Background transfer")
		if srv.replication.spools.Bytes() == 0 {
			t.Error("nothing has gone to a file")
		}
		_ = hung.Close()
		log.wantLogged(t, 1, "Background transfer terminated with success")
		log.wantLogged(t, 0, "Background transfer error")
		if n := srv.replication.spools.Bytes(); n != 0 {
			t.Errorf("%d bytes are left in files", n)
		}
	}
}

// TestHungReplicaWithoutRoom: where there is no room for what a hung replica lacks it goes before those that wait for
// it have waited for too long.
func TestHungReplicaWithoutRoom(t *testing.T) {
	for _, kind := range hungPairs {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel()
			_, _, log := hungBeside(t, kind, "32", "--repl-timeout", "40", "--repl-spool-limit", "0")
			log.wantLogged(t, 1, "Disconnecting timedout replica (full sync)")
		})
	}
}

// TestFailedReplicaIsNamed: of replicas that share a walk the one is named whose data can't be sent.
func TestFailedReplicaIsNamed(t *testing.T) {
	srv, log := startLogged(t, "--repl-diskless-sync-delay", "1000", "--repl-diskless-sync-max-replicas", "2",
		"--shards", "2")
	ours := dial(t, srv.Addr())
	ours.do("DEBUG", "POPULATE", "1000")
	late := newAsker(t, srv, "fulmen-flows=1,2")
	ours.wantInfo("replication", "connected_slaves", "1")
	a := askForFlows(t, srv, "fulmen-flows=1,2")
	late.offered()
	for i := range 2 {
		flow, hello := a.open(fmt.Sprintf("%s:%d", a.token, i))
		if !strings.HasPrefix(hello, "+FLOW ") {
			t.Fatal(hello)
		}
		flow.takeTo(strings.TrimPrefix(flow.line(), "$EOF:"))
	}
	a.say("REPLCONF ACK " + strconv.FormatInt(a.lsn, 10))
	late.wantEnd("it has opened no flow")
	log.wantLogged(t, 1, "Diskless rdb transfer, write error sending DB to replica 127.0.0.1:7: flow ")
	log.wantLogged(t, 1, "Background transfer terminated with success")
	log.wantLogged(t, 0, "Background transfer error")
}

// TestNothingIsAwaitedTwice: that an acknowledgement is waited for is not said once it has come.
func TestNothingIsAwaitedTwice(t *testing.T) {
	srv, log := startLogged(t, "--repl-diskless-sync-delay", "0", "--shards", "1")
	a := askForFlows(t, srv, "fulmen-flows=1,1")
	f := (*srv.replication.followers.Load())[0]
	flow, _ := a.open(a.token + ":0")
	flow.takeTo(strings.TrimPrefix(flow.line(), "$EOF:"))
	log.wantLogged(t, 1, "by flows succeeded. Waiting for REPLCONF ACK")
	a.say("REPLCONF ACK " + strconv.FormatInt(a.lsn, 10))
	eventually(t, "it is online", func() bool { return f.is(online) })
	f.flowed() // as if the sender had been late
	log.wantLogged(t, 1, "Waiting for REPLCONF ACK")
}

// TestFlowsLeaveNothing: the sessions that flows have come by are not kept while their replica is connected.
func TestFlowsLeaveNothing(t *testing.T) {
	srv := startServer(t, "--repl-diskless-sync-delay", "0", "--shards", "2")
	a := askForFlows(t, srv, "fulmen-flows=1,2")
	f := (*srv.replication.followers.Load())[0]
	offer := weak.Make(f.offer.Load())
	var sessions []weak.Pointer[Session]
	for i := range 2 {
		flow, _ := a.open(fmt.Sprintf("%s:%d", a.token, i))
		sessions = append(sessions, weak.Make(offer.Value().conn(i).s))
		flow.takeTo(strings.TrimPrefix(flow.line(), "$EOF:"))
		_ = flow.Close()
	}
	a.say("REPLCONF ACK " + strconv.FormatInt(a.lsn, 10))
	eventually(t, "nobody knows them any more", func() bool {
		runtime.GC()
		return f.is(online) && offer.Value() == nil && sessions[0].Value() == nil && sessions[1].Value() == nil
	})
	runtime.KeepAlive(f)
}

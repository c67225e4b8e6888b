package server

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Before the server ends scripts that run are over, as in Redis, which obeys signals between two commands only. Then
// replicas are to have everything: writes are paused, and for shutdown-timeout they may acknowledge what they have. So
// any of them can take over, or go on when the server comes back. At last an append-only file that begins is to be
// there.

// errAborted is lastCall's when the server is to go on.
var errAborted = errors.New("the shutdown was aborted")

// lastCall waits until replicas have everything, or their time is up. The error is ErrInsisted, or errAborted: then the
// pause is still on.
func (srv *Server) lastCall(r stopRequest, signals <-chan os.Signal) error {
	rep := &srv.replication
	timeoutMs := srv.cfg.Values().ShutdownTimeoutSeconds * 1000
	// A replica of ours may have the end of the stream as it is now; what a primary sends later has no end.
	end := rep.stream().Offset()
	rep.hadTime.Store(r.how.Now)
	defer func() { srv.lastCallMs.Store(0) }()
	if !r.how.Now && timeoutMs != 0 && rep.lags(end) > 0 {
		srv.lastCallMs.Store(srv.set.Clock.NowMs() + timeoutMs)
		srv.log.Info("Waiting for replicas before shutting down.")
		var err error
		if end, err = srv.awaitReplicas(r.signal, signals); err != nil {
			return err
		}
		rep.hadTime.Store(true)
	}
	rep.logLags(end)
	return nil
}

// awaitScripts waits until the scripts are over that stand still now, unless a client doesn't want that: SHUTDOWN
// NOSAVE ends the server in the middle of a script. The error is ErrInsisted, or errAborted: the server goes on.
func (srv *Server) awaitScripts(signals <-chan os.Signal) error {
	v := &srv.scripts.running
	last := v.last()
	over := func() (bool, error) { return srv.stops.unsaved() || !v.runs(last), nil }
	if done, _ := over(); done {
		return nil
	}
	srv.log.Warn("Waiting for a script: the server ends when that is over; SCRIPT KILL, FUNCTION KILL or SHUTDOWN " +
		"NOSAVE end it")
	return srv.awaitBeforeEnd(signals, over)
}

// awaitBeforeEnd waits until over is, or fails. The error is that, ErrInsisted, or errAborted.
func (srv *Server) awaitBeforeEnd(signals <-chan os.Signal, over func() (bool, error)) error {
	tick := time.NewTicker(lastCallTick)
	defer tick.Stop()
	for {
		if srv.stops.aborted() {
			srv.log.Warn("Shutdown manually aborted.")
			return errAborted
		}
		if done, err := over(); done || err != nil {
			return err
		}
		select {
		case sig := <-signals:
			if srv.insists(sig) {
				return ErrInsisted
			}
		case <-srv.stops.bell:
		case <-tick.C:
		}
	}
}

// awaitLog waits until there is an append-only file, if there is to be one and its first files are being written: the
// next start would load what was there before. The error is ErrInsisted, or errAborted: the server goes on.
func (srv *Server) awaitLog(r stopRequest, signals <-chan os.Signal) error {
	a := &srv.aof
	switch {
	case !a.wantsTurn():
		return nil
	case r.how.Force:
		srv.log.Warn("Writing initial AOF. Exit anyway.")
		return nil
	}
	srv.log.Warn("Writing initial AOF: the server ends when that is done, or with SHUTDOWN FORCE")
	return srv.awaitBeforeEnd(signals, func() (bool, error) {
		switch {
		case !a.wantsTurn():
			return true, nil
		case srv.stops.forced():
			srv.log.Warn("Writing initial AOF. Exit anyway.")
			return true, nil
		case a.unbegun.Load() != nil && !a.rewrites.busy(): // it is not being tried again
			srv.log.Warn("Writing initial AOF, can't exit. SHUTDOWN FORCE ends the server without it.")
			return false, errAborted
		}
		return false, nil
	})
}

// lastCallTick is how often it is looked whether replicas have everything.
const lastCallTick = 5 * time.Millisecond

// awaitReplicas pauses writes, waits until replicas have all of the stream, or the time is up, and returns its end.
// insists says whether SIGINT ends the server at once.
func (srv *Server) awaitReplicas(insists bool, signals <-chan os.Signal) (end uint64, err error) {
	paused := make(chan uint64, 1)
	pauses := func(*loop) {
		srv.pausing.begin(srv, pauseForShutdown, pause{endMs: forever}, true)
		paused <- srv.replication.stream().Offset()
	}
	tick := time.NewTicker(lastCallTick)
	defer tick.Stop()
	for asked, known := false, false; ; {
		asked = asked || srv.lastCallTx.run(pauses, nil) // one that was aborted may not be over
		select {
		case end = <-paused:
			known = true
		case sig := <-signals:
			srv.log.Warn("Received " + signalName(sig) + " scheduling shutdown...")
			if sig == syscall.SIGINT && insists {
				return end, ErrInsisted
			}
			insists = true
			continue
		case <-srv.stops.bell:
		case <-tick.C:
		}
		switch {
		case !known: // the pause will begin
		case srv.stops.aborted():
			srv.log.Info("Shutdown manually aborted.")
			return end, errAborted
		case srv.replication.lags(end) == 0 || srv.set.Clock.NowMs() >= srv.lastCallMs.Load():
			return end, nil
		}
	}
}

// lags returns how many replicas have not acknowledged all up to a position.
func (r *replication) lags(end uint64) (n int) {
	for _, f := range *r.followers.Load() {
		n += btoi(f.ackLSN.Load() < end)
	}
	return n
}

// logLags tells which replicas do not have everything.
func (r *replication) logLags(end uint64) {
	list, nowMs := *r.followers.Load(), r.srv.set.Clock.NowMs()
	if len(list) == 0 {
		return
	}
	lagging := 0
	for _, f := range list {
		has := f.ackLSN.Load()
		if has >= end {
			continue
		}
		lagging++
		lag := int64(0)
		if f.is(online) {
			lag = nowMs/1000 - f.ackMs.Load()/1000
		}
		r.srv.log.Warn(fmt.Sprintf("Lagging replica %s reported offset %d behind master, lag=%d, state=%s.", f.name(),
			end-has, lag, followerState(f.state.Load())))
	}
	r.srv.log.Info(fmt.Sprintf("%d of %d replicas are in sync when shutting down.", len(list)-lagging, len(list)))
}

package server

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/snapshot"
	"fulmen/shard"
	"fulmen/shard/command"
)

// The end of the server: SHUTDOWN and signals are requests to Run. It pauses writes until replicas have everything
// (lastcall.go), and saves if that is wanted. From the cut of that save on no baton is given back, so that no change is
// acknowledged that is not in it.

func shutdownRow() *command.Row {
	return &command.Row{Info: command.Info{
		Name: "shutdown", Arity: -1,
		Flags: command.Admin | command.NoScript | command.Loading | command.Stale | command.NoMulti | command.AllowBusy,
		Group: "server", Since: "1.0.0",
		Summary: "Synchronously save the dataset to disk and then shut down the server",
		Complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, " +
			"otherwise O(1)",
		History: []command.Change{{Since: "7.0.0", What: "Added the `NOW`, `FORCE` and `ABORT` modifiers."}},
		Args:    "nosave_save?(NOSAVE|SAVE) NOW?@7.0.0 FORCE?@7.0.0 ABORT?@7.0.0",
	}, RunSession: onSession(cmdShutdown)}
}

// stopRequest asks for the end.
type stopRequest struct {
	how    config.Shutdown
	signal bool   // it is a signal's
	who    *await // replied to if the server goes on; nil: nobody
}

// stopDesk takes requests for the end, and hands them to Run.
type stopDesk struct {
	bell chan struct{} // of length 1: something is here

	mu       sync.Mutex
	requests []stopRequest
	busy     bool     // Run is at it
	aborts   []*await // SHUTDOWN ABORT
}

func (d *stopDesk) ring() {
	select {
	case d.bell <- struct{}{}:
	default:
	}
}

func (d *stopDesk) ask(r stopRequest) {
	d.mu.Lock()
	d.requests = append(d.requests, r)
	d.mu.Unlock()
	d.ring()
}

// next returns the first of the requests, which says how the server is to end, and from then on the desk is busy;
// false: there is none.
func (d *stopDesk) next() (r stopRequest, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.requests) == 0 {
		return r, false
	}
	d.busy = true
	return d.requests[0], true
}

// abort has who wait for the end of the shutdown under way, which is to be given up; false: there is none.
func (d *stopDesk) abort(s *Session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.busy {
		return false
	}
	d.aborts = append(d.aborts, s.await())
	d.ring()
	return true
}

func (d *stopDesk) aborted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.aborts) > 0
}

// forced tells whether somebody wants the end whatever is lost.
func (d *stopDesk) forced() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.requests, func(r stopRequest) bool { return r.how.Force })
}

// unsaved tells whether a client wants the end without a save.
func (d *stopDesk) unsaved() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.requests, func(r stopRequest) bool { return r.how.NoSave && !r.signal })
}

// fail tells all who asked that the server goes on.
func (d *stopDesk) fail() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.requests {
		if r.who != nil {
			r.who.end(func(s *Session) error {
				s.waiting.Store(false)
				return resp.ErrShutdownFailed
			})
		}
	}
	for _, a := range d.aborts {
		a.end(func(s *Session) error {
			s.c.OK()
			return nil
		})
	}
	d.requests, d.aborts, d.busy = nil, nil, false
}

// SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]: no reply, unless the server goes on
func cmdShutdown(s *Session) error {
	a := s.c.ArgsFrom(1)
	var how config.Shutdown
	abort := false
	for a.More() {
		switch {
		case a.Option("nosave"):
			how.NoSave = true
		case a.Option("save"):
			how.Save = true
		case a.Option("now"):
			how.Now = true
		case a.Option("force"):
			how.Force = true
		case a.Option("abort"):
			abort = true
		default:
			return resp.ErrSyntax
		}
	}
	if abort && how != (config.Shutdown{}) || how.Save && how.NoSave {
		return resp.ErrSyntax
	}
	if abort {
		if !s.srv.stops.abort(s) {
			return resp.Errorf("ERR", "No shutdown in progress.")
		}
		return nil
	}
	if refusal := s.srv.scripts.running.refusal.Load(); refusal != nil && !how.NoSave {
		return refusal
	}
	s.waiting.Store(true)
	s.srv.stops.ask(stopRequest{how: how, who: s.await()})
	return nil
}

// ErrInsisted is Run's when SIGINT came before an earlier signal was obeyed. A second SIGTERM says nothing new, as in
// Redis: timeout(1) and others send it twice.
var ErrInsisted = errors.New("You insist... exiting now.")

// Run serves until a signal or SHUTDOWN ends it. It returns nil if nothing went wrong; the process is to end then with
// code 0, else with 1.
func (srv *Server) Run(signals <-chan os.Signal) error {
	if err := srv.Start(); err != nil {
		return err
	}
	for {
		select {
		case sig := <-signals:
			if srv.isLoading() {
				srv.log.Warn("Received shutdown signal during loading, exiting now.")
				return nil // nothing was changed, and the end of the process frees all
			}
			srv.log.Warn("Received " + signalName(sig) + " scheduling shutdown...")
			v := srv.cfg.Values()
			how := v.OnSigterm
			if sig == syscall.SIGINT {
				how = v.OnSigint
			}
			srv.stops.ask(stopRequest{how: how, signal: true})
		case <-srv.stops.bell:
		case err := <-srv.loadFailed:
			return errors.Join(err, srv.Shutdown())
		}
		if r, ok := srv.stops.next(); ok {
			if done, err := srv.end(r, signals); done {
				return err
			}
		}
	}
}

// insists tells whether a signal that comes while the server is ending ends it at once.
func (srv *Server) insists(sig os.Signal) bool {
	if sig == syscall.SIGINT {
		return true
	}
	srv.log.Warn("Received " + signalName(sig) + " while ending: the server ends when all is done, or on SIGINT")
	return false
}

func signalName(sig os.Signal) string {
	switch sig {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	}
	return sig.String()
}

// end ends the server unless it can't be saved what should be. It reports whether it has ended.
func (srv *Server) end(r stopRequest, signals <-chan os.Signal) (done bool, err error) {
	how := r.how
	srv.log.Warn("User requested shutdown...")
	if srv.isLoading() {
		return true, nil // what is there is half of what the file has
	}
	err = srv.awaitScripts(signals)
	how.NoSave = how.NoSave || srv.stops.unsaved()
	if err == nil {
		err = srv.lastCall(r, signals)
	}
	if err == nil {
		err = srv.awaitLog(r, signals)
	}
	switch {
	case errors.Is(err, ErrInsisted):
		return true, err
	case err != nil: // it was aborted
		srv.unpause(pauseForShutdown)
		srv.stops.fail()
		return false, nil
	}
	if len(srv.cfg.Values().SavePoints) == 0 && !how.Save || how.NoSave {
		return true, srv.leave()
	}
	srv.log.Info("Saving the final RDB snapshot before exiting.")
	err = srv.finalSave(signals)
	switch {
	case errors.Is(err, ErrInsisted):
		return true, err
	case err == nil:
		return true, srv.leave()
	case how.Force && !srv.stops.aborted():
		srv.log.Warn("Error trying to save the DB. Exit anyway.")
		return true, srv.leave()
	case srv.stops.aborted():
		srv.log.Warn("Shutdown manually aborted.")
	default:
		srv.log.Warn("Error trying to save the DB, can't exit.")
	}
	srv.log.Warn("Errors trying to shut down the server. Check the logs for more information.")
	srv.upstream.reopen()
	srv.stopTx.giveBack()
	srv.unpause(pauseForShutdown)
	srv.stops.fail()
	return false, nil
}

// leave stops serving, and says so if all went well; else the error is the last word.
func (srv *Server) leave() error {
	err := srv.Shutdown()
	if err == nil {
		srv.log.Warn("Fulmen is now ready to exit, bye bye...")
	}
	return err
}

// finalSave takes all batons and saves; the batons stay with it. Before that the server stops following: what waits for
// batons on behalf of a primary would wait for ever.
func (srv *Server) finalSave(signals <-chan os.Signal) error {
	held := make(chan *shard.Seizure, 1)
	go func() {
		srv.upstream.close()
		for !srv.stopTx.run(func(*loop) {}, func(z *shard.Seizure) { held <- z }) {
			time.Sleep(lastCallTick) // the batons of a save before are about to come back
		}
	}()
	for got := false; !got; {
		select {
		case <-held:
			got = true
		case sig := <-signals:
			if srv.insists(sig) {
				return ErrInsisted
			}
		}
	}
	v := &srv.saves
	if v.giveUpHeld() {
		srv.log.Warn("There was a save under way. It was given up!")
	}
	result := make(chan error, 1)
	run := &saveRun{foreground: true, flush: true, held: true}
	run.note(func(err error) { result <- err })
	if err := v.begin(run); err != nil {
		return err
	}
	go run.save.RunHeld()
	for {
		select {
		case err := <-result:
			return err
		case sig := <-signals:
			if srv.insists(sig) {
				return ErrInsisted
			}
		case <-srv.stops.bell:
			if srv.stops.aborted() {
				run.save.Cancel()
			}
		}
	}
}

// giveUpHeld gives up the save that is under way, if one is, and waits for its end; all batons are held.
func (v *saves) giveUpHeld() bool {
	v.srv.aof.rewrites.giveUp(true, true)
	v.srv.replication.giveUp(true)
	v.mu.Lock()
	run := v.run
	over := make(chan struct{})
	if run != nil {
		run.note(func(error) { close(over) })
	}
	v.mu.Unlock()
	if run == nil {
		return false
	}
	run.save.Cancel()
	run.save.RunHeld()
	<-over
	return true
}

// close gives up the save that is under way, if one is, and waits for its end; none may begin any more. The loops are
// still running.
func (v *saves) close() {
	v.mu.Lock()
	v.closed = true
	run := v.run
	over := make(chan struct{})
	if run != nil {
		run.note(func(error) { close(over) })
		run.save.Cancel()
	}
	v.mu.Unlock()
	if run != nil {
		<-over
	}
}

// errClosing is why no save begins when the server ends.
var errClosing = fmt.Errorf("the server is ending: %w", snapshot.ErrCancelled)

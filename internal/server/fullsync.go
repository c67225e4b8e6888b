package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"fulmen/internal/config"
	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/persist/vfs"
	"fulmen/replica"
)

// Full syncs. Replicas that wait share a walk, of which there is one at a time over all that walk (saves.claimSync).
// Its cut is a position of the stream: what the walk brings is the data there, and from there on the stream follows,
// kept by a Pin. Without a disk what the walk brings goes to the sockets as it comes, to each as fast as that takes it:
// a slow replica holds up neither the others nor the walk, because what is too much for memory goes to a temporary file
// (replica.Overflow). Where that has no room, the walk and all others wait for the slowest, and writers in the end:
// replicas that take nothing in are dropped then (follower.checkLimits). By file they get it at their own pace, too.

// Replicas that are Fulmen servers get it by flows (flows.go), in the same walk, which is encoded twice then.

// fullSync is a full sync under way; it is the walk's Sink for those that get all of it as one stream.
type fullSync struct {
	// Immutable after the cut.
	r       *replication
	pin     replica.Pin
	db      int // selected in the stream at the pin
	history *replica.History
	members []*follower // of the walk's one stream
	flows   *flowSync   // what the others get; nil: there are none
	save    *snapshot.Save
	beganMs int64
	over    chan struct{} // closed: it has ended

	mark []byte // 40 digits that end the data; nil: by file

	// The walk's.
	left []*follower                      // members: by file those that are still there, else those of the beginning
	out  atomic.Pointer[replica.Overflow] // to the senders; nil: there are none
	file vfs.File                         // nil: without
	path string
	size int64

	senders sync.WaitGroup
	staying atomic.Int32 // members with a sender that have not failed
	served  atomic.Int32 // members that were sent everything
}

// beginDue begins a full sync if replicas wait for one and have waited for others to come, unless some other walk is
// under way. On the sampler's goroutine, and where a replica has just asked.
func (r *replication) beginDue(v *config.Values, nowMs int64) {
	r.mu.Lock()
	wanted := r.wantBacklog
	r.mu.Unlock()
	waiting, longest := 0, int64(0)
	for _, f := range *r.followers.Load() {
		if f.is(awaitsCut) {
			waiting++
			longest = max(longest, nowMs-f.askedMs)
		}
	}
	due := waiting > 0 && (!v.DisklessSync || longest >= v.DisklessSyncDelaySeconds*1000 ||
		v.DisklessSyncMaxReplicas > 0 && int64(waiting) >= v.DisklessSyncMaxReplicas)
	switch {
	case due && r.srv.saves.claimSync():
		r.mu.Lock()
		r.claimed = true
		r.mu.Unlock()
		if !r.tx.run(func(*loop) { r.cut() }, nil) {
			r.unclaim()
		}
	case wanted:
		r.tx.run(func(*loop) { r.keepBacklog() }, nil)
	}
}

// takeClaim tells whether a sync is to begin, and leaves that to the caller.
func (r *replication) takeClaim() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	claimed := r.claimed
	r.claimed = false
	return claimed
}

// unclaim ends the claim of a sync that is not to begin, if there is one.
func (r *replication) unclaim() {
	if r.takeClaim() {
		r.srv.saves.unclaimSync()
	}
}

// cut begins a full sync for all that wait; all batons are held, and no walk is under way.
func (r *replication) cut() {
	if !r.takeClaim() {
		return // it was given up, or the server ends
	}
	srv := r.srv
	v, nowMs := srv.cfg.Values(), srv.set.Clock.NowMs()
	r.keepBacklog()
	job := &fullSync{r: r, history: r.history.Load(), beganMs: nowMs, over: make(chan struct{})}
	diskless := v.DisklessSync
	var bare, byFlows []*follower
	for _, f := range *r.followers.Load() {
		switch {
		case !f.is(awaitsCut):
		case f.intro.noData:
			bare = append(bare, f)
		case f.getsFlows(v):
			byFlows = append(byFlows, f)
		default:
			job.members = append(job.members, f)
			diskless = diskless && f.intro.eof
		}
	}
	if diskless {
		job.mark = []byte(replica.NewHistory().ID)
	}
	job.left, job.flows = slices.Clone(job.members), job.newFlowSync(byFlows, v)
	pin := r.stream().Pin() // by itself: a replica keeps nothing else of the sync once that is over
	job.pin = pin
	if srv.following() {
		_, job.db = srv.upstream.position()
	} // else every frame of the log begins in database 0
	for _, f := range slices.Concat(job.members, byFlows, bare) {
		f.feed.SetSent(job.pin.LSN())
		f.pin.Store(&pin)
		f.state.Store(int32(awaitsData))
	}
	for _, f := range bare {
		if err := job.handOver(f, &handover{hello: job.noData(f), awaitAck: true}); err != nil {
			f.drop("")
		}
	}
	sinks := job.sinks()
	if len(sinks) == 0 {
		job.end()
		return
	}
	srv.log.Info("Starting BGSAVE for SYNC with target: " + job.target())
	// Nothing ends it before it is known here: its walk needs the batons.
	save, err := srv.saver.Begin(snapshot.Request{
		Sinks: sinks, Aux: job.aux(srv, nowMs), Functions: srv.functions.codes(),
		Done: job.finished,
	})
	if err != nil {
		srv.log.Warn("BGSAVE for replication failed: " + err.Error())
		job.end()
		return
	}
	job.save = save
	srv.saves.noteCut(save.Progress().CutNs, nowMs)
	r.mu.Lock()
	r.sync = job
	closed := r.closed
	r.mu.Unlock()
	if closed {
		save.Cancel()
	}
}

// getsFlows tells whether the replica gets its data by flows.
func (f *follower) getsFlows(v *config.Values) bool {
	return v.DisklessSync && v.ReplFlows != 0 && f.intro.flows.Number > 0 && f.psync && !f.intro.rdbOnly
}

// sinks are what the walk is to bring its data to.
func (job *fullSync) sinks() (list []snapshot.Sink) {
	if len(job.members) > 0 {
		list = append(list, job)
	}
	if job.flows != nil {
		list = append(list, job.flows)
	}
	return list
}

// all are the replicas that get something from the walk.
func (job *fullSync) all() []*follower {
	if job.flows == nil {
		return job.members
	}
	return slices.Concat(job.members, job.flows.members)
}

// awaited is how many replicas wait for their data. Safe from any goroutine.
func (job *fullSync) awaited() (n int) {
	for _, f := range job.all() {
		select {
		case <-f.feed.Closed():
		default:
			if f.is(awaitsData) {
				n++
			}
		}
	}
	return n
}

// noData is what a replica gets that wants no keys: it needs no walk.
func (job *fullSync) noData(f *follower) []byte {
	srv := job.r.srv
	var body bytes.Buffer
	w := rdb.NewWriter(&body, rdb.WriteOptions{Version: rdb.Version7, Checksum: true})
	w.Header()
	for _, fact := range job.aux(srv, job.beganMs) {
		w.Aux(fact[0], fact[1])
	}
	if !f.intro.noFunctions {
		for _, code := range srv.functions.codes() {
			w.Function(code)
		}
	}
	if err := w.End(); err != nil {
		panic("BUG: writing to memory: " + err.Error())
	}
	mark := replica.NewHistory().ID
	return fmt.Appendf(nil, "%s$EOF:%s\r\n%s%s", job.answer(f), mark, body.Bytes(), mark)
}

// answer is the reply to what a replica has asked with.
func (job *fullSync) answer(f *follower) string {
	if !f.psync {
		return ""
	}
	return fmt.Sprintf("+FULLRESYNC %s %d\r\n", job.history.ID, job.pin.LSN())
}

// syncUnderWay returns the full sync that is under way, nil if none is. Safe from any goroutine.
func (r *replication) syncUnderWay() *fullSync {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sync
}

// endDeserted gives up the full sync that is under way if none of its replicas is left.
func (r *replication) endDeserted() {
	job := r.syncUnderWay()
	if job == nil {
		return
	}
	for _, f := range job.all() {
		select {
		case <-f.feed.Closed():
		default:
			return
		}
	}
	job.save.Cancel()
}

// syncProgress is how far a full sync is that is under way, nil if none is, and for how many seconds it has been, else
// -1.
func (r *replication) syncProgress() (*snapshot.Progress, int64) {
	job := r.syncUnderWay()
	if job == nil {
		return nil, -1
	}
	p := job.save.Progress()
	return &p, (r.srv.set.Clock.NowMs() - job.beganMs) / 1000
}

// target is the log's word for where the data goes.
func (job *fullSync) target() string {
	if len(job.members) > 0 && job.mark == nil {
		return "disk"
	}
	return "replicas sockets"
}

// aux are the facts at the head of the data.
func (job *fullSync) aux(srv *Server, nowMs int64) [][2]string {
	return withPlace(srv.snapshotAux(nowMs), job.history.ID, job.pin.LSN(), job.db)
}

// end lets go of what a sync has claimed. Replicas that it has not served have to ask again.
func (job *fullSync) end() {
	job.pin.Close()
	for _, f := range job.all() {
		if job.owes(f) {
			f.drop("")
		}
	}
	job.r.srv.saves.unclaimSync()
	close(job.over)
}

// owes tells whether a replica was not sent all of its data, and nobody is about to.
func (job *fullSync) owes(f *follower) bool {
	o := f.loading()
	return f.is(awaitsData) && (!f.handed() || o != nil && o.unsent.Load() > 0)
}

// finished is called by the walk when it is over.
func (job *fullSync) finished(result snapshot.Result) {
	r := job.r
	srv := r.srv
	r.mu.Lock()
	r.sync = nil
	r.mu.Unlock()
	if err := job.fault(result); err == nil {
		srv.log.Info(fmt.Sprintf("Background transfer terminated with success: %d keys, %d bytes, %.3f s; the cut "+
			"took %d us", result.Saved, result.Bytes, float64(result.ElapsedNs)/1e9, result.CutNs/1000))
	} else {
		srv.log.Warn("Background transfer error: " + err.Error())
	}
	srv.aof.applyPolicy()
	job.end()
}

// fault is what a sync has failed of, nil if replicas were served: that the others have gone was told of each of them.
func (job *fullSync) fault(result snapshot.Result) error {
	var errs []error
	deserted := 0
	for _, err := range result.Sinks {
		switch {
		case errors.Is(err, errNobodyLeft):
			deserted++
		case err != nil:
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 && deserted < len(result.Sinks) {
		return nil
	}
	if len(errs) == 0 || errors.Is(result.Err, snapshot.ErrCancelled) {
		return result.Err
	}
	var names []string
	for _, f := range job.all() {
		if job.owes(f) {
			names = append(names, f.name())
		}
	}
	return fmt.Errorf("%w; replicas that were not served: %s", errors.Join(errs...), strings.Join(names, ", "))
}

// errNobodyLeft is why a walk ends whose replicas are all gone.
var errNobodyLeft = errors.New("no replica is left")

// errWalkOver is why a replica is sent nothing more though it is there.
var errWalkOver = errors.New("the walk has ended")

// failed drops a replica that can't be sent its data; why is told unless its connection or the walk has ended.
func (job *fullSync) failed(f *follower, why error) {
	known := false
	for _, end := range []error{replica.ErrClosed, net.ErrClosed, errWalkOver, errNobodyLeft} {
		known = known || errors.Is(why, end)
	}
	if !known {
		job.r.srv.log.Warn("Diskless rdb transfer, write error sending DB to replica " + f.name() + ": " + why.Error())
	}
	f.drop("")
}

// each does something for every replica that is still there, and drops those for which it fails.
func (job *fullSync) each(do func(f *follower) error) error {
	left := job.left[:0]
	for _, f := range job.left {
		if err := do(f); err != nil {
			job.failed(f, err)
			continue
		}
		left = append(left, f)
	}
	if job.left = left; len(left) == 0 {
		return errNobodyLeft
	}
	return nil
}

// Begin implements snapshot.Sink: the replicas are told where the stream will go on.
func (job *fullSync) Begin(*snapshot.Cut) (snapshot.Form, error) {
	srv := job.r.srv
	v := srv.cfg.Values()
	err := job.each(func(f *follower) error {
		hello := job.answer(f)
		if job.mark == nil {
			_, err := io.WriteString(f.feed, hello)
			return err
		}
		return f.feed.Begin([]byte(hello + "$EOF:" + string(job.mark) + "\r\n"))
	})
	if err == nil && job.mark != nil {
		out := replica.NewOverflow(job.r.spools, replica.OverflowBytes)
		job.out.Store(out)
		job.staying.Store(int32(len(job.left)))
		for _, f := range job.left {
			in := out.Reader()
			job.senders.Go(func() { job.passOn(f, in) })
		}
	}
	if err == nil && job.mark == nil {
		job.path = filepath.Join(v.Dir, fmt.Sprintf("temp-%d.rdb", os.Getpid()))
		job.file, err = srv.files.Create(job.path, 0o644)
	}
	return snapshot.Form{Streams: 1, WriteOptions: rdb.WriteOptions{
		LZF: v.RDBCompressed, Checksum: v.RDBChecksum,
	}}, err
}

// Open implements snapshot.Sink.
func (job *fullSync) Open(int) (io.Writer, error) { return job, nil }

// Write takes what the walk brings.
func (job *fullSync) Write(p []byte) (int, error) {
	if out := job.out.Load(); out != nil {
		return out.Write(p)
	}
	n, err := job.file.Write(p)
	job.size += int64(n)
	return n, err
}

// passOn is the goroutine of a sender: it brings a replica what the walk brings, and hands it over.
func (job *fullSync) passOn(f *follower, in *replica.OverflowReader) {
	defer in.Close()
	var err error
	for err == nil {
		var p []byte
		if p, err = in.Next(); err == nil {
			_, err = f.feed.Write(p)
		}
	}
	if err == io.EOF {
		// The mark is its own goroutine's: as soon as a replica has it, it may acknowledge, and counts.
		err = job.handOver(f, &handover{hello: job.mark, awaitAck: true})
	}
	if err == nil {
		job.served.Add(1)
		return
	}
	job.failed(f, err)
	if job.staying.Add(-1) == 0 {
		job.out.Load().Fail(errNobodyLeft) // the walk need not go on
	}
}

// closeQueue lets go of a queue that nobody reads any more.
func (job *fullSync) closeQueue(out *replica.Overflow) {
	out.Fail(errNobodyLeft) // who still writes to it need not
	if err := out.Close(); err != nil {
		job.r.srv.log.Warn("A slow replica has held up a synchronization, as its data has no room in temporary " +
			"files: " + err.Error())
	}
}

// full tells whether the walk, and with it all replicas, waits for the slowest of them. Safe from any goroutine.
func (job *fullSync) full() bool {
	if out := job.out.Load(); out != nil && out.Full() {
		return true
	}
	return job.flows != nil && job.flows.full()
}

// Commit implements snapshot.Sink: from here on every replica goes its own way.
func (job *fullSync) Commit([]int64) error {
	if out := job.out.Load(); out != nil {
		out.CloseWrite()
		job.senders.Wait()
		if job.served.Load() == 0 {
			return errNobodyLeft
		}
		job.closeQueue(out)
		return nil
	}
	srv := job.r.srv
	if err := job.file.Close(); err != nil {
		return err
	}
	job.file = nil
	file, err := srv.files.Open(job.path)
	if err != nil {
		return err
	}
	shared := &sharedFile{file: file, size: job.size}
	shared.users.Store(1)
	defer shared.release()
	if err := srv.files.Remove(job.path); err != nil {
		return err
	}
	job.path = ""
	return job.each(func(f *follower) error {
		shared.users.Add(1)
		return job.handOver(f, &handover{hello: fmt.Appendf(nil, "$%d\r\n", job.size), file: shared})
	})
}

// handOver has a replica's own goroutine go on, with what h says and the stream from the cut.
func (job *fullSync) handOver(f *follower, h *handover) error {
	if !f.intro.rdbOnly { // else what nobody will read would be kept until it has the data
		var err error
		if h.src, err = job.pin.Open(f.feed.Ring); err == nil && job.r.fault.Load() == faultStreamLate {
			h.src.Close()
			h.src, err = job.r.stream().Open(job.r.stream().Offset(), f.feed.Ring)
		}
		if err != nil {
			h.close()
			return err
		}
		f.src.Store(&h.src)
	}
	f.hand(h)
	return nil
}

// Abort implements snapshot.Sink.
func (job *fullSync) Abort(why error) {
	log := job.r.srv.log
	if out := job.out.Load(); out != nil {
		out.Fail(errors.Join(errWalkOver, why))
		for _, f := range job.members {
			f.drop("") // its sender may be writing to it
		}
		job.senders.Wait()
		job.closeQueue(out)
	}
	if job.file != nil {
		if err := job.file.Close(); err != nil {
			log.Debug("the file of a synchronization that has failed", "error", err)
		}
	}
	if job.path != "" {
		if err := job.r.srv.files.Remove(job.path); err != nil {
			log.Warn("the file of a synchronization that has failed can't be removed: " + err.Error())
		}
	}
}

// sharedFile is the file of a full sync, which has no name any more and goes when the last replica has it.
type sharedFile struct {
	file  vfs.Reader
	size  int64
	users atomic.Int32
}

// send sends all of it.
func (s *sharedFile) send(to io.Writer) error {
	buf := make([]byte, 256<<10)
	_, err := io.CopyBuffer(to, io.NewSectionReader(s.file, 0, s.size), buf)
	return err
}

func (s *sharedFile) release() {
	if s.users.Add(-1) == 0 {
		_ = s.file.Close() // it was read
	}
}

package server

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"fulmen/internal/config"
	"fulmen/internal/console"
	"fulmen/shard"
)

// consoleServer is the console as configured by http-port and http-bind: off, or listening.
type consoleServer struct {
	mu      sync.Mutex
	running *console.Console // nil: off
	port    int              // what is listened on; 0: off
	bind    []string
	gone    []<-chan struct{} // of consoles that were stopped; closed when their connections are gone
	closed  bool
}

// apply listens where v says. The old addresses are let go of first, since the new ones may overlap; if the new ones
// can't be had the old ones are taken again.
func (c *consoleServer) apply(srv *Server, v *config.Values) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || v.HTTPPort == c.port && (c.port == 0 || slices.Equal(v.HTTPBind, c.bind)) {
		return nil
	}
	port, bind := c.port, c.bind
	c.stop()
	err := c.listen(srv, v, v.HTTPPort, v.HTTPBind)
	if err == nil {
		return nil
	}
	if back := c.listen(srv, v, port, bind); back != nil {
		srv.log.Warn("http console: binding the old addresses again: " + back.Error())
	}
	return fmt.Errorf("http console: %w", err)
}

// listen starts a console on the given addresses; port 0 leaves it off.
func (c *consoleServer) listen(srv *Server, v *config.Values, port int, bind []string) error {
	if port == 0 {
		return nil
	}
	at := *v
	at.Port, at.Bind = port, bind
	listeners, err := listenTCP(&at)
	if err != nil {
		return err
	}
	c.running = console.New(consoleSource{srv}, bind, func(text string) { srv.log.Info(text) })
	for _, ln := range listeners {
		c.running.Serve(ln)
		srv.log.Info("http console: /metrics, /status and /healthz at " + ln.Addr().String())
		if a, ok := ln.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			srv.log.Warn("http console: whoever can reach " + ln.Addr().String() + " can read it: it has no password")
		}
	}
	c.port, c.bind = port, bind
	return nil
}

// stop frees the addresses at once; connections are let end in the background, because an event loop waits.
func (c *consoleServer) stop() {
	c.port, c.bind = 0, nil
	if c.running == nil {
		return
	}
	c.gone = slices.DeleteFunc(c.gone, func(done <-chan struct{}) bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	c.gone = append(c.gone, c.running.Stop())
	c.running = nil
}

// close ends the console for good and waits until no request uses the server any more, a second at most.
func (c *consoleServer) close() {
	c.mu.Lock()
	c.closed = true
	c.stop()
	gone := c.gone
	c.mu.Unlock()
	for _, done := range gone {
		<-done
	}
}

// consoleSource is the server as the console sees it. It takes no baton: everything is in atomics.
type consoleSource struct{ srv *Server }

// stuckMs is how long a loop may be busy with one thing, or kept from running, before the server counts as ill. Loops
// come round every 10 ms.
const stuckMs = 3000

// Health implements console.Source.
func (src consoleSource) Health() error {
	if src.srv.stopping.Load() {
		return errors.New("the server is shutting down")
	}
	// Not so a save that fails: whoever restarts the server for it loses the data.
	if u := src.srv.loading.now.Load(); u != nil {
		return fmt.Errorf("loading: %.1f %%", u.percent())
	}
	now := src.srv.set.Clock.NowMs()
	for _, l := range src.srv.loops {
		if silent := now - l.cameRoundMs.Load(); silent > stuckMs {
			return fmt.Errorf("event loop %d has not come round for %d s", l.rl.ID, silent/1000)
		}
	}
	return nil
}

// Status implements console.Source.
func (src consoleSource) Status() *console.Status {
	srv := src.srv
	gc := readGC()
	st := &console.Status{
		Version: Version, RedisVersion: RedisVersion, GoVersion: runtime.Version(),
		RunID: srv.runID, ProcessID: os.Getpid(), UptimeSeconds: (srv.set.Clock.NowMs() - srv.startMs) / 1000,
		GCCPUSeconds: gc.cpuSeconds, ProcessCPUSeconds: processCPUSeconds(), GoHeapBytes: gc.heapBytes,
		UsedMemoryBytes: srv.usedMemory(), RSSBytes: residentBytes(srv.files),
		CommandsProcessed: srv.commandsProcessed(),
		Latency:           srv.latency(), Keyspace: srv.keyspaceCounts(), Errors: srv.errorCodes(),
	}
	src.traffic(st)
	src.shards(st)
	src.memory(st)
	st.Persistence = srv.persistenceStatus(st.Events.Changes)
	return st
}

// persistenceStatus tells of saves and loads; dirty are the changes since the start.
func (srv *Server) persistenceStatus(dirty int64) console.Persistence {
	f := srv.saves.figures(dirty)
	cuts, cutNs := srv.saves.cutFigures()
	p := console.Persistence{
		LoadedKeys: f.loadedKeys, Changes: f.changes, Saves: f.begun, LastOK: !f.failed, LastUnix: f.lastSaveMs / 1000,
		LastSeconds: float64(f.last.ElapsedNs) / 1e9, LastBytes: f.last.Bytes, LastKeys: f.last.Saved,
		CopiedBytes: f.last.CopiedBytes, WritersHeld: f.heldBack,
		WritesRefused: srv.restricted.Load()&whileDiskFailing != 0,
	}
	if cuts > 0 {
		p.CutUs = float64(cutNs) / 1000
	}
	if f.current != nil {
		p.Saving, p.SavePercent, p.BufferBytes = true, percentSaved(f.current), f.current.BufferBytes
	}
	if u := srv.loading.now.Load(); u != nil {
		p.Loading, p.LoadPercent, p.LoadedKeys = true, u.percent(), u.progress.Keys.Load()
	}
	return p
}

// processCPUSeconds is the user and system time of the process.
func processCPUSeconds() float64 {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
}

func (srv *Server) latency() (l console.Latency) {
	var totalNs int64
	for _, row := range srv.table.All() {
		st := srv.rowTotals(row.Index)
		if st.Calls+st.Rejected == 0 {
			continue
		}
		totalNs += st.Ns
		l.Calls += st.Calls
		l.Commands = append(l.Commands, console.Command{
			Name: row.FullName, Calls: st.Calls, Failed: st.Failed, Rejected: st.Rejected,
			TotalUs: float64(st.Ns) / 1000, MeanUs: meanUs(st.Ns, st.Calls),
		})
	}
	l.MeanUs = meanUs(totalNs, l.Calls)
	return l
}

func meanUs(ns, n int64) float64 { return float64(ns) / 1000 / float64(max(n, 1)) }

// keyspaceCounts lists the databases that have keys.
func (srv *Server) keyspaceCounts() (list []console.Database) {
	for id := range srv.set.Databases() {
		db := console.Database{DB: id}
		for _, s := range srv.set.Shards {
			counts := s.DB(id).PublishedCounts()
			db.Keys += counts.Keys
			db.Expires += counts.Expires
		}
		if db.Keys > 0 {
			list = append(list, db)
		}
	}
	return list
}

// traffic fills in what the reactor and the sampler know.
func (src consoleSource) traffic(st *console.Status) {
	srv := src.srv
	totals := srv.reactor.Totals()
	st.Throughput = console.Throughput{
		CommandsPerSecond:    srv.sampler.ops.average.Load(),
		InputBytesPerSecond:  srv.sampler.in.average.Load(),
		OutputBytesPerSecond: srv.sampler.out.average.Load(),
		InputBytes:           totals.NetInputBytes,
		OutputBytes:          totals.NetOutputBytes,
	}
	st.Connections = console.Connections{
		Current: int64(srv.reactor.ConnCount()), Limit: int64(srv.cfg.Values().MaxClients),
		Accepted: totals.Accepted, Refused: totals.Refused, Failed: totals.AcceptFailures,
		QueryLimitCloses: totals.QueryLimitHits, OutputLimitCloses: totals.OutputLimitHits,
	}
	for _, l := range srv.reactor.Loops() {
		st.Connections.PerLoop = append(st.Connections.PerLoop, int64(l.ConnCount()))
	}
}

// shards fills in the shards and the sums over them.
func (src consoleSource) shards(st *console.Status) {
	for _, s := range src.srv.set.Shards {
		row := console.Shard{ID: s.ID, Bytes: s.PublishedBytes(), Holds: holdsOf(s)}
		for id := range src.srv.set.Databases() {
			counts := s.DB(id).PublishedCounts()
			row.Keys += counts.Keys
			row.IndexBytes += counts.IndexBytes
		}
		st.Shards = append(st.Shards, row)
		st.Memory.IndexBytes += row.IndexBytes
		st.Memory.ArenaBytes += row.Bytes

		counted, lazy := s.PublishedStats()
		e := &st.Events
		e.Hits += counted.Hits
		e.Misses += counted.Misses
		e.Changes += counted.Dirty
		e.ExpiredKeys += counted.ExpiredKeys
		e.InboxTasks += counted.Drained
		e.HandedOver += counted.HandedOver
		e.LazyFreed += counted.LazyFreed
		e.LazyPending += lazy
		e.BackgroundUs += counted.ExpireCycleNs / 1000
		e.CutShort += counted.ExpireTimeouts
	}
}

func holdsOf(s *shard.Shard) console.Holds {
	h := s.Holds()
	holds := console.NewHolds(bucketsOf(&h.Count), h.TotalNs, h.MaxNs)
	holds.CPU = console.NewHoldTimes(bucketsOf(&h.CPU), h.MaxCPUNs)
	holds.By = map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(h.Long)) {
		l := h.Long[name]
		maxUs := float64(l.MaxNs) / 1000
		holds.Long = append(holds.Long, console.LongHold{
			Name: name, Count: l.Count, MaxUs: maxUs, CPUUs: float64(l.MaxCPUNs) / 1000,
		})
		holds.By[name] = maxUs
	}
	return holds
}

func bucketsOf(counts *[shard.HoldBuckets]uint64) []console.HoldBucket {
	buckets := make([]console.HoldBucket, len(counts))
	for i, n := range counts {
		buckets[i] = console.HoldBucket{UpToNs: shard.HoldBucketNs(i), Count: n}
	}
	return buckets
}

// memory completes what shards has begun.
func (src consoleSource) memory(st *console.Status) {
	srv, m := src.srv, &st.Memory
	space := srv.space.Stats()
	m.UsedBytes, m.RSSBytes, m.GoHeapBytes = st.UsedMemoryBytes, st.RSSBytes, st.GoHeapBytes
	m.PeakBytes = max(srv.peakMemory.Load(), m.UsedBytes)
	m.LimitBytes = srv.memory.Load().limit
	m.ArenaMappedBytes, m.ArenaFreeBytes = space.MappedBytes, space.FreeBytes
	m.ClientBytes = srv.clientBytes()
	m.LogBytes = srv.set.Log.MemoryBytes()
}

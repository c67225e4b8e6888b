package server

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/internal/clock"
	"fulmen/shard/command"
)

// rowStat is one row's published counts on one loop.
type rowStat struct {
	calls, failed, rejected, ns atomic.Int64
}

// sharedStats are a loop's counts as others may read them; written by the loop once a batch.
type sharedStats struct {
	rows  []rowStat
	total atomic.Int64
	mu    sync.Mutex
	codes map[string]int64 // error replies by code
}

func newSharedStats(t *command.Table) *sharedStats {
	return &sharedStats{rows: make([]rowStat, len(t.All())), codes: map[string]int64{}}
}

// add publishes one row's counts of a batch.
func (s *sharedStats) add(i int, st *command.CallStat) {
	r := &s.rows[i]
	r.calls.Add(st.Calls)
	r.ns.Add(st.Ns)
	if st.Failed != 0 {
		r.failed.Add(st.Failed)
	}
	if st.Rejected != 0 {
		r.rejected.Add(st.Rejected)
	}
	s.total.Add(st.Calls + st.Rejected)
}

// addErrors publishes counts of error replies and empties the map.
func (s *sharedStats) addErrors(errors map[string]int64) {
	s.mu.Lock()
	for code, n := range errors {
		s.codes[code] += n
	}
	s.mu.Unlock()
	clear(errors)
}

func (s *sharedStats) reset() {
	for i := range s.rows {
		r := &s.rows[i]
		r.calls.Store(0)
		r.failed.Store(0)
		r.rejected.Store(0)
		r.ns.Store(0)
	}
	s.total.Store(0)
	s.mu.Lock()
	clear(s.codes)
	s.mu.Unlock()
}

// rowTotals sums one row over the loops.
func (srv *Server) rowTotals(index int) (sum command.CallStat) {
	for _, s := range srv.shared {
		r := &s.rows[index]
		sum.Calls += r.calls.Load()
		sum.Failed += r.failed.Load()
		sum.Rejected += r.rejected.Load()
		sum.Ns += r.ns.Load()
	}
	return sum
}

func (srv *Server) commandsProcessed() (n int64) {
	for _, s := range srv.shared {
		n += s.total.Load()
	}
	return n
}

func (srv *Server) errorCodes() map[string]int64 {
	sum := map[string]int64{}
	for _, s := range srv.shared {
		s.mu.Lock()
		for code, n := range s.codes {
			sum[code] += n
		}
		s.mu.Unlock()
	}
	return sum
}

// samples is over how many periods instantaneous figures are averaged, as in Redis.
const (
	samples      = 16
	samplePeriod = 100 * time.Millisecond
)

// sampler measures rates: commands and bytes per second over the last 1.6 s. It also keeps the peak of
// used memory.
type sampler struct {
	quit    chan struct{}
	done    chan struct{}
	ops     rate
	in, out rate
	again   atomic.Bool // CONFIG RESETSTAT: the rates begin anew

	usedBytes int64       // memory in use when that was last looked at …
	changedNs int64       // … and when it was last so different that the system's pages had to follow, 0: never
	heapDueNs int64       // when the Go heap is to be looked at
	heap      heapFigures // allocated then, and kept after it was last given back
}

// rate averages the growth of a counter.
type rate struct {
	lastNs, last int64
	perSecond    [samples]int64
	next         int
	average      atomic.Int64
}

func (r *rate) sample(nowNs, value int64) {
	if r.lastNs != 0 && nowNs > r.lastNs && value >= r.last {
		r.perSecond[r.next] = (value - r.last) * int64(time.Second) / (nowNs - r.lastNs)
		r.next = (r.next + 1) % samples
		sum := int64(0)
		for _, v := range r.perSecond {
			sum += v
		}
		r.average.Store(sum / samples)
	}
	r.lastNs, r.last = nowNs, value
}

// forget has the average begin anew.
func (r *rate) forget() {
	r.lastNs = 0
	clear(r.perSecond[:])
	r.average.Store(0)
}

// reset has all rates begin anew. Safe from any goroutine.
func (s *sampler) reset() {
	s.again.Store(true)
	for _, r := range []*rate{&s.ops, &s.in, &s.out} {
		r.average.Store(0)
	}
}

func (s *sampler) start(srv *Server) {
	s.quit, s.done = make(chan struct{}), make(chan struct{})
	s.usedBytes = srv.usedMemory()
	go func() {
		defer close(s.done)
		t := time.NewTicker(samplePeriod)
		defer t.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-srv.space.Low():
				srv.space.Prepare()
				continue
			case <-t.C:
			}
			now := srv.set.Clock.NowNs()
			srv.bufferPeaks.turn(now)
			totals := srv.reactor.Totals()
			if s.again.Swap(false) {
				s.ops.forget()
				s.in.forget()
				s.out.forget()
			}
			s.ops.sample(now, srv.commandsProcessed())
			s.in.sample(now, totals.NetInputBytes)
			s.out.sample(now, totals.NetOutputBytes)
			used := srv.usedMemory()
			if used > srv.peakMemory.Load() {
				srv.peakMemory.Store(used)
			}
			if used < s.usedBytes-memoryStep || used > s.usedBytes+memoryStep {
				s.usedBytes, s.changedNs = used, now
			}
			srv.processors.follow(srv, s.changedNs != 0 && now-s.changedNs < memoryNs)
			srv.defrag.sample(srv)
			srv.upstream.cron()
			if !srv.cronPaused.Load() {
				srv.aof.rewrites.cron()
				srv.saves.cron()
				srv.aof.trim(srv.set.Clock.NowMs())
			}
			srv.aof.tellTime()
			srv.aof.keepUp()
			if srv.aof.enabled() {
				srv.gate.update() // what is not synced grows older
			}
			if !srv.isLoading() {
				srv.replication.cron()
			}
			srv.migrator.sweep(srv.set.Clock.NowMs())
			srv.space.Release(releaseBudget)
			srv.set.Log.Scavenge(now)
			s.releaseHeap(srv.set.Clock)
		}
	}()
}

// A change of the memory in use by memoryStep has the sampler look after the system's pages (Prepare, Release), which
// it has done after memoryNs.
const (
	memoryStep = 1 << 20
	memoryNs   = int64(500 * time.Millisecond)
)

// releaseBudget bounds the bytes given back to the operating system per sampling period.
const releaseBudget = 32 << 20

// The Go heap holds buffers, without pointers, mostly: collecting it is cheap at any size. After a peak of big queries
// or replies it is given back; the runtime by itself would keep it for minutes. What a lesser load has left behind,
// some megabytes, is given back when the load is over: when next to nothing is allocated any more. Many subscriptions
// have many pointers: where collecting takes long it is done the less often.
const (
	heapEveryNs    = 500_000_000
	heapSlackBytes = 64 << 20
	heapCostShare  = 50 // one part in so many of the time, at most
	heapGrownBytes = 1 << 20
)

// heapFigures are what the runtime says of the Go heap, in bytes.
type heapFigures struct {
	kept      int64 // of the system's memory
	allocated int64 // since the start
}

// releaseHeap collects the Go heap and returns its memory to the system, if it is larger than a server needs.
func (s *sampler) releaseHeap(clock clock.Clock) {
	nowNs := clock.NowNs()
	if nowNs < s.heapDueNs {
		return
	}
	s.heapDueNs = nowNs + heapEveryNs
	now := readHeap()
	quiet := now.allocated-s.heap.allocated < heapGrownBytes
	s.heap.allocated = now.allocated
	if now.kept > heapSlackBytes || quiet && now.kept > s.heap.kept+heapGrownBytes {
		debug.FreeOSMemory()
		s.heapDueNs = nowNs + max(heapEveryNs, heapCostShare*(clock.NowNs()-nowNs))
		s.heap.kept = readHeap().kept
	}
}

func readHeap() heapFigures {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	var kept uint64
	for _, m := range samples[:3] {
		kept += m.Value.Uint64()
	}
	return heapFigures{int64(kept), int64(samples[3].Value.Uint64())}
}

func (s *sampler) close() {
	if s.quit != nil {
		close(s.quit)
		<-s.done
	}
}

// peakSlots is for how many seconds the largest buffers of clients are remembered.
const peakSlots = 8

// bufferPeaks are the largest query and output buffers that clients had in the last seconds, a slot each. Atomic.
type bufferPeaks struct {
	slot    atomic.Int64 // the current one; moved on by the sampler
	in, out [peakSlots]atomic.Int64
	turnNs  int64 // when the slot is moved on; the sampler's
}

// note keeps the sizes of a client's buffers.
func (p *bufferPeaks) note(in, out int64) {
	i := p.slot.Load()
	raise(&p.in[i], in)
	raise(&p.out[i], out)
}

func raise(to *atomic.Int64, n int64) {
	for {
		old := to.Load()
		if n <= old || to.CompareAndSwap(old, n) {
			return
		}
	}
}

// turn begins a new slot each second; it forgets what was there.
func (p *bufferPeaks) turn(nowNs int64) {
	if nowNs < p.turnNs {
		return
	}
	p.turnNs = nowNs + int64(time.Second)
	next := (p.slot.Load() + 1) % peakSlots
	p.in[next].Store(0)
	p.out[next].Store(0)
	p.slot.Store(next)
}

func (p *bufferPeaks) recent() (in, out int64) {
	for i := range p.in {
		in, out = max(in, p.in[i].Load()), max(out, p.out[i].Load())
	}
	return in, out
}

package console

import "math"

// Status is everything that the console shows; its JSON form is what /status answers. Counters count since the start
// or the last CONFIG RESETSTAT, unless they say otherwise. The names of the figures on top are read by benchmarks.
type Status struct {
	Version       string `json:"fulmen_version"`
	RedisVersion  string `json:"redis_version"`
	GoVersion     string `json:"go_version"`
	RunID         string `json:"run_id"`
	ProcessID     int    `json:"process_id"`
	UptimeSeconds int64  `json:"uptime_seconds"`

	GCCPUSeconds      float64 `json:"gc_cpu_seconds"`      // collector, without its use of idle time; since the start
	ProcessCPUSeconds float64 `json:"process_cpu_seconds"` // user and system; since the start
	GoHeapBytes       int64   `json:"go_heap_bytes"`
	UsedMemoryBytes   int64   `json:"used_memory_bytes"` // what counts against maxmemory
	RSSBytes          int64   `json:"rss_bytes"`
	CommandsProcessed int64   `json:"commands_processed"` // refused ones included

	Throughput  Throughput       `json:"throughput"`
	Latency     Latency          `json:"latency"`
	Memory      Memory           `json:"memory"`
	Connections Connections      `json:"connections"`
	Keyspace    []Database       `json:"keyspace"` // databases that have keys
	Events      Events           `json:"events"`
	Persistence Persistence      `json:"persistence"`
	Errors      map[string]int64 `json:"errors"` // error replies by code
	Shards      []Shard          `json:"shards"`
}

// Throughput is how much goes through. Rates are averages of the last 1.6 s.
type Throughput struct {
	CommandsPerSecond    int64 `json:"commands_per_second"`
	InputBytesPerSecond  int64 `json:"input_bytes_per_second"`
	OutputBytesPerSecond int64 `json:"output_bytes_per_second"`
	InputBytes           int64 `json:"input_bytes"`
	OutputBytes          int64 `json:"output_bytes"`
}

// Latency is how long commands took from the end of the one before on the same event loop, or from the arrival of
// their batch, to their own end.
type Latency struct {
	MeanUs   float64   `json:"mean_us"`
	Calls    int64     `json:"calls"`
	Commands []Command `json:"commands"` // those that were called or refused
}

// Command are the counts of one command or subcommand.
type Command struct {
	Name     string  `json:"name"` // a subcommand's as "config|get"
	Calls    int64   `json:"calls"`
	Failed   int64   `json:"failed"`
	Rejected int64   `json:"rejected"`
	MeanUs   float64 `json:"mean_us"`
	TotalUs  float64 `json:"total_us"`
}

// Memory is where the bytes are.
type Memory struct {
	UsedBytes        int64 `json:"used_bytes"`
	PeakBytes        int64 `json:"peak_bytes"`  // of UsedBytes
	LimitBytes       int64 `json:"limit_bytes"` // maxmemory, 0: none
	RSSBytes         int64 `json:"rss_bytes"`
	ArenaBytes       int64 `json:"arena_bytes"`        // keys, values and indexes
	ArenaMappedBytes int64 `json:"arena_mapped_bytes"` // made accessible so far
	ArenaFreeBytes   int64 `json:"arena_free_bytes"`   // of these, in slabs that no shard holds
	IndexBytes       int64 `json:"index_bytes"`        // of ArenaBytes
	ClientBytes      int64 `json:"client_bytes"`       // connections and their buffers
	LogBytes         int64 `json:"log_bytes"`
	GoHeapBytes      int64 `json:"go_heap_bytes"`
}

// Connections are the clients' connections.
type Connections struct {
	Current           int64   `json:"current"`
	Limit             int64   `json:"limit"`
	PerLoop           []int64 `json:"per_loop"`
	Accepted          int64   `json:"accepted"`
	Refused           int64   `json:"refused"`
	Failed            int64   `json:"failed"`              // could not be accepted
	QueryLimitCloses  int64   `json:"query_limit_closes"`  // closed because of their query buffer
	OutputLimitCloses int64   `json:"output_limit_closes"` // closed because they did not read
}

// Database is one database over all shards.
type Database struct {
	DB      int   `json:"db"`
	Keys    int64 `json:"keys"` // expired ones that are still there included
	Expires int64 `json:"expires"`
}

// Events are counted in the shards; some 10 ms old.
type Events struct {
	Hits         int64 `json:"keyspace_hits"`
	Misses       int64 `json:"keyspace_misses"`
	Changes      int64 `json:"changes"` // since the start
	ExpiredKeys  int64 `json:"expired_keys"`
	InboxTasks   int64 `json:"inbox_tasks"`        // commands that were executed by another loop than their own
	HandedOver   int64 `json:"batons_handed_over"` // to transactions that waited for several
	LazyFreed    int64 `json:"lazy_freed"`
	LazyPending  int64 `json:"lazy_pending"` // now
	BackgroundUs int64 `json:"background_us"`
	CutShort     int64 `json:"background_cut_short"` // slices of background work that used up their time
}

// Persistence is what is saved and loaded.
type Persistence struct {
	Loading       bool    `json:"loading"`
	LoadPercent   float64 `json:"load_percent"` // of the bytes of the load under way
	LoadedKeys    int64   `json:"loaded_keys"`  // by the last load, or by the one under way
	Saving        bool    `json:"saving"`
	SavePercent   float64 `json:"save_percent"` // of the keys of the save under way
	BufferBytes   int64   `json:"save_buffer_bytes"`
	Changes       int64   `json:"changes_since_last_save"`
	Saves         int64   `json:"saves"` // begun
	LastOK        bool    `json:"last_save_ok"`
	LastUnix      int64   `json:"last_save_unix_seconds"` // when the last good one ended
	LastSeconds   float64 `json:"last_save_seconds"`
	LastBytes     int64   `json:"last_save_bytes"`
	LastKeys      int64   `json:"last_save_keys"`
	CopiedBytes   int64   `json:"last_save_copied_bytes"` // by writers, before they changed what was still to be saved
	CutUs         float64 `json:"last_cut_us"`
	WritersHeld   int64   `json:"writers_held_back"` // because a save had no memory left
	WritesRefused bool    `json:"writes_refused"`    // because of a save that failed
}

// Shard is one shard.
type Shard struct {
	ID         int   `json:"id"`
	Keys       int64 `json:"keys"`
	Bytes      int64 `json:"bytes"`
	IndexBytes int64 `json:"index_bytes"`
	Holds      Holds `json:"holds"`
}

// HoldTimes are percentiles of a histogram of holds: upper bounds, at most a quarter above the truth.
type HoldTimes struct {
	P50Us    float64 `json:"p50_us"`
	P99Us    float64 `json:"p99_us"`
	P999Us   float64 `json:"p999_us"`
	P99999Us float64 `json:"p99999_us"`
	MaxUs    float64 `json:"max_us"`
}

// Holds is how long a shard's baton was held: by the wall clock, in which the thread may not have been running, and in
// CPU by the processor's time.
type Holds struct {
	Count   uint64  `json:"count"`
	TotalUs float64 `json:"total_us"`
	HoldTimes
	CPU  HoldTimes          `json:"cpu"`
	Long []LongHold         `json:"long"` // those of 1 ms and more, by what took most of the time; by name
	By   map[string]float64 `json:"by"`   // the longest of each in Long, in µs

	buckets []HoldBucket
}

// LongHold counts the long holds of one command or job.
type LongHold struct {
	Name  string  `json:"name"`
	Count int64   `json:"count"`
	MaxUs float64 `json:"max_us"`
	CPUUs float64 `json:"cpu_max_us"` // by processor time: much less if the thread was not running
}

// HoldBucket is one bucket of a histogram: so many holds were not longer, and longer than the bucket before says.
type HoldBucket struct {
	UpToNs int64
	Count  uint64
}

// NewHolds works out the percentiles of a histogram, whose buckets are ascending and become the result's own. CPU, Long
// and By are left to the caller.
func NewHolds(buckets []HoldBucket, totalNs, maxNs int64) Holds {
	h := Holds{TotalUs: us(totalNs), HoldTimes: NewHoldTimes(buckets, maxNs), buckets: buckets}
	for _, b := range buckets {
		h.Count += b.Count
	}
	return h
}

// NewHoldTimes works out the percentiles of a histogram, whose buckets are ascending.
func NewHoldTimes(buckets []HoldBucket, maxNs int64) HoldTimes {
	var count uint64
	for _, b := range buckets {
		count += b.Count
	}
	quantile := func(q float64) float64 {
		rank := uint64(math.Ceil(q * float64(count)))
		var seen uint64
		for _, b := range buckets {
			if seen += b.Count; seen >= rank && seen > 0 {
				return us(min(b.UpToNs, maxNs))
			}
		}
		return 0
	}
	return HoldTimes{
		P50Us: quantile(0.5), P99Us: quantile(0.99), P999Us: quantile(0.999), P99999Us: quantile(0.99999),
		MaxUs: us(maxNs),
	}
}

func us(ns int64) float64 { return float64(ns) / 1000 }

package config

import (
	"fmt"
	"slices"
	"strings"
)

// Values is a consistent snapshot of every parameter, typed for those that read them. It never changes after
// publication: readers must not write to it or to its slices, and may keep it as long as they like.
type Values struct {
	// Where clients come in.
	Port           int      // 0: no TCP
	Bind           []string // addresses; a leading "-" means that it may be missing; "*" and "::*" mean all of a family
	UnixSocket     string   // path, "" for none
	UnixSocketPerm uint32   // file mode of the socket, 0: as umask leaves it
	ProtectedMode  bool     // without a password only loopback and unix clients are served
	TCPBacklog     int
	HTTPPort       int      // port of /metrics, /healthz and /status, 0: off
	HTTPBind       []string // as Bind

	// What a connection may use.
	MaxClients             int
	TimeoutSeconds         int   // idle clients are closed after it, 0: never
	TCPKeepaliveSeconds    int   // 0: off
	ProtoMaxBulkLenBytes   int64 // longest argument
	QueryBufferLimitBytes  int64
	OutputLimits           OutputLimits
	RequirePass            string       // "": none
	EnableDebugCommand     ProtectedUse // who may use DEBUG
	EnableModuleCommand    ProtectedUse // who may use MODULE but for LIST and HELP
	EnableProtectedConfigs ProtectedUse // who may set protected parameters

	// Up to what sorted sets are called listpacks.
	ZSetMaxListpackEntries    int64
	ZSetMaxListpackValueBytes int64
	StreamNodeMaxBytes        int64 // 0: no limit
	StreamNodeMaxEntries      int64 // 0: no limit

	// The process.
	Dir        string // absolute working directory
	Daemonize  bool
	PidFile    string // "": none, but a daemon's default
	LogLevel   LogLevel
	LogFile    string // "": standard output
	Hz         int    // rate of background checks, 1..500 per second
	Shards     int    // partitions for a new data directory, resolved: at least 1
	EventLoops int    // resolved: at least 1

	// The data.
	Databases           int
	MaxMemoryBytes      int64 // 0: no limit
	MaxMemoryClients    int64 // of all clients together; 0: no limit, negative: percent of MaxMemoryBytes
	MaxMemoryPolicy     int   // place of the word in Redis's order: volatile-lru 0 … noeviction 7
	MaxMemorySamples    int   // keys looked at for a victim, at least 1
	MaxMemoryTenacity   int   // effort of eviction before a command, 0..100
	LFULogFactor        int64 // the higher, the slower counters of uses grow
	LFUDecayMinutes     int64 // after which a counter falls by one, 0: never
	LazyFlushByDefault  bool  // FLUSHALL and FLUSHDB without an option are ASYNC
	ListMaxListpackSize int   // as in Redis: items if positive, a step of sizes if negative

	// Sizes of collections beyond which their encodings are called by other names.
	HashMaxListpackEntries    int64
	HashMaxListpackValueBytes int64

	HLLSparseMaxBytes int64 // size beyond which a HyperLogLog is dense

	// Snapshots.
	SavePoints            []SavePoint
	StopWritesOnSaveError bool
	DBFilename            string
	RDBSegments           bool // a file for each shard
	RDBCompressed         bool
	RDBCompression        Compression // see Compression()
	RDBChecksum           bool
	RDBIncrementalFsync   bool
	SaveBytesPerSecond    int64  // 0: as fast as it goes
	SaveKeyDelayUs        int64  // for tests: microseconds for each key that is saved; below 0: one for so many keys
	LoadKeyDelayUs        int64  // … that is loaded
	LoadQuietBytes        int64  // how much is loaded at the start before clients are told of it
	SaveBufferBytes       int64  // memory for what is yet to be written
	SaveCPUs              string // processors of the goroutines that write, as taskset has them; empty: any
	OnSigint, OnSigterm   Shutdown
	// ShutdownTimeoutSeconds is how long replicas have at the end to take in what they lack; 0: no time.
	ShutdownTimeoutSeconds int64

	// Following a primary.
	PrimaryHost            string // "": the server is one itself
	PrimaryPort            int
	PrimaryAuth            string // password, "": none
	BindSource             string // where connections to it come from, "": any address
	PrimaryUser            string // "": the default user
	DisklessLoad           DisklessLoad
	ReplicaServeStale      bool // a replica answers while the link is down
	ReplicaReadOnly        bool
	ReplicaIgnoreMaxMemory bool
	ReplicaPriority        int64 // for Sentinel; 0: never to be promoted
	ReplicaAnnounced       bool  // for Sentinel
	ReplicaAnnounceIP      string
	ReplicaAnnouncePort    int

	// The append-only file.
	AppendOnly        bool
	AppendFilename    string
	AppendDirname     string      // in Dir
	AppendFsync       AppendFsync // when what was written is synced
	AOFLoadTruncated  bool        // a tail that a crash has torn is cut off, else it is an error
	AOFTimestamp      bool        // what is logged says when it was
	AOFUseRDBPreamble bool        // a base is RDB files, else commands
	AOFRingDir        string      // on a file system in memory, for the ring; empty: there is none
	AOFRingBytes      int64
	NoFsyncOnRewrite  bool // nothing is synced for appendfsync while a save or a rewrite is under way
	// It is rewritten by itself when it has grown by so much since the last time and is longer than that; 0: never.
	AutoAOFRewritePercentage, AutoAOFRewriteMinBytes int64

	AOFIncrementalFsync                bool   // what a rewrite has written goes to the disk bit by bit
	AOFRewriteCPUs                     string // as SaveCPUs, for a rewrite
	AOFHistoryBytes, AOFHistorySeconds int64  // how long files are kept that loading doesn't need

	LogMemoryBytes int64 // of the log; above it writers wait

	// Replicas that follow this server.
	DisklessSync             bool  // a full sync goes to the socket as it is made, without a file
	DisklessSyncDelaySeconds int64 // for which one waits for other replicas to come
	DisklessSyncMaxReplicas  int64 // as soon as so many have come it begins; 0: whatever their number
	PingReplicaSeconds       int64
	ReplTimeoutSeconds       int64 // without a sign of life
	ReplDelaysTCP            bool  // TCP_NODELAY is off
	BacklogBytes             int64 // of the stream that are kept for a replica that comes back
	ReplFlows                int   // of a full sync between Fulmen servers, at most; 0: none, -1: as many as processors
	ReplLZ4                  bool  // what comes by flows is to be packed
	SpoolBytes               int64 // of the stream that temporary files may have for slow replicas
	BacklogTTLSeconds        int64 // for which they are kept when there is no replica; 0: for ever
	MinReplicas              int64 // writes are refused while fewer are there; 0: never
	MinReplicasLagSeconds    int64 // after which a replica that says nothing is not there; 0: as if MinReplicas were 0

	// Active defragmentation.
	ActiveDefrag       bool
	DefragIgnoreBytes  int64 // waste below which nothing is done
	DefragLowerPercent int64 // waste in percent of used memory from which it is done,
	DefragUpperPercent int64 // and from which with most effort
	DefragCycleMin     int64 // effort in percent of a loop's time
	DefragCycleMax     int64
	// nodes of one value looked at in one go
	DefragMaxScanFields int64

	// Sizes at which sets get another encoding.
	SetMaxIntsetEntries   int64
	SetMaxListpackEntries int64
	SetMaxListpackValue   int64

	BusyReplyMs int64 // how long a script may take before others are answered BUSY, 0: any time

	// What is noted of commands.
	SlowLogFromUs      int64 // the slow log takes calls that took as long, negative: none
	SlowLogEntries     int64
	LatencyFromMs      int64  // the latency monitor notes what took as long, 0: nothing
	LatencyTracking    bool   // durations are counted by command
	KeyspaceEvents     string // the classes of events that are published, a letter each; A: those of the data types
	LatencyPercentiles []float64
	TrackingMaxKeys    int64 // keys that are remembered for clients that track what they read, 0: any number

	cpus     int       // immutable, from Env
	settings []setting // by row
}

// LogLevel is the least severe message that is logged.
type LogLevel int

// The log levels of Redis, most talkative first.
const (
	LogDebug LogLevel = iota
	LogVerbose
	LogNotice
	LogWarning
)

// ProtectedUse says which connections may do something dangerous.
type ProtectedUse int

// Nobody, everybody, or only connections from this machine (loopback and unix sockets).
const (
	ProtectedNo ProtectedUse = iota
	ProtectedYes
	ProtectedLocal
)

// Allows tells whether a connection that is local or not may do it.
func (p ProtectedUse) Allows(local bool) bool {
	return p == ProtectedYes || (p == ProtectedLocal && local)
}

// ClientClass is a class of clients with output limits of its own.
type ClientClass int

// The classes in the order in which CONFIG GET names them.
const (
	ClassNormal ClientClass = iota
	ClassReplica
	ClassPubSub
	classes
)

// String gives Redis's word for the class in CONFIG GET and CLIENT LIST.
func (c ClientClass) String() string {
	return [classes]string{"normal", "slave", "pubsub"}[c]
}

// OutputLimit is when a client that does not read is cut off: at once above HardBytes, or when SoftBytes have been
// exceeded for SoftSeconds on end. 0 bytes: no limit.
type OutputLimit struct {
	HardBytes, SoftBytes, SoftSeconds int64
}

// OutputLimits has the limit of each ClientClass.
type OutputLimits [classes]OutputLimit

// String is the form of CONFIG GET client-output-buffer-limit.
func (l OutputLimits) String() string {
	parts := make([]string, len(l))
	for c, limit := range l {
		parts[c] = fmt.Sprintf("%v %d %d %d", ClientClass(c), limit.HardBytes, limit.SoftBytes, limit.SoftSeconds)
	}
	return strings.Join(parts, " ")
}

// with gives a copy in which some rows have other settings.
func (v *Values) with(changes []change) *Values {
	out := new(Values)
	*out = *v
	out.settings = slices.Clone(v.settings)
	for _, c := range changes {
		out.settings[c.row] = c.setting
		if store := rows[c.row].store; store != nil {
			store(out, c.setting)
		}
	}
	return out
}

// change is a new setting for the row with that index.
type change struct {
	row     int
	setting setting
}

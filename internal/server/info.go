package server

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"fulmen/shard"
)

// infoText builds INFO. It needs no baton: what clients may compare with their own commands is exact, since a release
// publishes it or shards are taken one after the other; the rest is a few milliseconds old.
type infoText struct {
	strings.Builder
	s     *Session
	srv   *Server
	nowMs int64

	shards *shardFigures // nil before they were asked for
}

// shardFigures are what all shards counted.
type shardFigures struct {
	shard.Stats
	lazyPending int64
}

// figures returns what the shards counted, as of now.
func (t *infoText) figures() *shardFigures {
	if t.shards != nil {
		return t.shards
	}
	t.shards = &shardFigures{}
	sum := t.shards
	// What it tells is not data: it must come when replies that tell of data wait for the disk.
	w := &t.s.loop.worker
	lsn := w.LSN
	defer func() { w.LSN = lsn }()
	for _, sh := range t.srv.set.Shards {
		st, pending := sh.FreshStats(w, t.s.holds(sh))
		sum.Add(&st)
		sum.lazyPending += pending
	}
	sum.StalePPM /= int64(len(t.srv.set.Shards))
	return sum
}

func (t *infoText) line(format string, args ...any) {
	fmt.Fprintf(&t.Builder, format, args...)
	t.WriteString("\r\n")
}

// infoSections are the sections of INFO in Redis's order and ours last; extra ones are not part of the default.
// Within a section the fields have Redis's order, too. A field whose mechanism does not exist here has the value
// that it has in Redis while the mechanism is off.
var infoSections = [...]struct {
	name  string
	extra bool
	write func(t *infoText)
}{
	{"server", false, (*infoText).server},
	{"clients", false, (*infoText).clients},
	{"memory", false, (*infoText).memory},
	{"persistence", false, (*infoText).persistence},
	{"stats", false, (*infoText).stats},
	{"replication", false, (*infoText).replication},
	{"cpu", false, (*infoText).cpu},
	{"modules", false, func(*infoText) {}},
	{"commandstats", true, (*infoText).commandStats},
	{"errorstats", false, (*infoText).errorStats},
	{"latencystats", true, (*infoText).latencyStats},
	{"cluster", false, (*infoText).cluster},
	{"keyspace", false, (*infoText).keyspace},
	{"fulmen", false, (*infoText).fulmen},
}

// INFO [section [section ...]]
func cmdInfo(s *Session) error {
	wanted := map[string]bool{}
	for _, a := range s.c.Args[1:] {
		wanted[strings.ToLower(cString(a))] = true
	}
	wanted["modules"] = wanted["modules"] || wanted["module_list"]
	all := wanted["all"] || wanted["everything"]
	standard := len(s.c.Args) == 1 || wanted["default"]
	s.loop.publishCalls() // those of this batch, too
	t := &infoText{s: s, srv: s.srv, nowMs: s.c.NowMs}
	for _, sec := range infoSections {
		if !all && !wanted[sec.name] && !(standard && !sec.extra) {
			continue
		}
		if t.Len() > 0 {
			t.WriteString("\r\n")
		}
		title := strings.ToUpper(sec.name[:1]) + sec.name[1:]
		if sec.name == "cpu" {
			title = "CPU"
		}
		t.line("# %s", title)
		sec.write(t)
	}
	s.c.Verbatim("txt", t.String())
	return nil
}

func (t *infoText) server() {
	srv, v := t.srv, t.srv.cfg.Values()
	var uts unix.Utsname
	name := runtime.GOOS
	if unix.Uname(&uts) == nil {
		name = unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:]) + " " +
			unix.ByteSliceToString(uts.Machine[:])
	}
	exe, err := os.Executable()
	if err != nil {
		exe = ""
	}
	up := (t.nowMs - srv.startMs) / 1000
	t.line("redis_version:%s", RedisVersion)
	t.line("fulmen_version:%s", Version)
	t.line("redis_git_sha1:00000000")
	t.line("redis_git_dirty:0")
	t.line("redis_build_id:0")
	t.line("redis_mode:standalone")
	t.line("os:%s", name)
	t.line("arch_bits:%d", 32<<(^uint(0)>>63))
	t.line("monotonic_clock:Go runtime")
	t.line("multiplexing_api:epoll")
	t.line("atomicvar_api:sync/atomic")
	t.line("gcc_version:0.0.0") // what Redis says where no gcc built it
	t.line("go_version:%s", runtime.Version())
	t.line("process_id:%d", os.Getpid())
	t.line("process_supervised:no")
	t.line("run_id:%s", srv.runID)
	t.line("tcp_port:%d", v.Port)
	t.line("server_time_usec:%d", srv.set.Clock.NowUs())
	t.line("uptime_in_seconds:%d", up)
	t.line("uptime_in_days:%d", up/86400)
	t.line("hz:%d", v.Hz)
	t.line("configured_hz:%d", v.Hz)
	t.line("lru_clock:%d", t.nowMs/1000&(1<<24-1))
	t.line("executable:%s", exe)
	t.line("config_file:%s", srv.cfg.File())
	t.line("io_threads_active:%d", btoi(len(srv.loops) > 1))
	if endMs := srv.lastCallMs.Load(); endMs != 0 {
		t.line("shutdown_in_milliseconds:%d", endMs-t.nowMs)
	}
}

func (t *infoText) clients() {
	maxIn, maxOut := t.srv.bufferPeaks.recent()
	blocked, timed := 0, 0 // by commands, or by a pause; those whose wait has an end
	all := t.srv.clients.all()
	for _, s := range all {
		waits := s.blocked.Load()
		blocked += btoi(waits != nil || s.waiting.Load())
		timed += btoi(waits != nil && (*waits).Timed())
	}
	t.line("connected_clients:%d", len(all)-len(*t.srv.replication.followers.Load()))
	t.line("cluster_connections:0")
	t.line("maxclients:%d", t.srv.cfg.Values().MaxClients)
	t.line("client_recent_max_input_buffer:%d", maxIn)
	t.line("client_recent_max_output_buffer:%d", maxOut)
	t.line("blocked_clients:%d", blocked)
	t.line("tracking_clients:%d", len(listOf(&t.srv.trackers.all)))
	t.line("pubsub_clients:%d", t.srv.subscribers.Load())
	t.line("clients_in_timeout_table:%d", timed)
	keys := 0
	for _, s := range t.srv.set.Shards {
		keys += s.Waiting()
	}
	t.line("total_blocking_keys:%d", keys)
	t.line("total_blocking_keys_on_nokey:0") // no command waits for a key to go
}

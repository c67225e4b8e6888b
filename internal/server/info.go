package server

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// infoText builds INFO; all batons are held.
type infoText struct {
	strings.Builder
	srv   *Server
	nowMs int64
}

func (t *infoText) line(format string, args ...any) {
	fmt.Fprintf(&t.Builder, format, args...)
	t.WriteString("\r\n")
}

// infoSections are the sections of INFO in Redis's order and ours last; extra ones are not part of the default.
// Within a section the fields have Redis's order, too. A field whose mechanism does not exist here has the value
// that it has in Redis while the mechanism is off. There is no section latencystats since latency-tracking is no.
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
	t := &infoText{srv: s.srv, nowMs: s.c.NowMs}
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
}

func (t *infoText) clients() {
	var maxIn, maxOut int64
	blocked := 0 // by commands; those that a pause holds back don't count
	all := t.srv.clients.all()
	for _, s := range all {
		maxIn = max(maxIn, s.queryBytes.Load())
		maxOut = max(maxOut, s.outBytes.Load())
		blocked += btoi(s.blocked.Load() != nil)
	}
	t.line("connected_clients:%d", len(all))
	t.line("cluster_connections:0")
	t.line("maxclients:%d", t.srv.cfg.Values().MaxClients)
	t.line("client_recent_max_input_buffer:%d", maxIn)
	t.line("client_recent_max_output_buffer:%d", maxOut)
	t.line("blocked_clients:%d", blocked)
	t.line("tracking_clients:0")
	t.line("clients_in_timeout_table:0")
}

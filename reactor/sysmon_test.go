package reactor

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fulmen/internal/need"
	"fulmen/persist/vfs"
)

// TestCalmSysmon finds the monitor: of all threads it is the one that sleeps in nanosleep while a processor is in use,
// and it has the slack afterwards.
func TestCalmSysmon(t *testing.T) {
	tid, err := oldestThread(vfs.OS{})
	if err != nil {
		t.Fatal(err)
	}
	dir := "/proc/" + strconv.Itoa(tid)
	asleep := false
	for range 200_000 { // keeps a processor in use; sysmon sleeps most of the time
		b, err := os.ReadFile(dir + "/syscall")
		if err != nil {
			t.Fatal(err)
		}
		if asleep = strings.HasPrefix(string(b), strconv.Itoa(unix.SYS_NANOSLEEP)+" "); asleep {
			break
		}
	}
	if !asleep {
		t.Error("the thread taken for the runtime's monitor never sleeps")
	}
	need.Root(t, "change another thread's slack")
	if err := CalmSysmon(vfs.OS{}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(dir + "/timerslack_ns")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(b)); got != strconv.Itoa(sysmonSlackNs) {
		t.Errorf("slack is %s ns", got)
	}
}

func TestThreadStart(t *testing.T) {
	stat := "4711 (a) b (c) S 1 4711 4711 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 9 0 123456 1 2 3"
	tid, started, err := threadStart([]byte(stat))
	if tid != 4711 || started != 123456 || err != nil {
		t.Errorf("got %d, %d, %v", tid, started, err)
	}
	for _, bad := range []string{"", "4711", "4711 (a)", "4711 (a) S 1 2", "x (a) S" + strings.Repeat(" 1", 30)} {
		if _, _, err := threadStart([]byte(bad)); err == nil {
			t.Errorf("%q is no stat file", bad)
		}
	}
}

package proc

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	tail := " S 1 42 42 0 -1 4194560 1 2 3 4 250 31 7 8 20 0 5 0 100 1000 200"
	for _, command := range []string{"redis-server", "a b", "odd) (name)"} {
		cpu, err := ParseStat("42 (" + command + ")" + tail)
		if err != nil {
			t.Fatal(err)
		}
		want := CPU{User: 2500 * time.Millisecond, System: 310 * time.Millisecond}
		if cpu != want || cpu.Total() != 2810*time.Millisecond {
			t.Errorf("%s: %+v", command, cpu)
		}
	}
	for _, bad := range []string{
		"", "42 (x", "42 (x) S 1 2",
		"42 (x) S 1 42 42 0 -1 4194560 1 2 3 4 u 31", "42 (x) S 1 42 42 0 -1 4 1 2 3 4 1 s",
	} {
		if _, err := ParseStat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseStatusBytes(t *testing.T) {
	text := "Name:\tx\nVmHWM:\t  900 kB\nVmRSS:\t  123 kB\nThreads:\t4\n"
	if got, err := ParseStatusBytes(text, "VmRSS"); err != nil || got != 123*1024 {
		t.Errorf("VmRSS = %d, %v", got, err)
	}
	for _, name := range []string{"VmSwap", "Threads", "Name"} {
		if _, err := ParseStatusBytes(text, name); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestOwnProcess(t *testing.T) {
	if _, err := ReadCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	if rss, err := ReadRSSBytes(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("RSS %d, %v", rss, err)
	}
	if _, err := ReadCPU(-1); err == nil {
		t.Error("process -1 exists")
	}
}

func TestParseModel(t *testing.T) {
	if got := ParseModel("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t: a b\n"); got != "AMD EPYC 7B13" {
		t.Errorf("model %q", got)
	}
	if got := ParseModel(""); got != "unknown" {
		t.Errorf("model %q", got)
	}
	if m := ReadMachine(); m.Cores < 1 || m.MemoryBytes == 0 || !strings.Contains(m.String(), "cores") {
		t.Errorf("machine %+v", m)
	}
}

// TestOnCPUs checks that a child sees the wanted cores only, and that the parent gets its own back.
func TestOnCPUs(t *testing.T) {
	before, err := AllowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	last := before[len(before)-1:]
	var child []byte
	err = OnCPUs(last, func() error {
		now, err := AllowedCPUs()
		if err != nil {
			return err
		}
		if !slices.Equal(now, last) {
			t.Errorf("inside: %v, want %v", now, last)
		}
		child, err = exec.Command("grep", "Cpus_allowed_list", "/proc/self/status").Output()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(string(child)); len(fields) != 2 || strings.ContainsAny(fields[1], "-,") {
		t.Errorf("the child may use cores %q, want only %v", child, last)
	}
	if after, err := AllowedCPUs(); err != nil || !slices.Equal(after, before) {
		t.Errorf("cores afterwards %v, %v; before %v", after, err, before)
	}
	if err := ConfineSelf(before); err != nil {
		t.Error(err)
	}
	if err := OnCPUs([]int{1000}, func() error { return nil }); err == nil {
		t.Error("core 1000 exists")
	}
}

func TestPageSupply(t *testing.T) {
	h, err := PageSupply(1 << 20)
	if err != nil || h.Total() != uint64(1<<20/os.Getpagesize()) {
		t.Errorf("%d touches, %v", h.Total(), err)
	}
}

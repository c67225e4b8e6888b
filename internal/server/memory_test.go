package server

import (
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// TestMemoryUsageAddsUp: the usage of all keys together is what the shards have in use, but for the rest of dividing
// the indexes.
func TestMemoryUsageAddsUp(t *testing.T) {
	p := startProof(t, 4, 1, 0)
	c := p.dial()
	const n = 3000
	for i := range n {
		val := strings.Repeat("v", i%200)
		if i%100 == 0 {
			val = strings.Repeat("long", 1000*(i/100))
		}
		if c.add("SET", "k"+strconv.Itoa(i), val); i%3 == 0 {
			c.add("EXPIRE", "k"+strconv.Itoa(i), "1000")
		}
	}
	c.all()
	for i := range n {
		c.add("MEMORY", "USAGE", "k"+strconv.Itoa(i))
	}
	sum := int64(0)
	for _, v := range c.all() {
		sum += v.Int
	}
	if used := p.srv.datasetBytes(); sum > used || used-sum > n {
		t.Errorf("keys use %d bytes together, shards %d", sum, used)
	}
}

// TestMemoryStats: the figures fit each other and INFO.
func TestMemoryStats(t *testing.T) {
	p := startProof(t, 4, 1, 0)
	p.fill(2000)
	c := p.dial()
	c.expectReply("OK", "SELECT", "3")
	c.expectReply("OK", "SET", "k", "v")
	stats := map[string]resp.Value{}
	v := c.do("MEMORY", "STATS")
	for i := 0; i < len(v.Elems); i += 2 {
		stats[text(v.Elems[i])] = v.Elems[i+1]
	}
	of := func(name string) int64 {
		t.Helper()
		v, ok := stats[name]
		if !ok {
			t.Errorf("no %s", name)
		}
		return v.Int
	}
	if of("keys.count") != 2001 || len(stats) != 29 {
		t.Errorf("%d keys, %d fields", of("keys.count"), len(stats))
	}
	if sum := of("dataset.bytes") + of("overhead.total"); sum != of("total.allocated") {
		t.Errorf("dataset and overhead are %d, in all %d", sum, of("total.allocated"))
	}
	index := int64(0)
	for _, name := range []string{"db.0", "db.3"} {
		index += stats[name].Elems[1].Int
	}
	if index == 0 || of("overhead.total") != index+of("clients.normal") || of("clients.normal") == 0 {
		t.Errorf("overhead %d, indexes %d, clients %d", of("overhead.total"), index, of("clients.normal"))
	}
	if of("peak.allocated") < of("total.allocated") || of("allocator.active") < of("allocator.allocated") {
		t.Errorf("peak %d, total %d, active %d, allocated %d", of("peak.allocated"), of("total.allocated"),
			of("allocator.active"), of("allocator.allocated"))
	}
}

// TestDoctor: each finding appears for the figures that call for it, and not otherwise.
func TestDoctor(t *testing.T) {
	const mb = 1 << 20
	well := memoryReport{used: 100 * mb, peak: 110 * mb, rss: 110 * mb, allocated: 99 * mb, active: 100 * mb,
		resident: 105 * mb, clients: mb, clientCount: 10}
	for _, c := range []struct {
		word   string
		change func(r *memoryReport)
	}{
		{"can't find any memory issue", func(*memoryReport) {}},
		{"instance is empty", func(r *memoryReport) { r.used = 5*mb - 1 }},
		{" * Peak memory:", func(r *memoryReport) { r.peak = 151 * mb }},
		{" * High total RSS:", func(r *memoryReport) { r.rss, r.resident, r.active = 141*mb, 140*mb, 140*mb }},
		{" * High allocator fragmentation:", func(r *memoryReport) { r.allocated = 80 * mb }},
		{" * High allocator RSS overhead:", func(r *memoryReport) { r.resident = 115 * mb }},
		{" * High process RSS overhead:", func(r *memoryReport) { r.rss = 130 * mb }},
		{" * Big client buffers:", func(r *memoryReport) { r.clients = 3 * mb }},
	} {
		r := well
		c.change(&r)
		if got := r.diagnose(); !strings.Contains(got, c.word) {
			t.Errorf("no %q in %q", c.word, got)
		}
		if c.word[0] == ' ' && strings.Contains(well.diagnose(), c.word) {
			t.Errorf("%q of a server that is well", c.word)
		}
	}
}

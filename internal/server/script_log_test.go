package server

import (
	"bytes"
	"testing"
)

// TestScriptIsOneCommit: what a script has done in several shards is one transaction for whoever reads the log, also if
// it has failed in the end. Effects that are committed before the script is over are noticed.
func TestScriptIsOneCommit(t *testing.T) {
	for _, fault := range []scriptFault{scriptSound, commitsEarly} {
		p := startProof(t, 8, 1, 3)
		p.srv.scripts.fault.Store(uint32(fault))
		r, c := p.record(), p.dial()
		const script = "redis.call('SET',KEYS[1],1) for i=1,5000 do end redis.call('SET',KEYS[2],1) error('in the end')"
		if v := c.do("EVAL", script, "2", p.keyOf("a", 1), p.keyOf("b", 6)); v.Err() == nil {
			t.Errorf("the script replied %s", text(v))
		}
		r.end()
		if n := bytes.Count(r.merged, []byte("SET")); n < 2 {
			t.Fatalf("the log is %q", r.merged)
		}
		whole := bytes.Contains(r.merged, []byte("$5\r\nMULTI")) && bytes.Contains(r.merged, []byte("$4\r\nEXEC"))
		if whole != (fault == scriptSound) {
			t.Errorf("fault %d: the log is %q", fault, r.merged)
		}
	}
}

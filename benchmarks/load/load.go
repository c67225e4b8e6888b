// Package load puts a server under load and measures it from the client's side: throughput and latency.
//
// There are three loads. RedisBenchmark runs redis-benchmark, the reference client that everybody compares with.
// Generate is an own generator for what redis-benchmark cannot do: latencies of an open loop counted from the
// intended send time, exact percentiles, a mix of commands, an end that somebody else decides. Fill loads keys as
// fast as one connection can. What the server paid is not measured here: see package proc.
//
// # Ownership
//
// Generate owns its thread, its sockets and its buffers; it allocates only before the first command. It is meant to
// be a process of its own (see Child), so that neither the harness nor its garbage collector shares the client's
// core.
//
// # Invariants
//
//  1. All loads use the keys of redis-benchmark, "key:" and 12 digits (16 bytes), so that one may read what another
//     wrote.
//  2. Every load ends in bounded time: it has a deadline, and running into it is an error, never a figure.
//  3. An error reply from the server is an error of the load: refused commands are cheap and would look fast.
package load

import (
	"fmt"
	"strings"
	"time"
)

// Work is what every command of a load looks like.
type Work struct {
	Command    string `json:"command"`     // get, set, mset (10 keys each) or mix (get and set in turn; Generate only)
	Pipeline   int    `json:"pipeline"`    // commands that a client sends at once before it waits for the replies
	Clients    int    `json:"clients"`     // connections
	Keys       uint64 `json:"keys"`        // keys are drawn from 0 to Keys−1, uniformly
	ValueBytes int    `json:"value_bytes"` // length of the values written
	// RandomValues: each value written is of other random bytes, which nothing can compress. Not in scripts and mset.
	RandomValues bool `json:"random_values,omitempty"`
	// Script says what the commands are, in place of Command, which is only a name then (Generate only). They are
	// separated by "; " and sent in turn. For "#" stand the 12 digits of the command's number, drawn as keys are, those
	// of another number for "@"; "~" is as "#" with 10 digits. "%" are 12 random digits, and "^" those of how many have
	// been sent before, from Plan.From on.
	Script string `json:"script,omitempty"`
	// Calls: its commands call others, or look for what isn't there, so that counters of the server say nothing.
	Calls bool `json:"calls,omitempty"`
}

// String is the work's name in a report, such as "SET, pipeline 16".
func (w Work) String() string {
	if w.Script != "" {
		return fmt.Sprintf("%s, pipeline %d", w.Command, w.Pipeline)
	}
	name := strings.ToUpper(w.Command)
	if w.Command == "mset" {
		name = "MSET of 10"
	}
	return fmt.Sprintf("%s, pipeline %d", name, w.Pipeline)
}

// Result is what a client saw. Latencies of a closed loop are counted from sending the pipeline; a slow server thus
// slows the client's next question and hides what other clients would have waited. Those of an open loop are
// counted from the intended send time.
type Result struct {
	Commands uint64        `json:"commands"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	P999     time.Duration `json:"p999_ns"`
	P9999    time.Duration `json:"p9999_ns,omitempty"`
	Max      time.Duration `json:"max_ns"`
	Next     uint64        `json:"next,omitempty"` // what "^" of a script would stand for next
}

// PerSecond is the throughput in commands.
func (r Result) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Commands) / r.Elapsed.Seconds()
}

// keyBytes is the length of every key: the prefix "key:" and 12 digits.
const keyBytes = 16

// msetKeys is how many keys an MSET of a load writes, as redis-benchmark's does.
const msetKeys = 10

// appendKey appends a key of 16 bytes; the prefix has 4.
func appendKey(dst []byte, prefix string, n uint64) []byte {
	dst = append(dst, prefix...)
	dst = append(dst, "000000000000"...)
	putDigits(dst[len(dst)-12:], n)
	return dst
}

// putDigits overwrites the digits of a key.
func putDigits(digits []byte, n uint64) {
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}

// random is a splitmix64 sequence: small, seedable, and good enough to spread keys evenly.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is uniform in (0, 1].
func (r *random) unit() float64 { return (float64(r.next()>>11) + 1) / (1 << 53) }

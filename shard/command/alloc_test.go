package command

import (
	"fmt"
	"strings"
	"testing"
)

// TestHotPathsAllocateNothing executes the most frequent commands through Call, on keys that are there and on keys
// that come and go.
func TestHotPathsAllocateNothing(t *testing.T) {
	value := strings.Repeat("v", 64)
	pipelines := [][][]string{
		{{"SET", "k", value}, {"GET", "k"}, {"GET", "missing"}},
		{{"SET", "k", value, "EX", "100"}, {"SET", "k", "w", "KEEPTTL"}, {"SET", "k", "x", "XX", "GET"}},
		{{"SET", "k", value, "NX"}, {"SETNX", "k", "x"}, {"GETSET", "k", "y"}, {"SETEX", "k", "100", "z"}},
		{{"INCR", "n"}, {"DECR", "n"}, {"INCRBY", "n", "1000000"}, {"DECRBY", "n", "7"}},
		{{"MSET", "a", value, "b", value, "c", value, "d", value}, {"MGET", "a", "b", "missing", "c", "d"}},
		{{"EXISTS", "a", "b", "missing"}, {"TYPE", "a"}, {"STRLEN", "a"}, {"TOUCH", "a"}},
		{{"MSET", "x", "1", "y", "2"}, {"DEL", "x", "y", "missing"}, {"SET", "x", "1"}, {"UNLINK", "x"}},
		{{"SET", "e", "1"}, {"EXPIRE", "e", "100"}, {"PEXPIREAT", "e", "2000000000000", "GT"}, {"TTL", "e"},
			{"PTTL", "e"}, {"GETEX", "e", "PERSIST"}, {"PERSIST", "e"}, {"EXPIRE", "e", "-1"}},
		{{"SET", "s", value}, {"APPEND", "s", value}, {"SETRANGE", "s", "10", "x"}, {"GETRANGE", "s", "5", "-5"},
			{"GETDEL", "s"}},
		{{"SET", "f", "0.1"}, {"INCRBYFLOAT", "f", "0.2"}},
		{{"DBSIZE"}, {"RANDOMKEY"}},
	}
	for _, shards := range []int{1, 8} {
		h := newHarness(t, shards)
		for _, pipeline := range pipelines {
			t.Run(fmt.Sprint(shards, " ", pipeline[0][0], " ", pipeline[len(pipeline)-1][0]), func(t *testing.T) {
				var commands [][][]byte
				for _, args := range pipeline {
					if v := h.do(args...); v.Err() != nil {
						t.Fatal(args, v.Err())
					}
					commands = append(commands, bytesOf(args))
				}
				n := testing.AllocsPerRun(200, func() {
					for _, args := range commands {
						h.call(args)
					}
				})
				if n != 0 {
					t.Errorf("%q: %v allocations", pipeline, n)
				}
			})
		}
	}
}

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
		{{"SET", "n", "9"}, {"TAKE", "n", "2", "TOKEN", "t", "EX", "9"}, {"TAKE", "n", "2", "TOKEN", "t", "EX", "9"},
			{"DEL", "t"}, {"TAKE", "none", "2"}, {"TAKE", "n", "9"}, {"TAKE", "n", "-1", "CEILING", "8", "PARTIAL"}},
		{{"MSET", "a", value, "b", value, "c", value, "d", value}, {"MGET", "a", "b", "missing", "c", "d"}},
		{{"EXISTS", "a", "b", "missing"}, {"TYPE", "a"}, {"STRLEN", "a"}, {"TOUCH", "a"}},
		{{"MSET", "x", "1", "y", "2"}, {"DEL", "x", "y", "missing"}, {"SET", "x", "1"}, {"UNLINK", "x"}},
		{{"SET", "e", "1"}, {"EXPIRE", "e", "100"}, {"PEXPIREAT", "e", "2000000000000", "GT"}, {"TTL", "e"},
			{"PTTL", "e"}, {"GETEX", "e", "PERSIST"}, {"PERSIST", "e"}, {"EXPIRE", "e", "-1"}},
		{{"SET", "s", value}, {"APPEND", "s", value}, {"SETRANGE", "s", "10", "x"}, {"GETRANGE", "s", "5", "-5"},
			{"GETDEL", "s"}},
		{{"PFADD", "p", "a", "b", "c"}, {"PFADD", "p", "c"}, {"PFCOUNT", "p"}, {"PFADD", "q", "x", "y"},
			{"PFCOUNT", "p", "q"}, {"PFMERGE", "p", "q"}, {"DEL", "p", "q"}},
		{{"SET", "dense", "HYLL" + string(make([]byte, 12300))}, {"PFADD", "dense", "a", "b"}, {"PFADD", "dense", "a"},
			{"PFCOUNT", "dense"}, {"PFMERGE", "dense", "dense"}},
		{{"GEOADD", "g", "13", "38", "a", "15", "37", "b"}, {"GEOADD", "g", "CH", "14", "38", "a"},
			{"GEODIST", "g", "a", "b"}, {"GEOHASH", "g", "a", "none"}, {"GEOPOS", "g", "a", "none"},
			{"GEOSEARCH", "g", "FROMLONLAT", "14", "37", "BYRADIUS", "200", "km", "COUNT", "5", "WITHDIST"},
			{"GEOSEARCH", "g", "FROMMEMBER", "a", "BYBOX", "200", "300", "km", "WITHHASH"},
			{"GEORADIUS", "g", "14", "37", "200", "km"}, {"GEORADIUSBYMEMBER_RO", "g", "a", "200", "km", "DESC"}},
		{{"SET", "f", "0.1"}, {"INCRBYFLOAT", "f", "0.2"}, {"DBSIZE"}, {"RANDOMKEY"}},
		{{"SADD", "m", "a", "1"}, {"SADD", "m", "b"}, {"SISMEMBER", "m", "a"}, {"SMISMEMBER", "m", "a", "x"},
			{"SCARD", "m"}, {"SMEMBERS", "m"}, {"SRANDMEMBER", "m"}, {"SSCAN", "m", "0", "MATCH", "a"},
			{"SREM", "m", "a"}, {"SPOP", "m"}, {"SPOP", "m"}},
		{{"SADD", "bigm", strings.Repeat(value, 15), strings.Repeat(value, 14), strings.Repeat(value, 13),
			strings.Repeat(value, 12), strings.Repeat(value, 11), strings.Repeat(value, 10)},
			{"SADD", "bigm", "a", "1", "2"}, {"SISMEMBER", "bigm", "1"}, {"SREM", "bigm", "a", "1"},
			{"SADD", "bigm", "a", "1"}, {"SPOP", "bigm"}},
		{{"HSET", "h", "f", value, "g", "w"}, {"HGET", "h", "f"}, {"HMGET", "h", "f", "none"},
			{"HSETNX", "h", "f", "x"}, {"HINCRBY", "h", "n", "1"}, {"HINCRBYFLOAT", "h", "x", "0.1"},
			{"HEXISTS", "h", "f"}, {"HLEN", "h"}, {"HSTRLEN", "h", "f"}, {"HGETALL", "h"}, {"HRANDFIELD", "h"},
			{"HRANDFIELD", "h", "2"}, {"HSCAN", "h", "0"}, {"HDEL", "h", "f", "g", "n", "x"}},
		{{"HSET", "big", "f", strings.Repeat(value, 14), "g", value, "h", value},
			{"HSET", "big", "g", "x"}, {"HINCRBY", "big", "n", "1"}, {"HGET", "big", "f"},
			{"HGET", "big", "g"}, {"HDEL", "big", "g"},
			{"HRANDFIELD", "big"}, {"HKEYS", "big"},
			{"HSCAN", "big", "0", "COUNT", "1"}},
		{{"ZADD", "z", "1", "a", "2", "b", "3", "c"}, {"ZADD", "z", "1", "a"}, {"ZADD", "z", "GT", "CH", "9", "a"},
			{"ZADD", "z", "INCR", "0.5", "b"}, {"ZINCRBY", "z", "1", "c"}, {"ZSCORE", "z", "a"},
			{"ZSCORE", "z", "none"}, {"ZRANK", "z", "b"}, {"ZREVRANK", "z", "b", "WITHSCORE"},
			{"ZMSCORE", "z", "a", "none"}, {"ZCARD", "z"}, {"ZSCAN", "z", "0"},
			{"ZCOUNT", "z", "-inf", "(5"}, {"ZRANGE", "z", "0", "-1", "WITHSCORES"},
			{"ZRANGEBYSCORE", "z", "1", "5", "LIMIT", "0", "1"}, {"ZRANDMEMBER", "z"}, {"ZREM", "z", "a"},
			{"ZPOPMIN", "z"}, {"ZPOPMAX", "z"}},
		{{"ZADD", "bigz", "1", strings.Repeat(value, 15), "2", strings.Repeat(value, 14),
			"3", strings.Repeat(value, 13), "4", strings.Repeat(value, 12), "5", strings.Repeat(value, 11),
			"6", strings.Repeat(value, 10)},
			{"ZADD", "bigz", "1", "a"}, {"ZADD", "bigz", "7", "a"}, {"ZADD", "bigz", "7", "a"},
			{"ZINCRBY", "bigz", "-6", "a"}, {"ZSCORE", "bigz", "a"}, {"ZRANK", "bigz", "a"}, {"ZREVRANK", "bigz", "a"},
			{"ZRANGEBYSCORE", "bigz", "1", "3"}, {"ZREM", "bigz", "a"}},
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

package server

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/redistest"
)

// ownExpiryCommands give keys expiries in all the ways there are, on a replica that may be written to. Nobody looks at
// them afterwards. A key named stay… has no expiry in the end, or only the one that the primary has given it.
var ownExpiryCommands = []string{
	"SELECT 0", "SET a 1 PX 30", "PSETEX b 30 1", "RPUSH l x", "PEXPIRE l 30", "SET early 1", "SETEX early 1 1",
	"MULTI", "SET c 1", "PEXPIRE c 30", "SET c2 1 PX 30", "MOVE c2 9", "EXEC",
	"EVAL redis.call('SET',KEYS[1],'1','PX','30') 1 d",
	"EVAL redis.call('SET',KEYS[1],'1','PX','30');redis.call('MOVE',KEYS[1],'9') 1 d2",
	"FCALL own 1 f", "SET stay 1", "SET stay2 1 PX 300000", "PERSIST stay2", "SET stay3 1 EX 1000",
	"SET g 1", "GETEX g PX 30", "SET m 1 PX 30", "MOVE m 1", "SET k 1 PX 60", "COPY k k DB 2", "COPY k k2",
	"SET r 1 PX 60", "RENAME r r2", "SET n 1 PX 60", "RENAMENX n n2", "SET x 1 PX 60", "SET stay4 1",
	"RENAME x stay4", "SET stay5 1", "RENAME stay5 stay4", "EVAL redis.call('RESTORE',KEYS[1],'30',redis.call('DUMP'," +
		"'stay')) 1 q",
	"SELECT 3", "EVAL redis.call('SET',KEYS[1],'1');redis.call('EXPIRE',KEYS[1],'1') 1 e",
	"SELECT 0", "APPEND stayA x", "INCR stayI", "SET stayK 2 KEEPTTL", "PFADD stayH x", "COPY stayA copied",
	"MOVE stayM 4",
}

// expireOwn has a server follow one that expires nothing by itself, and gives keys of both expiries. It returns a
// client of the replica.
func expireOwn(t *testing.T, primary, replica string) *client {
	t.Helper()
	theirs, ours := dial(t, primary), dial(t, replica)
	host, port, _ := strings.Cut(primary, ":")
	ours.do("REPLICAOF", host, port)
	waitLinked(t, ours)
	theirs.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	theirs.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('own', function(keys) "+
		"redis.call('SET', keys[1], '1', 'PX', '30') end)")
	for !writeOwn(t, theirs, ours) {
		theirs.do("FLUSHALL")
	}
	return ours
}

// theirsMs is after how many milliseconds the primary's keys expire.
const theirsMs = 1500

// writeOwn gives keys expiries; false: the machine was so slow that the primary's have expired meanwhile.
func writeOwn(t *testing.T, theirs, ours *client) bool {
	t.Helper()
	ours.do("CONFIG", "SET", "replica-read-only", "no")
	began := time.Now()
	for _, name := range []string{"A", "I", "K", "H", "M"} {
		switch name {
		case "H":
			theirs.do("PFADD", "stayH", "a")
			theirs.do("PEXPIRE", "stayH", strconv.Itoa(theirsMs))
		default:
			theirs.do("SET", "stay"+name, "1", "PX", strconv.Itoa(theirsMs))
		}
	}
	waitCaughtUp(t, theirs, ours)
	for _, line := range ownExpiryCommands {
		if got := ours.do(strings.Fields(line)...); strings.HasPrefix(got, "ERR") {
			t.Fatalf("%s: %s", line, got)
		}
	}
	for i := range 64 { // in every shard some go after the primary's
		ours.do("SET", "probe"+strconv.Itoa(i), "1", "PX", strconv.Itoa(theirsMs+200))
	}
	return time.Since(began) < theirsMs*time.Millisecond
}

// sizes returns how many keys each of the first ten databases has.
func sizes(c *client) string {
	var text strings.Builder
	for id := range 10 {
		c.do("SELECT", strconv.Itoa(id))
		fmt.Fprintf(&text, "%s ", c.do("DBSIZE"))
	}
	c.do("SELECT", "0")
	return text.String()
}

// TestOwnExpiriesOfReplica gives keys an expiry on a replica that may be written to. Nobody looks at them and the
// primary knows nothing of them, and still they go, as in redis-server; what the primary has given an expiry stays.
func TestOwnExpiriesOfReplica(t *testing.T) {
	oracle := func() string { return redistest.StartOracle(t, allowsDebug...).Addr }
	const want = "8 0 0 0 0 0 0 0 0 0 "
	right := expireOwn(t, oracle(), oracle())
	eventually(t, "redis-server's own keys have gone", func() bool { return sizes(right) == want })
	ours := expireOwn(t, oracle(), startServer(t, "--shards", "4").Addr())
	eventually(t, "the replica's own keys have gone", func() bool { return sizes(ours) == want })
}

var allowsDebug = []string{"--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0"}

// TestOwnExpiriesMove: databases change places with what is known of their keys, and a server that is a replica no more
// expires everything.
func TestOwnExpiriesMove(t *testing.T) {
	_, srv := followRedis(t, 4, func(primary *client) { primary.do("SET", "theirs", "1", "EX", "1000") })
	c := dial(t, srv.Addr())
	c.do("CONFIG", "SET", "replica-read-only", "no")
	for _, line := range []string{
		"SET a 1 PX 300", "SELECT 5", "SET b 1 PX 300", "SWAPDB 0 5", "SWAPDB 5 6", "SELECT 0", "SET late 1 EX 1000",
	} {
		c.do(strings.Fields(line)...)
	}
	eventually(t, "the replica's own keys have gone", func() bool { return sizes(c) == "1 0 0 0 0 0 1 0 0 0 " })
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	c.do("SET", "mine", "1", "PX", "30")
	eventually(t, "a primary's keys go", func() bool { return c.do("DBSIZE") == "1" })
	if srv.set.NotesOwnExpiries() {
		t.Error("a primary notes what clients write")
	}
}

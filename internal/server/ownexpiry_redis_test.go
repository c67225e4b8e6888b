package server

import "testing"

// TestOwnExpiriesOfReplica gives keys an expiry on a replica that may be written to. Nobody looks at them and the
// primary knows nothing of them, and still they go.
func TestOwnExpiriesOfReplica(t *testing.T) {
	_, srv := followRedis(t, 4, func(primary *client) { primary.do("SET", "theirs", "1", "EX", "1000") })
	c := dial(t, srv.Addr())
	c.do("CONFIG", "SET", "replica-read-only", "no")
	for _, q := range [][]string{
		{"SET", "a", "1", "PX", "30"}, {"SELECT", "5"}, {"PSETEX", "b", "30", "1"}, {"RPUSH", "l", "x"},
		{"PEXPIRE", "l", "30"}, {"MULTI"}, {"SET", "c", "1"}, {"PEXPIRE", "c", "30"}, {"EXEC"},
		{"EVAL", "redis.call('SET',KEYS[1],'1','PX','30')", "1", "d"}, {"SET", "stays", "1"},
		{"SET", "e", "1", "PX", "30"}, {"PERSIST", "e"}, {"SET", "late", "1", "EX", "1000"},
	} {
		c.do(q...)
	}
	eventually(t, "the replica's own keys have gone", func() bool { return c.do("DBSIZE") == "3" })
	c.do("SELECT", "0")
	if got := c.do("DBSIZE"); got != "1" {
		t.Errorf("database 0 has %s keys", got)
	}
	if got := c.do("EXISTS", "theirs"); got != "1" {
		t.Errorf("the primary's key: %s", got)
	}
	if got := c.do("REPLICAOF", "NO", "ONE"); got != "OK" {
		t.Fatal(got)
	}
	c.do("SET", "mine", "1", "PX", "30")
	eventually(t, "a primary's keys go", func() bool { return c.do("DBSIZE") == "1" })
	if srv.set.NotesOwnExpiries() {
		t.Error("a primary notes what clients write")
	}
}

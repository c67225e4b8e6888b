package chaos

import (
	"flag"
	"fmt"
	"syscall"
	"testing"
)

var (
	flagRounds = flag.Int("rounds", 3, "rounds of TestChaos")
	flagFrom   = flag.Uint64("from", 1, "seed of the first round; each next one has the next seed")
	flagLong   = flag.Bool("long", false, "rounds as long as those of make chaos")
	flagServer = flag.String("server", "", "the fulmen-server to test, if not one built from this tree")
)

// TestKilledRedisEndsAsAWhole: what a killed redis-server has forked ends with it.
func TestKilledRedisEndsAsAWhole(t *testing.T) {
	r := emptyRound(t, 1, newTally())
	r.watch()
	r.add(spec{kind: redis, backlogMB: 1, loads: "disabled"})
	n := r.chain[0]
	n.start()
	n.must("SET", "k", "v")
	n.must("CONFIG", "SET", "rdb-key-save-delay", "1000000000") // the save lasts
	if got := n.do("BGSAVE"); got != "Background saving started" {
		t.Fatal(got)
	}
	child := n.children()
	n.signal(syscall.SIGKILL)
	if len(child) != 1 || alive(child[0]) {
		t.Errorf("of the children %v some are alive", child)
	}
}

// TestChaos is the proof of the package comment.
func TestChaos(t *testing.T) {
	all := newTally()
	t.Run("rounds", func(t *testing.T) {
		for i := range *flagRounds {
			seed := *flagFrom + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				r := newRound(t, seed, all)
				r.run()
			})
		}
	})
	t.Log(all.report())
	all.judge(t)
}

package chaos

import (
	"flag"
	"fmt"
	"testing"
)

var (
	flagRounds = flag.Int("rounds", 3, "rounds of TestChaos")
	flagFrom   = flag.Uint64("from", 1, "seed of the first round; each next one has the next seed")
	flagLong   = flag.Bool("long", false, "rounds as long as those of make chaos")
	flagServer = flag.String("server", "", "the fulmen-server to test, if not one built from this tree")
)

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

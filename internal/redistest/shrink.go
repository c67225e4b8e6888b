package redistest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxShrinkPlays bounds the work of shrinking.
const maxShrinkPlays = 3000

// shrunk is a short stream and the difference it ends in.
type shrunk struct {
	steps []streamStep
	difference
}

// shrinker looks for ever shorter streams that two servers answer differently: not always in the same way, but every
// way is worth a look.
type shrinker struct {
	d     *differ
	plays int
	best  shrunk
}

// shrink gives a short stream made of a failing one: first a short end of it, then that without whatever can go, then
// with shorter arguments. A difference that does not come again is given as it was found.
func (d *differ) shrink(steps []streamStep, found *difference) shrunk {
	d.hasty = true
	steps = steps[:found.at+1]
	s := &shrinker{d: d, best: shrunk{steps: steps, difference: *found}}
	for n := 1; n < len(steps); n *= 2 {
		if s.fails(steps[len(steps)-n:]) {
			break
		}
	}
	for {
		before := s.best
		for size := len(s.best.steps) / 2; size > 0; size /= 2 {
			s.dropRuns(size)
		}
		s.shortenArgs()
		if len(before.steps) == len(s.best.steps) && before.text("", "") == s.best.text("", "") {
			return s.best
		}
	}
}

// fails plays a stream, and keeps it up to the difference if there is one.
func (s *shrinker) fails(steps []streamStep) bool {
	if s.plays++; s.plays > maxShrinkPlays {
		return false
	}
	found, err := s.d.play(steps)
	if err != nil || found == nil {
		return false
	}
	s.best = shrunk{steps: slices.Clone(steps[:found.at+1]), difference: *found}
	return true
}

// dropRuns tries to leave out each run of size commands.
func (s *shrinker) dropRuns(size int) {
	for at := len(s.best.steps) - size; at >= 0; at -= size {
		if at+size <= len(s.best.steps) {
			s.fails(slices.Delete(slices.Clone(s.best.steps), at, at+size))
		}
	}
}

// shortenArgs tries to do with fewer and shorter arguments.
func (s *shrinker) shortenArgs() {
	for i := 0; i < len(s.best.steps); i++ {
		for k := len(s.best.steps[i].args) - 1; k > 0; k-- {
			for s.tryArgs(i, func(args []string) []string { return slices.Delete(args, k, k+1) }, k) {
			}
			for s.tryArgs(i, func(args []string) []string {
				args[k] = halve(args[k])
				return args
			}, k) {
			}
		}
	}
}

// halve gives the first half of an argument; of a number all of it, for a number may be a time to live.
func halve(arg string) string {
	if _, err := strconv.ParseFloat(arg, 64); err == nil {
		return arg
	}
	return arg[:len(arg)/2]
}

// tryArgs tries a change of the arguments of a command, if there is still one at k that is not empty.
func (s *shrinker) tryArgs(i int, change func([]string) []string, k int) bool {
	if i >= len(s.best.steps) || k >= len(s.best.steps[i].args) || s.best.steps[i].args[k] == "" {
		return false
	}
	steps := slices.Clone(s.best.steps)
	steps[i].args = change(slices.Clone(steps[i].args))
	return !slices.Equal(steps[i].args, s.best.steps[i].args) && s.fails(steps)
}

// text writes the stream as a script, whose replies are still to be recorded, and what the servers answered.
func (s *shrunk) text(right, tested string) string {
	var b strings.Builder
	for _, step := range s.steps {
		if step.conn > 0 {
			fmt.Fprintf(&b, "@%d ", step.conn+1)
		}
		fmt.Fprintf(&b, "> %s\n", joinArgs(step.args))
	}
	for _, side := range []struct{ name, answer string }{{right, s.right}, {tested, s.tested}} {
		for line := range strings.Lines(side.answer) {
			fmt.Fprintf(&b, "# %s: %s\n", side.name, strings.TrimRight(line, "\n"))
		}
	}
	return b.String()
}

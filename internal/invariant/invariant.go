// Package invariant checks for our own faults: conditions that hold unless this program is wrong.
//
// It is not for the client's faults (those are *resp.Error) nor for the world's (those are wrapped errors
// with a stated outcome). A failed check panics with a text beginning "BUG:" and is never recovered from
// under a baton: state that broke an invariant must not be served or written to disk.
//
// Cheap checks are [Check], always on. Costly ones stand behind the constant [Enabled], which is true only
// under the build tag `invariants`, so that an ordinary build carries none of their code:
//
//	if invariant.Enabled {
//		invariant.Check(x.verify() == nil, "index: counts differ from slots")
//	}
package invariant

// Check panics with "BUG: " + msg if cond is false. It is small enough to be inlined: a passing check costs
// one branch. msg should be a constant and name its package.
func Check(cond bool, msg string) {
	if !cond {
		Fail(msg)
	}
}

// Fail panics with "BUG: " + msg. It marks places that can't be reached.
//
//go:noinline
func Fail(msg string) {
	panic("BUG: " + msg)
}

package shard

// plant lets a test break the protocol on purpose, and widen the moments in which it could fail. It is
// looked at only under the build tag `invariants`.
type plant struct {
	skip  step         // leave out what follows this step
	pause func(s step) // called at every step
}

// step is a moment in the protocol of invariant 2.
type step int

const (
	stepTaken     step = iota + 1 // the baton is somebody else's; a push follows
	stepPushed                    // a task was pushed; another look at the baton follows
	stepReleasing                 // nothing waited; the release follows
	stepReleased                  // another look at the inbox follows
)

// at tells whether to leave out what follows.
func (p *plant) at(s step) (skip bool) {
	if p == nil {
		return false
	}
	if p.pause != nil {
		p.pause(s)
	}
	return p.skip == s
}

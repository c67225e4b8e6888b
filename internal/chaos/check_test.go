package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// check has the writers rest and looks whether all servers have the same, and all that was promised.
func (r *round) check() {
	r.load.gate.Lock()
	defer r.load.gate.Unlock()
	r.equal()
	keys, values := r.load.ledger.all()
	jobs := r.load.ledger.known()
	var groups string
	for i, n := range r.chain {
		r.checkLedger(n, keys, values)
		if got := r.checkQueues(n, jobs); i == 0 {
			groups = got
		} else {
			r.sameGroups(r.chain[0], n, groups, got)
		}
		if got := n.info("stats")["unexpected_error_replies"]; n.follows != nil && got != "0" {
			r.failf("%s commands of its primary have failed on %s", got, n.name)
		}
	}
	r.checkFunctions()
	r.tally.add(func(a *tally) {
		a.checks++
		a.told += len(keys)
		a.jobs += len(jobs)
	})
}

// equal waits until all servers have the same, while nobody writes. What expires meanwhile is deleted by the primary,
// and its PINGs count as well, so it may take some looks.
func (r *round) equal() {
	r.t.Helper()
	r.settle()
	caughtUp := 0 // looks at which all had the same offset
	var digests []string
	var before []string
	defer func() {
		if r.t.Failed() {
			r.note("offsets were %q, digests, where these were the same, %q", before, digests)
		}
	}()
	same := func() bool {
		before = r.offsets()
		if slices.ContainsFunc(before, func(s string) bool { return s != before[0] }) {
			return false
		}
		digests = digests[:0]
		for _, n := range r.chain {
			digests = append(digests, n.do("DEBUG", "DIGEST"))
		}
		if !slices.Equal(before, r.offsets()) {
			return false
		}
		caughtUp++
		return !slices.ContainsFunc(digests, func(s string) bool { return s != digests[0] })
	}
	r.eventually("all have the same", func() bool {
		if same() {
			return true
		}
		if caughtUp >= 50 {
			r.fatalf("the digests differ: %q\n%s", digests, r.differences())
		}
		return false
	})
}

// offsets gives how far each server is.
func (r *round) offsets() (all []string) {
	for i, n := range r.chain {
		fields := n.info("replication")
		if i == 0 {
			all = append(all, fields["master_repl_offset"])
		} else {
			all = append(all, fields["slave_repl_offset"])
		}
	}
	return all
}

// differences tells which keys differ from the primary's.
func (r *round) differences() string {
	const most = 20
	var lines []string
	primary := r.chain[0]
	for _, n := range r.chain[1:] {
		for db := range 16 {
			keys := map[string]bool{}
			for _, side := range []*node{primary, n} {
				side.must("SELECT", strconv.Itoa(db))
				v, err := side.ctl.Do("KEYS", "*")
				if err != nil {
					return err.Error()
				}
				for _, elem := range v.Elems {
					keys[string(elem.Str)] = true
				}
			}
			for key := range keys {
				want, got := primary.do("DEBUG", "DIGEST-VALUE", key), n.do("DEBUG", "DIGEST-VALUE", key)
				if want != got && len(lines) < most {
					lines = append(lines, fmt.Sprintf("%s, db %d, %.60q: %s there, %s here; %s; expires at %s and %s",
						n.name, db, key, want, got, primary.do("TYPE", key), primary.do("PEXPIRETIME", key),
						n.do("PEXPIRETIME", key)))
				}
			}
		}
	}
	for _, n := range r.chain {
		n.must("SELECT", "0")
	}
	return strings.Join(lines, "\n")
}

// checkLedger looks for what a client was told to be there.
func (r *round) checkLedger(n *node, keys, values []string) {
	if len(keys) == 0 {
		return
	}
	n.must("SELECT", ledgerDB)
	v, err := n.ctl.Do(append([]string{"MGET"}, keys...)...)
	if err != nil {
		r.fatalf("%s: %v", n.name, err)
	}
	n.must("SELECT", "0")
	lost := 0
	for i, elem := range v.Elems {
		if text(elem) != values[i] {
			if lost++; lost <= 5 {
				r.note("%s has %s = %s, acknowledged was %s", n.name, keys[i], text(elem), values[i])
			}
		}
	}
	if lost > 0 || len(v.Elems) != len(keys) {
		r.failf("%s: %d of %d keys are lost that WAIT has acknowledged", n.name, lost, len(keys))
	}
}

package chaos

import (
	"fmt"
	"slices"
	"strings"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// queueState is what a server has of one queue.
type queueState struct {
	entries map[string]string // value: ID
	pending map[string]string // ID: consumer
	last    string            // the last ID that was delivered
	group   string            // what replicas must have of the group, as text
	// ours is what redis-server doesn't tell its replicas where a consumer reads what it has: that this is one more
	// delivery, and that there is such a consumer.
	ours string
}

// readQueues reads the queues of the selected database.
func readQueues(c *redistest.Conn) (map[string]queueState, error) {
	all := map[string]queueState{}
	for _, queue := range queues {
		for _, args := range [][]string{
			{"XRANGE", queue, "-", "+"}, {"XPENDING", queue, queueGroup, "-", "+", "1000000"},
			{"XINFO", "GROUPS", queue}, {"XINFO", "CONSUMERS", queue, queueGroup},
		} {
			c.Queue(args...)
		}
		if err := c.Flush(); err != nil {
			return nil, err
		}
		var replies [4]resp.Value
		for i := range replies {
			v, err := c.Receive()
			if err != nil {
				return nil, err
			}
			replies[i] = v
		}
		all[queue] = newQueueState(replies)
	}
	return all, nil
}

func newQueueState(replies [4]resp.Value) queueState {
	s := queueState{entries: map[string]string{}, pending: map[string]string{}}
	for _, entry := range replies[0].Elems {
		s.entries[text(entry.Elems[1].Elems[1])] = text(entry.Elems[0])
	}
	var group, ours strings.Builder
	for _, p := range replies[1].Elems {
		s.pending[text(p.Elems[0])] = text(p.Elems[1])
		fmt.Fprintln(&group, text(p.Elems[0]), text(p.Elems[1])) // not for how long
		fmt.Fprintln(&ours, text(p.Elems[0]), text(p.Elems[3]))
	}
	if len(replies[2].Elems) > 0 {
		fields := fieldsOf(replies[2].Elems[0])
		s.last = fields["last-delivered-id"]
		fmt.Fprintln(&group, s.last, fields["pending"])
	}
	var busy, idle []string
	for _, v := range replies[3].Elems {
		fields := fieldsOf(v)
		if fields["pending"] == "0" {
			idle = append(idle, fields["name"])
		} else {
			busy = append(busy, fields["name"]+" "+fields["pending"])
		}
	}
	slices.Sort(busy)
	slices.Sort(idle)
	s.group, s.ours = group.String()+strings.Join(busy, "\n"), ours.String()+strings.Join(idle, " ")
	return s
}

// fieldsOf reads a list of names and values.
func fieldsOf(v resp.Value) map[string]string {
	fields := map[string]string{}
	for pair := range slices.Chunk(v.Elems, 2) {
		fields[text(pair[0])] = text(pair[1])
	}
	return fields
}

// queueFaults says what of that which is known for sure a server does not have.
func queueFaults(state map[string]queueState, jobs map[string]job) (faults []string) {
	for value, j := range jobs {
		s := state[j.queue]
		pendingAt, pending := s.pending[j.id]
		fresh := compareIDs(j.id, s.last) > 0
		var fault string
		switch {
		case s.entries[value] != j.id:
			fault = "was added, and is not there"
		case j.acked && pending:
			fault = "was acknowledged, and is pending"
		case j.consumer != "" && fresh:
			fault = "was delivered, and will be again"
		case j.consumer != "" && pending && pendingAt != j.consumer:
			fault = "was delivered, and is pending at " + pendingAt
		case j.consumer != "" && !j.acking && !pending:
			fault = "was delivered and not acknowledged, and is not pending"
		default:
			continue
		}
		faults = append(faults, fmt.Sprintf("%s %+v: %s", value, j, fault))
	}
	return append(faults, strayFaults(state)...)
}

// strayFaults says what does not fit together, whatever is known.
func strayFaults(state map[string]queueState) (faults []string) {
	all := map[string]bool{}
	for queue, s := range state {
		ids := map[string]bool{}
		for value, id := range s.entries {
			ids[id], all[value] = true, true
		}
		for id, consumer := range s.pending {
			if !ids[id] || compareIDs(id, s.last) > 0 {
				faults = append(faults, fmt.Sprintf("%s of %s is pending at %s; in the queue: %v, delivered up to %s",
					id, queue, consumer, ids[id], s.last))
			}
		}
	}
	for value := range all {
		name, isFirst := strings.CutSuffix(value, firstOfTwo)
		if !isFirst {
			name, _ = strings.CutSuffix(value, secondOfTwo)
		}
		if name != value && !(all[name+firstOfTwo] && all[name+secondOfTwo]) {
			faults = append(faults, value+" is there without what was added with it")
		}
	}
	return faults
}

// compareIDs compares IDs of entries.
func compareIDs(a, b string) int {
	key := func(id string) string {
		ms, seq, _ := strings.Cut(id, "-")
		return fmt.Sprintf("%020s-%020s", ms, seq)
	}
	return strings.Compare(key(a), key(b))
}

// checkQueues looks at a server's queues, and returns what its replicas must have of them, too.
func (r *round) checkQueues(n *node, jobs map[string]job) (groups string) {
	n.must("SELECT", queuesDB)
	state, err := readQueues(n.ctl)
	if err != nil {
		r.fatalf("%s: %v", n.name, err)
	}
	n.must("SELECT", "0")
	faults := queueFaults(state, jobs)
	for _, fault := range faults[:min(5, len(faults))] {
		r.note("%s: %s", n.name, fault)
	}
	if len(faults) > 0 {
		r.failf("%s: the queues have %d faults", n.name, len(faults))
	}
	allOurs := !slices.ContainsFunc(r.chain, func(n *node) bool { return n.spec.kind != ours })
	for _, queue := range queues {
		groups += queue + "\n" + state[queue].group + "\n"
		if allOurs {
			groups += state[queue].ours + "\n"
		}
	}
	return groups
}

// sameGroups compares what two servers have of the groups, of which a digest says nothing.
func (r *round) sameGroups(a, b *node, ofA, ofB string) {
	linesA, linesB := strings.Split(ofA, "\n"), strings.Split(ofB, "\n")
	for i := range min(len(linesA), len(linesB)) {
		if linesA[i] != linesB[i] {
			r.failf("the groups of %s and %s differ: %q, %q", a.name, b.name, linesA[i], linesB[i])
			return
		}
	}
	if len(linesA) != len(linesB) {
		r.failf("the groups of %s and %s have %d and %d lines", a.name, b.name, len(linesA), len(linesB))
	}
}

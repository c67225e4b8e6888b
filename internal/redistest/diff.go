package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	streamConns  = 2    // connections of a stream to each server
	streamRun    = 16   // commands in a row on one of them, on average
	streamBatch  = 128  // commands sent before their replies are read, at most
	streamDigest = 2000 // commands between two comparisons of all keys
	keptDBs      = 16   // databases that are compared

	sizePatience   = time.Minute     // for keys that are past their time to be removed
	shrinkPatience = 3 * time.Second // the same, where a difference has been found
)

// Diff sends the same random commands of a grammar to two servers, the first of which is right, and fails the test with
// a short script if they answer differently or hold different keys. -commands and -seed set length and seed; under the
// race detector, which slows both down, a quarter of it is sent.
func Diff(t *testing.T, right, tested Server, grammar Grammar) {
	t.Helper()
	diff(t, right, tested, grammar, "")
}

// diff is Diff or, with classes of events, DiffEvents.
func diff(t *testing.T, right, tested Server, grammar Grammar, events string) {
	t.Helper()
	seed := *flagSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	begun := time.Now()
	d := &differ{
		right: right.startDebugged(t), tested: tested.startDebugged(t), tolerances: grammar.tolerances(),
		events: events,
	}
	steps := newStream(grammar, seed, *flagCommands/raceShare, begun.Unix())
	found, err := d.play(steps)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if found == nil {
		t.Logf("seed %d: %d commands answered alike in %v", seed, len(steps), time.Since(begun).Round(time.Millisecond))
		return
	}
	short := d.shrink(steps, found)
	t.Errorf("seed %d: %s and %s differ after %d commands, shrunk to %d:\n%s",
		seed, right.Name, tested.Name, found.at+1, len(short.steps), short.text(right.Name, tested.Name))
}

// streamStep is a command of a stream.
type streamStep struct {
	conn int // from 0
	args []string
}

// newStream draws a stream. One seed gives one stream but for its absolute times.
func newStream(grammar Grammar, seed uint64, length int, nowSec int64) []streamStep {
	g := newGen(seed, nowSec)
	weight := grammar.weight()
	steps := make([]streamStep, length)
	conn := 0
	for i := range steps {
		if g.Chance(streamRun) {
			conn = g.rnd.IntN(streamConns)
		}
		steps[i] = streamStep{conn: conn, args: g.step(grammar, weight)}
	}
	return steps
}

// differ plays streams to two servers.
type differ struct {
	right, tested string // addresses
	tolerances    map[string]tolerance
	events        string // classes of keyspace events that are compared, too; empty: none are
	hasty         bool   // a difference has been found already
}

// difference is where two servers part.
type difference struct {
	at            int // index of the last command sent
	right, tested string
}

// pair is a connection to each of the servers.
type pair struct {
	right, tested *Conn
	// multi holds the tolerances of the commands queued since MULTI; nil outside.
	multi []tolerance
}

func (d *differ) dial() (*pair, error) {
	right, err := Dial(d.right)
	if err != nil {
		return nil, err
	}
	tested, err := Dial(d.tested)
	if err != nil {
		return nil, errors.Join(err, right.Close())
	}
	return &pair{right: right, tested: tested}, nil
}

func (p *pair) close() error { return errors.Join(p.right.Close(), p.tested.Close()) }

// do sends one command to both and gives both replies.
func (p *pair) do(args ...string) (right, tested reply, err error) {
	for _, conn := range []*Conn{p.right, p.tested} {
		conn.Queue(args...)
		err = errors.Join(err, conn.Flush())
	}
	if err != nil {
		return reply{}, reply{}, err
	}
	right, err = p.right.receive()
	tested, err2 := p.tested.receive()
	return right, tested, errors.Join(err, err2)
}

// play empties both servers, sends a stream and gives the first difference, or nil if there is none. All keys are
// compared now and then, and at the end. A lost connection to the tested server is a difference, too.
func (d *differ) play(steps []streamStep) (found *difference, err error) {
	var pairs [streamConns + 1]*pair // the last is for the digest
	for i := range pairs {
		if pairs[i], err = d.dial(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, pairs[i].close()) }()
	}
	digest := pairs[streamConns]
	begin := []string{"FLUSHALL"}
	if d.tolerances["info"].field != "" {
		begin = append(begin, "SAVE") // counters of changes begin anew
	}
	for _, name := range begin {
		if _, _, err := digest.do(name); err != nil {
			return nil, err
		}
	}
	var ears *listening
	if d.events != "" {
		if ears, err = d.listen(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, ears.close()) }()
	}
	sinceDigest := 0
	for at := 0; at < len(steps); {
		end := at + 1
		for end < len(steps) && end-at < streamBatch && steps[end].conn == steps[at].conn {
			end++
		}
		if found, err = d.playBatch(pairs[steps[at].conn], steps[at:end]); found != nil || err != nil {
			if found != nil {
				found.at += at
			}
			return found, err
		}
		if ears != nil {
			if found, err = ears.compare(end - 1); found != nil || err != nil {
				return found, err
			}
		}
		sinceDigest += end - at
		at = end
		if at < len(steps) && sinceDigest < streamDigest {
			continue
		}
		sinceDigest = 0
		if ears != nil {
			if err := digest.expire(true); err != nil {
				return nil, err
			}
		}
		right, tested, err := digest.digests(d.hasty)
		if err != nil {
			tested = err.Error()
		}
		if right != tested {
			return &difference{at: at - 1, right: right, tested: tested}, nil
		}
		if ears != nil { // what has expired meanwhile is of no interest
			if err := digest.expire(false); err != nil {
				return nil, err
			}
			if _, _, err := ears.heard(); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// playBatch sends commands of one connection to both servers and compares the replies.
func (d *differ) playBatch(p *pair, steps []streamStep) (*difference, error) {
	for _, step := range steps {
		p.right.Queue(step.args...)
		p.tested.Queue(step.args...)
	}
	if err := p.right.Flush(); err != nil {
		return nil, err
	}
	testedErr := p.tested.Flush()
	for i, step := range steps {
		right, err := p.right.receive()
		if err != nil {
			return nil, err
		}
		var tested reply
		if testedErr == nil {
			tested, testedErr = p.tested.receive()
		}
		if testedErr != nil {
			// A server that dies takes replies with it that it had already given: any of the batch may be the one.
			return &difference{at: len(steps) - 1, right: "a reply", tested: testedErr.Error()}, nil
		}
		if !p.equal(d.tolerances[strings.ToLower(step.args[0])], step.args, right, tested) {
			return &difference{at: i, right: right.String(), tested: tested.String()}, nil
		}
	}
	return nil, nil
}

// equal compares the replies to a command. EXEC's is compared item by item, each with the tolerance of its command.
func (p *pair) equal(tol tolerance, args []string, right, tested reply) bool {
	queued := right.kind == '+' && right.text == "QUEUED"
	if queued {
		p.multi = append(p.multi, tol)
		return tol.equal(right, tested)
	}
	switch strings.ToLower(args[0]) {
	case "exec":
		multi := p.multi
		p.multi = nil
		if len(multi) == 0 || len(right.items) != len(multi) || len(tested.items) != len(multi) {
			return tol.equal(right, tested) // not executed, or nothing was
		}
		for i := range multi {
			if !multi[i].equal(right.items[i], tested.items[i]) {
				return false
			}
		}
		return true
	case "discard":
		p.multi = nil
	}
	return tol.equal(right, tested)
}

// digests compares all keys of both servers and gives what differs, a line a key; nothing if they are the same.
func (p *pair) digests(hasty bool) (right, tested string, err error) {
	var differences [2][]string
	for db := range keptDBs {
		var keys [2][]string
		for i, conn := range []*Conn{p.right, p.tested} {
			if keys[i], err = allKeys(conn, db); err != nil {
				return "", "", err
			}
		}
		all := slices.Concat(keys[0], keys[1])
		slices.Sort(all)
		for _, key := range slices.Compact(all) {
			var lines [2]string
			if lines[0], lines[1], err = p.describe(db, key); err != nil {
				return "", "", err
			}
			if lines[0] != lines[1] {
				differences[0] = append(differences[0], lines[0])
				differences[1] = append(differences[1], lines[1])
			}
		}
		var patience time.Duration
		if len(differences[0]) == 0 {
			patience = sizePatience // nothing else has been found
			if hasty {
				patience = shrinkPatience
			}
		}
		size, testedSize, err := p.sizes(patience)
		if err != nil {
			return "", "", err
		}
		if size != testedSize {
			differences[0] = append(differences[0], fmt.Sprintf("db %d: DBSIZE %s", db, size))
			differences[1] = append(differences[1], fmt.Sprintf("db %d: DBSIZE %s", db, testedSize))
		}
	}
	return strings.Join(differences[0], "\n"), strings.Join(differences[1], "\n"), nil
}

// sizes gives DBSIZE of the selected database. Keys that are past their time count until they are removed, and a server
// may take a moment for that: so it asks until both say the same, for a while.
func (p *pair) sizes(patience time.Duration) (right, tested string, err error) {
	for begun := time.Now(); ; {
		one, other, err := p.do("DBSIZE")
		if err != nil || one.String() == other.String() || time.Since(begun) > patience {
			return one.String(), other.String(), err
		}
	}
}

// allKeys selects a database and gives its keys by SCAN.
func allKeys(conn *Conn, db int) ([]string, error) {
	if v, err := conn.Do("SELECT", strconv.Itoa(db)); err != nil || v.Err() != nil {
		return nil, errors.Join(err, v.Err())
	}
	var keys []string
	for cursor := "0"; ; {
		v, err := conn.Do("SCAN", cursor, "COUNT", "1000")
		if err != nil || v.Err() != nil {
			return nil, errors.Join(err, v.Err())
		}
		if len(v.Elems) != 2 {
			return nil, fmt.Errorf("SCAN: %v", v)
		}
		for _, key := range v.Elems[1].Elems {
			keys = append(keys, string(key.Str))
		}
		if cursor = string(v.Elems[0].Str); cursor == "0" {
			return keys, nil
		}
	}
}

// describe gives a line about a key of the selected database from each server.
func (p *pair) describe(db int, key string) (right, tested string, err error) {
	lines := [2]string{fmt.Sprintf("db %d: %s", db, quote(key)), fmt.Sprintf("db %d: %s", db, quote(key))}
	for _, ask := range []struct {
		command string
		tol     tolerance
	}{
		{"TYPE", tolerance{}}, {"GET", tolerance{}}, {"DEBUG DIGEST-VALUE", tolerance{}},
		{"PEXPIRETIME", tolerance{near: nearMs}},
	} {
		one, other, err := p.do(append(strings.Fields(ask.command), key)...)
		if err != nil {
			return "", "", err
		}
		if !ask.tol.equal(one, other) {
			lines[0] += fmt.Sprintf(" %s %v", ask.command, one)
			lines[1] += fmt.Sprintf(" %s %v", ask.command, other)
		}
	}
	return lines[0], lines[1], nil
}

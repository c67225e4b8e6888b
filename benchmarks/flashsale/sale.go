package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fulmen/benchmarks/peer"
)

// sale is one sale.
type sale struct {
	options
	primary *peer.Server
	replica *peer.Server           // nil: none
	addr    atomic.Pointer[string] // of the primary, for buyers
	crowd   []*buyer
	sold    atomic.Int64 // of what buyers know

	restarts []time.Duration // from the start of the process to its answer
	took     time.Duration   // until the last buyer had stopped
}

// addReplica has another server follow.
func (s *sale) addReplica(ctx context.Context) error {
	spec, err := s.spec(s.options.replica)
	if err != nil {
		return err
	}
	if s.replica, err = peer.Start(ctx, spec, nil); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.primary.Addr)
	if err != nil {
		return err
	}
	_, err = s.replica.Do("REPLICAOF", host, port)
	return err
}

// hold opens the sale, holds it with the kills in between, and looks at what has come of it.
func (s *sale) hold(ctx context.Context) error {
	if _, err := s.primary.Do("SET", counter, strconv.Itoa(s.units)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	var all sync.WaitGroup
	for i := range s.buyers {
		b := &buyer{sale: s, id: i, rnd: rand.New(rand.NewPCG(s.seed, uint64(i)))}
		s.crowd = append(s.crowd, b)
		all.Go(func() {
			if err := b.buy(ctx); err != nil {
				cancel(fmt.Errorf("buyer %d: %w", b.id, err)) // and all others
			}
		})
	}
	err := s.disturb(ctx)
	if err != nil {
		cancel(err)
	}
	all.Wait()
	s.took = time.Since(began)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return s.verify(ctx)
}

// disturb does all kills and failovers, at even distances by units sold. Every other time a rewrite of the append-only
// file is under way.
func (s *sale) disturb(ctx context.Context) error {
	rnd := rand.New(rand.NewPCG(s.seed, 1<<32))
	n := s.kills + s.failovers
	for i := range n {
		for s.sold.Load() < int64(s.units)*int64(i+1)/int64(n+1) {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Millisecond):
			}
		}
		if i%2 == 1 {
			if _, err := s.primary.Do("BGREWRITEAOF"); err != nil {
				return err
			}
		}
		time.Sleep(time.Duration(rnd.IntN(5000)) * time.Microsecond) // wherever it is then
		do := s.kill
		if (i+1)*s.failovers/n > i*s.failovers/n {
			do = s.failover
		}
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// failover has primary and replica change places. A replica refuses that as long as it is not there again, or has no
// append-only file again.
func (s *sale) failover(ctx context.Context) error {
	for begun := false; ; {
		if !begun && s.linked() {
			_, err := s.primary.Do("FAILOVER")
			begun = err == nil
		}
		info := s.primary.Info("replication")
		if begun && info["master_failover_state"] == "no-failover" {
			if begun = info["role"] == "slave"; begun {
				break
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.primary, s.replica = s.replica, s.primary
	s.addr.Store(&s.primary.Addr)
	return nil
}

// linked tells whether the replica follows.
func (s *sale) linked() bool { return s.replica.Info("replication")["master_link_status"] == "up" }

func (s *sale) kill(ctx context.Context) error {
	ready, err := s.primary.Kill(ctx)
	s.restarts = append(s.restarts, ready)
	return err
}

// verify looks at what the sale has come to, after a kill.
func (s *sale) verify(ctx context.Context) error {
	if err := s.kill(ctx); err != nil {
		return err
	}
	has, attempts := 0, 0
	var answers []answer
	for _, b := range s.crowd {
		has += b.has
		attempts += len(b.attempts)
		answers = append(answers, b.answers...)
	}
	var faults []error
	if has != s.units {
		faults = append(faults, fmt.Errorf("of %d units %d were sold", s.units, has))
	}
	if err := chain(answers, s.units); err != nil {
		faults = append(faults, err)
	}
	faults = append(faults, s.soldOut(), s.primary.ExpectKeys(int64(attempts)+1, "beside the counter and the tokens"))
	for _, b := range s.crowd {
		faults = append(faults, b.askAgain(ctx))
	}
	faults = append(faults, s.soldOut(), s.compare(ctx))
	return errors.Join(faults...)
}

// soldOut is an error unless the counter is zero.
func (s *sale) soldOut() error {
	left, err := s.primary.Do("GET", counter)
	if err == nil && left.Text != "0" {
		err = fmt.Errorf("the counter is %q", left.Text)
	}
	return err
}

// askAgain is an error unless every token gives the answer that the buyer got.
func (b *buyer) askAgain(ctx context.Context) error {
	defer b.hangUp()
	for i, a := range b.attempts {
		again, err := b.insist(ctx, a)
		if err != nil {
			return err
		}
		if again != b.answers[i] {
			return fmt.Errorf("buyer %d: %+v: answered with %+v, and after the sale with %+v", b.id, a, b.answers[i],
				again)
		}
	}
	return nil
}

// chain is an error unless the answers can be put in an order in which each begins with the count that the one before
// has left, from all units to none: so that no two have seen the same count. As many then begin with a count as have
// left it, but for the first and the last.
func chain(answers []answer, units int) error {
	begun := map[int]int{units: -1, 0: 1}
	for _, a := range answers {
		if a.got != 0 {
			begun[a.left+a.got]++
			begun[a.left]--
		}
	}
	var torn []int
	for count, n := range begun {
		if n != 0 {
			torn = append(torn, count)
		}
	}
	if len(torn) > 0 {
		slices.Sort(torn)
		return fmt.Errorf("%d counts were seen twice or never, the least is %d", len(torn), torn[0])
	}
	return nil
}

// compare is an error unless the replica, if there is one, comes to have the same data.
func (s *sale) compare(ctx context.Context) error {
	if s.replica == nil {
		return nil
	}
	for {
		ours, err := s.primary.Do("DEBUG", "DIGEST")
		if err != nil {
			return err
		}
		theirs, err := s.replica.Do("DEBUG", "DIGEST")
		if err != nil {
			return err
		}
		if ours.Text == theirs.Text {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the replica has other data: %s, not %s", theirs.Text, ours.Text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// report says how the sale went.
func (s *sale) report() string {
	var sum counts
	attempts := 0
	for _, b := range s.crowd {
		sum.add(b.counts)
		attempts += len(b.attempts)
	}
	follows := ""
	if s.replica != nil {
		follows = fmt.Sprintf("; the replica, %s, has the same data after %d failovers", s.options.replica, s.failovers)
	}
	ready := slices.Max(s.restarts).Round(time.Millisecond)
	return fmt.Sprintf("%s, %s, appendfsync %s: %d units to %d buyers in %v, exactly; %d attempts, every token "+
		"honoured once%s\nasked again: %d times by broken connections, %d by impatience, %d for nothing; %d kills, "+
		"ready again after %v at most\n",
		s.server, s.way, s.policy, s.units, s.buyers, s.took.Round(time.Millisecond), attempts, follows,
		sum.broken, sum.hungUp, sum.repeated, len(s.restarts), ready)
}

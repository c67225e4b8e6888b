package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"fulmen/internal/config"
	"fulmen/persist/snapshot"
	"fulmen/replica"
)

// The replica's side of a full sync by flows (see package replica, flow.go): each is a part of one load, and the shadow
// takes the data's place when all of them have come to their end, with the right sum and the mark behind it. One that
// fails, or is missing, ends all of it.

// flowRequest is what a primary is asked for.
func (srv *Server) flowRequest(v *config.Values) replica.FlowRequest {
	r := replica.FlowRequest{Number: v.ReplFlows, LZ4: v.ReplLZ4}
	if r.Number < 0 {
		r.Number = min(srv.processors.cores, replica.MaxFlows)
	}
	if !srv.loadMode(v).direct {
		r.Number = 0
	}
	return r
}

// errLoadsByFile: a replica was told to receive into files after it had asked for flows.
var errLoadsByFile = errors.New("repl-diskless-load has changed meanwhile")

// receiveFlows is receive by the flows that the answer offers.
func (p *primaryLink) receiveFlows(link *replica.Link, answer replica.Answer) error {
	mode := p.srv.loadMode(p.srv.cfg.Values())
	if !mode.direct {
		return errLoadsByFile
	}
	p.totalSize.Store(0)
	flows := p.newFlowLinks(link, answer)
	defer flows.close()
	in, err := flows.open()
	if err == nil {
		p.srv.log.Info(fmt.Sprintf("MASTER <-> REPLICA sync: receiving streamed RDB from master to parser, flows: %d",
			answer.Flows.Number))
		err = p.loadSocket(link, answer, mode, in)
	}
	if err != nil && p.up.fault != faultInsistsOnFlows && p.ctx.Err() == nil {
		// What stands in between may let no other connection through beside this one, or end this one for it.
		p.noFlows = true
		p.srv.log.Info("MASTER <-> REPLICA sync: a flow has failed, the next attempt goes without")
	}
	return err
}

// flowLinks are the connections that the flows come by.
type flowLinks struct {
	// Immutable.
	p      *primaryLink
	answer replica.Answer
	o      replica.LinkOptions
	ctx    context.Context
	close  context.CancelFunc // ends them all; safe from any goroutine, and more than once

	mu    sync.Mutex
	parts []snapshot.Part // by flow
	errs  []error
}

func (p *primaryLink) newFlowLinks(link *replica.Link, answer replica.Answer) *flowLinks {
	l := &flowLinks{p: p, answer: answer, o: p.srv.linkOptions(p.host, p.port)}
	l.o.Addr = link.Conn().RemoteAddr().String() // a name may mean several servers
	l.ctx, l.close = context.WithCancel(p.ctx)
	l.parts = make([]snapshot.Part, answer.Flows.Number)
	return l
}

// openMs is how long opening all flows may take: a little more than the primary lets somebody in for.
const openMs = fetchMs + 2000

// open opens all of them.
func (l *flowLinks) open() (*incoming, error) {
	late := time.AfterFunc(openMs*time.Millisecond, l.close)
	defer late.Stop()
	var all sync.WaitGroup
	for i := range l.parts {
		all.Go(func() {
			part, err := l.openOne(i)
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.parts[i] = part; err != nil {
				l.errs = append(l.errs, fmt.Errorf("Opening flow %d of a synchronization: %w", i, err))
				l.close()
			}
		})
	}
	all.Wait()
	if len(l.errs) > 0 {
		return nil, l.errs[0] // the others come of it
	}
	return &incoming{parts: l.parts, failed: l.close}, nil
}

// openOne opens a flow.
func (l *flowLinks) openOne(index int) (snapshot.Part, error) {
	link, err := replica.Dial(l.ctx, l.o)
	if err != nil {
		return snapshot.Part{}, err
	}
	context.AfterFunc(l.ctx, func() { _ = link.Close() }) // it was read, or what it brings is of no use
	t, err := link.OpenFlow(index, l.answer)
	if err != nil {
		return snapshot.Part{}, err
	}
	t.Progress, t.GoesOn = l.p.cameIn, l.goesOn
	part := snapshot.StreamPart(fmt.Sprintf("%s, flow %d", socketName, index), t, t.SizeBytes)
	if l.answer.Flows.LZ4 {
		part = part.InLZ4()
	}
	return part, nil
}

// goesOn tells whether something has come by any of the flows within the timeout: the primary may be at a value so big
// that it takes longer than that.
func (l *flowLinks) goesOn() bool {
	return l.ctx.Err() == nil && l.p.srv.set.Clock.NowMs()-l.p.lastMs.Load() < l.o.TimeoutMs
}

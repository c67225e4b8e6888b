package reactor

// Write queues p for the peer and sends what the socket takes. p is not kept.
func (c *Conn) Write(p []byte) { c.write(p, false) }

// WriteOwned is Write for a big p that the caller has no more use for: it may be kept instead of copied.
func (c *Conn) WriteOwned(p []byte) { c.write(p, true) }

func (c *Conn) write(p []byte, owned bool) {
	if c.closed || len(p) == 0 {
		return
	}
	c.loop.totals.netOutput.Add(int64(len(p)))
	room := cap(p)
	switch {
	case !c.out.empty():
		if !c.mayPass() {
			c.out.mark(c.mark)
		}
	case !c.mayPass():
		c.out.mark(c.mark)
		c.awaitGate()
	default:
		c.loop.writes.Add(1)
		n, err := c.raw.Write(p)
		if err != nil {
			c.Abort(err)
			return
		}
		if p = p[n:]; len(p) == 0 {
			return
		}
		if !c.fellBehind() {
			return
		}
	}
	if owned && len(p) >= ownedBytes && len(p) >= room/2 {
		c.out.addOwned(p)
	} else {
		c.out.add(p, c.loop)
	}
	c.checkOutput()
}

// fellBehind has the connection told when its socket, which is full, takes bytes again. false: it was closed, because
// that can't be.
func (c *Conn) fellBehind() bool {
	if !c.full {
		c.full = true
		c.loop.lagging++
		c.loop.totals.lagging.Add(1)
		c.loop.WantTick()
		c.countHeld()
	}
	if err := c.loop.waker.watch(c); err != nil {
		c.Abort(err)
		return false
	}
	return true
}

// checkOutput holds the output buffer to its limits after it grew.
func (c *Conn) checkOutput() {
	limits := c.loop.limits.Load()
	out := c.out.bytes
	if !c.full {
		c.checkHeld(limits)
		return
	}
	hard, _, _ := c.outputLimits(limits)
	if tooMuch(out, hard) || (c.untrusted && tooMuch(out, limits.UntrustedOutputBytes)) {
		c.loop.totals.outputLimitHits.Add(1)
		c.Abort(ErrOutputBufferLimit)
		return
	}
	c.noteSoft(limits)
	// Executing costs nothing as long as the replies are no longer than the commands, which would have to
	// be kept otherwise: a peer may send a long pipeline before it reads the first reply.
	if limits.StallBytes > 0 && out > limits.StallBytes+c.credit && !c.stalled {
		c.stalled = true
		c.loop.handler.Stalled(c, true)
	}
	c.account(limits)
}

// noteSoft remembers since when the output is above the soft limit.
func (c *Conn) noteSoft(limits *Limits) {
	_, soft, _ := c.outputLimits(limits)
	switch {
	case !tooMuch(c.out.bytes, soft):
		c.softSince = 0
	case c.softSince == 0:
		c.softSince = max(c.loop.totals.tickMs.Load(), 1)
	}
}

// checkSoft closes the connection if its output has been above the soft limit for too long.
func (c *Conn) checkSoft(limits *Limits, nowMs int64) {
	if !c.full {
		return
	}
	c.noteSoft(limits) // the limit may have changed
	_, _, softMs := c.outputLimits(limits)
	if c.softSince != 0 && nowMs-c.softSince >= softMs {
		c.loop.totals.outputLimitHits.Add(1)
		c.Abort(ErrOutputBufferLimit)
	}
}

// account keeps this connection's share of what is held for peers that don't read, and tells the observer
// what changed. When all of them hold too much, one that makes us hold more and has no less than the
// average is closed.
func (c *Conn) account(limits *Limits) {
	query, out := len(c.query.bytes()), c.out.bytes
	if c.full {
		held := c.query.sizeBytes() + out
		grew := held > c.counted
		total := c.loop.totals.laggingBytes.Add(int64(held - c.counted))
		c.counted = held
		if grew && limits.StalledTotalBytes > 0 && total > int64(limits.StalledTotalBytes) &&
			int64(held)*c.loop.totals.lagging.Load() >= total {
			c.loop.totals.outputLimitHits.Add(1)
			c.Abort(ErrSlowReader)
			return
		}
	}
	if query != c.toldQuery || out != c.toldOut {
		c.toldQuery, c.toldOut = query, out
		if c.loop.observer != nil {
			c.loop.observer.Buffers(c)
		}
	}
}

// caughtUp ends what began when the socket didn't take all of the output.
func (c *Conn) caughtUp() {
	c.full = false
	c.loop.lagging--
	c.loop.totals.lagging.Add(-1)
	c.loop.totals.laggingBytes.Add(int64(-c.counted))
	c.counted, c.softSince = 0, 0
}

// sender is a Conn as the recipient of its letter writable.
type sender Conn

// Deliver implements Recipient: the socket takes bytes again.
func (s *sender) Deliver(*Loop, *Letter) {
	c := (*Conn)(s)
	c.letterOut.Store(false)
	if c.full {
		c.drain()
	}
}

// drainBytes is how much a connection sends before others have their turn.
const drainBytes = 1 << 20

// drain sends what may leave and the socket takes of the output, and goes on executing when there is little left.
func (c *Conn) drain() {
	free := c.out.free(c.loop.gate.released.Load())
	for sent := 0; sent < drainBytes && free > 0; {
		head := c.out.head()
		head = head[:min(len(head), free)]
		c.loop.writes.Add(1)
		n, err := c.raw.Write(head)
		if err != nil {
			c.Abort(err)
			return
		}
		c.out.discard(n, c.loop)
		sent += n
		free -= n
		if n < len(head) {
			break
		}
	}
	switch full := c.full; {
	case free > 0 && !c.fellBehind():
		return
	case free > 0 && !full: // from now on it is the peer's fault
		if c.checkOutput(); c.closed {
			return
		}
	case free == 0 && full:
		c.caughtUp()
	}
	switch {
	case c.out.empty():
		c.credit = 0
		if c.closing {
			c.drop()
			return
		}
	case free == 0:
		c.awaitGate()
	}
	c.noteLess()
}

// resumeBytes is at how little output the connection is executed again if it had too much.
func (c *Conn) resumeBytes(l *Limits) int {
	if hard, _, _ := c.outputLimits(l); hard > 0 {
		return min(l.StallBytes, hard) / 2
	}
	return l.StallBytes / 2
}

// noteLess follows a drain.
func (c *Conn) noteLess() {
	limits := c.loop.limits.Load()
	c.countHeld()
	if c.full {
		c.noteSoft(limits)
	}
	c.account(limits)
	if c.stalled && !c.closed && c.out.bytes <= c.resumeBytes(limits) &&
		(c.out.empty() || !c.loop.gate.overfull(limits)) {
		c.stalled = false
		c.loop.handler.Stalled(c, false)
		c.feed(nil)
	}
}

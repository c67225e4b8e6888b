package reactor

// AbortOverLimit closes a connection whose replies, not written yet, exceed the output limit by themselves.
func (c *Conn) AbortOverLimit() {
	if c.closed {
		return
	}
	c.loop.totals.outputLimitHits.Add(1)
	c.Abort(ErrOutputBufferLimit)
}

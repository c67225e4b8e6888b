package server

// replication tells of replicas and of the history, in Redis's order.
func (t *infoText) replication() {
	r := &t.srv.replication
	h, stream := r.history.Load(), r.stream()
	list := *r.followers.Load()
	t.line("role:master")
	t.line("connected_slaves:%d", len(list))
	if good, wanted := r.countGood(t.srv.cfg.Values()); wanted {
		t.line("min_slaves_good_slaves:%d", good)
	}
	for i, f := range list {
		ip, port := f.address()
		lag := int64(0)
		if f.is(online) {
			lag = t.nowMs/1000 - f.ackMs.Load()/1000
		}
		t.line("slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d", i, ip, port, followerState(f.state.Load()),
			f.ackLSN.Load(), lag)
	}
	t.line("master_failover_state:no-failover")
	t.line("master_replid:%s", h.ID)
	t.line("master_replid2:%s", h.ID2)
	t.line("master_repl_offset:%d", stream.Offset())
	t.line("second_repl_offset:%d", h.SecondOffset)
	r.mu.Lock()
	active := r.backlog != nil
	r.mu.Unlock()
	first, length := int64(0), int64(0)
	if active {
		first = int64(stream.Oldest()) + 1
		length = max(int64(stream.Offset())+1-first, 0)
	}
	t.line("repl_backlog_active:%d", btoi(active))
	t.line("repl_backlog_size:%d", t.srv.cfg.Values().BacklogBytes)
	t.line("repl_backlog_first_byte_offset:%d", first)
	t.line("repl_backlog_histlen:%d", length)
}

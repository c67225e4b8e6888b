package server

// replication tells of replicas and of the history, in Redis's order.
func (t *infoText) replication() {
	r := &t.srv.replication
	h, stream := r.history.Load(), r.stream()
	list := *r.followers.Load()
	if link := t.srv.upstream.link.Load(); link == nil {
		t.line("role:master")
	} else {
		t.followed(link)
	}
	t.line("connected_slaves:%d", len(list))
	if good, wanted := r.countGood(t.srv.cfg.Values()); wanted {
		t.line("min_slaves_good_slaves:%d", good)
	}
	for i, f := range list {
		ip, port := f.address()
		lag := int64(0)
		state := f.shownState()
		if state == online {
			lag = t.nowMs/1000 - f.ackMs.Load()/1000
		}
		t.line("slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d", i, ip, port, state,
			f.ackLSN.Load(), lag)
	}
	t.line("master_failover_state:%s", t.srv.failover.state())
	t.line("master_replid:%s", h.ID)
	t.line("master_replid2:%s", h.ID2)
	t.line("master_repl_offset:%d", stream.Offset())
	t.line("second_repl_offset:%d", h.SecondOffset)
	r.mu.Lock()
	active := r.backlog != nil || t.srv.following() && t.srv.upstream.linked.Load() // what came is kept
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

// followed tells of the primary that the server follows.
func (t *infoText) followed(run *primaryLink) {
	v, state := t.srv.cfg.Values(), linkState(run.state.Load())
	st, relay := run.stream.Load(), run.relay.Load()
	up := state == linkConnected
	t.line("role:slave")
	t.line("master_host:%s", run.host)
	t.line("master_port:%d", run.port)
	t.line("master_link_status:%s", map[bool]string{true: "up", false: "down"}[up])
	lastIO, read, applied := int64(-1), relay.Published(), relay.Published()
	if up && st != nil {
		lastIO = (t.nowMs - st.lastMs.Load()) / 1000
		read, applied = relay.End(), st.executed.Load()
	}
	t.line("master_last_io_seconds_ago:%d", lastIO)
	t.line("master_sync_in_progress:%d", btoi(state == linkTransfer))
	t.line("slave_read_repl_offset:%d", read)
	t.line("slave_repl_offset:%d", applied)
	if state == linkTransfer {
		t.transfer(run)
	}
	if !up {
		t.line("master_link_down_since_seconds:%d", (t.nowMs-run.downMs.Load())/1000)
	}
	t.line("slave_priority:%d", v.ReplicaPriority)
	t.line("slave_read_only:%d", btoi(v.ReplicaReadOnly))
	t.line("replica_announced:%d", btoi(v.ReplicaAnnounced))
}

// transfer tells how far the snapshot from the primary is. As in Redis its size is -1 before the primary has begun, and
// 0 if that does not tell.
func (t *infoText) transfer(run *primaryLink) {
	total, read := run.totalSize.Load(), run.totalRead.Load()
	percent := 0.0
	if total != 0 {
		percent = float64(read) * 100 / float64(total)
	}
	t.line("master_sync_total_bytes:%d", total)
	t.line("master_sync_read_bytes:%d", read)
	t.line("master_sync_left_bytes:%d", total-read)
	t.line("master_sync_perc:%.2f", percent)
	t.line("master_sync_last_io_seconds_ago:%d", (t.nowMs-run.lastMs.Load())/1000)
}

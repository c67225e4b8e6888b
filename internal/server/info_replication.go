package server

// replication tells of replicas and of the history, in Redis's order.
func (t *infoText) replication() {
	r := &t.srv.replication
	h, stream := r.history.Load(), r.stream()
	t.line("role:master")
	t.line("connected_slaves:0")
	t.line("master_failover_state:no-failover")
	t.line("master_replid:%s", h.ID)
	t.line("master_replid2:%s", h.ID2)
	t.line("master_repl_offset:%d", stream.Offset())
	t.line("second_repl_offset:%d", h.SecondOffset)
	t.line("repl_backlog_active:0")
	t.line("repl_backlog_size:0")
	t.line("repl_backlog_first_byte_offset:0")
	t.line("repl_backlog_histlen:0")
}

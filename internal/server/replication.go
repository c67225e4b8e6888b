package server

import (
	"fulmen/replica"
	"sync/atomic"
)

// replication is the server's part in replication: the history that its data belongs to, and the stream that replicas
// are fed from.
type replication struct {
	srv *Server

	history atomic.Pointer[replica.History] // replaced as a whole, under all batons or before there are clients
}

func (r *replication) init(srv *Server) {
	r.srv = srv
	r.setHistory(replica.NewHistory())
}

// setHistory changes what the data is called; all batons are held, or nobody is served.
func (r *replication) setHistory(h replica.History) { r.history.Store(&h) }

// stream is what replicas are sent. Safe from any goroutine.
func (r *replication) stream() replica.Stream { return replica.LogStream{Log: r.srv.set.Log} }

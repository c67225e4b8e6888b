package server

// What a client is sent, and the log. A reply that tells of data leaves when the log is as safe as the policy promises,
// up to everything that the reply may tell of: what its commands have committed, and the last commits of the shards
// that they have looked at. Nobody who writes a reply has to think of that, because it is known where batons are given
// back (shard.Worker.LSN), and because there are two ways for replies to leave: send, and the end of a batch
// (loop.flush). What another loop has executed for a session (parking.Serve, postServed) brings its LSN along
// (parking.lsn).
//
// A connection's mark never falls, and is raised at the end of each batch whether there is a reply or not. So a command
// that replies later (slices, SAVE) waits for what it did when it ran, and a reply after CLIENT REPLY OFF or SKIP for
// what was done in silence. QUIT and what closes a client after its reply close when the reply has left; who is
// killed, or goes away, gets nothing.
//
// Not marked is what tells of the server and not of data: INFO, statistics, and the lines of MONITOR, which show
// commands and not their outcome.

// mark has what the session is sent from now on wait for lsn.
func (s *Session) mark(lsn uint64) {
	s.conn.Mark(lsn)
	s.srv.gate.look()
}

// send sends what tells of the log up to lsn. An owned p may be kept instead of copied.
func (s *Session) send(lsn uint64, p []byte, owned bool) {
	s.mark(lsn)
	s.write(p, owned)
}

// sendLong is send of a piece of the reply to the running command, whose batons have been given back.
func (s *Session) sendLong(p []byte) { s.send(s.loop.worker.LSN, p, true) }

// write sends what doesn't tell of data, behind everything before.
func (s *Session) write(p []byte, owned bool) {
	if owned {
		s.conn.WriteOwned(p)
		return
	}
	s.conn.Write(p)
}

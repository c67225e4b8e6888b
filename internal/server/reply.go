package server

import "fulmen/shard/command"

// What a client is sent, and the log. A reply that tells of data leaves when the log is as safe as the policy promises,
// up to everything that the reply may tell of: what its commands have committed, and the last commits of the shards
// that they have looked at. Nobody who writes a reply has to think of that, because it is known where batons are given
// back (shard.Worker.LSN), and because there is one way for replies to leave: send, at the end of a batch (loop.flush)
// or when another loop has executed a command (parking.endTask). That loop brings its LSN along (parking.lsn), as it
// does where it has served a command that waited (postServed).
//
// A connection's mark never falls, and is raised at the end of each batch whether there is a reply or not. So a command
// that replies later (slices, SAVE) waits for what it did when it ran, and a reply after CLIENT REPLY OFF or SKIP for
// what was done in silence. QUIT and what closes a client after its reply close when the reply has left; who is
// killed, or goes away, gets nothing.
//
// While the Writer fails, what looks only at keys that were not changed behind what is synced is not marked with its
// shards' commits: unsynced.go.
//
// Not marked is what tells of the server and not of data: INFO, statistics, and the lines of MONITOR, which show
// commands and not their outcome.

// mark has what the session is sent from now on wait for lsn.
func (s *Session) mark(lsn uint64) {
	if s.primary != nil {
		return
	}
	s.conn.Mark(lsn)
	s.srv.gate.look()
}

// send sends the reply in c, which tells of the log up to lsn; a buffer of more than keep bytes is given away. A
// session whose reply is too long is cut off instead.
func (s *Session) send(c *command.Ctx, lsn uint64, keep int) {
	s.mark(lsn)
	if c.Overflow {
		c.Reply = command.Reply{}
		s.conn.AbortOverLimit()
		return
	}
	if c.Bytes() > len(c.Out) {
		c.Give(s.writeOwned)
	}
	switch out := c.Out; {
	case len(out) == 0:
	case cap(out) > keep:
		s.write(out, true)
		c.Out = nil
	default:
		s.write(out, false)
		c.Out = out[:0]
	}
}

func (s *Session) writeOwned(p []byte) { s.write(p, true) }

// tellPrimary sends the primary what is no reply.
func (s *Session) tellPrimary(p []byte) { s.conn.Write(p) }

// write sends what doesn't tell of data, behind everything before.
func (s *Session) write(p []byte, owned bool) {
	if s.primary != nil {
		return // a primary is sent acknowledgements, and no replies
	}
	if owned {
		s.conn.WriteOwned(p)
		return
	}
	s.conn.Write(p)
}

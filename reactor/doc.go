// Package reactor moves bytes between sockets and sessions: it accepts connections, pins each to one
// event loop, collects what they send, queues what they are sent, and carries letters between loops.
// It knows no command and no reply format; a Handler gives the bytes their meaning.
//
// # Goroutines
//
//	goroutine      owns                               woken by              may wait for
//	loop i         its connections, its Loop.State    epoll, its bell       epoll only
//	acceptor       one listening socket               accept(2)             accept, the loop that adopts
//	writability    its epoll instance                 full sockets          epoll only
//	ticker         nothing                            a timer, a loop       the timer
//
// Everything of a Conn belongs to its loop. Other goroutines reach a loop only through Loop.Post.
//
// # Mailbox and bell
//
// A loop's mailbox is a lock-free stack of letters that its loop empties at the end of every callback.
// A poster that finds the loop possibly asleep rings the bell, which is a task of the engine. The loop
// sets its "may be asleep" flag before it looks into the mailbox for the last time, the poster pushes
// before it reads the flag, and both are sequentially consistent: one of them sees the other.
//
// # Output
//
// A write goes to the socket at once; what that doesn't take is kept in the connection's outbox, and the
// writability goroutine mails the connection when the socket takes bytes again. A peer that ends its
// sending side (a half-close, or a plain close that arrives as end of file) still gets what it is owed: the
// connection goes on with a descriptor of its own until all that was received is executed and all replies
// have left or the peer turns out to be gone.
//
// # Gate
//
// Output may be marked with a position of the server's log; it then leaves, in order, when that position is
// released (gate.go). What it holds lies in the outbox, and waits for no socket: the connection isn't lagging.
//
// # Bounds
//
// The query buffer is bounded by Limits.QueryBufferBytes. A connection whose output isn't read stops being
// executed at Limits.StallBytes plus the bytes of the commands executed meanwhile (so that it never holds
// more than those commands would, which had to be kept otherwise); it is closed at Limits.OutputBytes, or
// after Limits.SoftOutputMs above Limits.SoftOutputBytes, where those are set (Limits.PushOutputBytes and so on for
// those that get what they have not asked for, which goes on while they are not executed). All that is held for peers
// that don't read is bounded by Limits.StalledTotalBytes: beyond, a connection that makes it grow and has no
// less than its share is closed. What the gate holds closes nobody: at OutputBytes, too, and beyond
// StalledTotalBytes for all connections together, who adds to it stops being executed. The worst case of one
// connection is StallBytes, one flush of the handler and what the peer itself has sent.
// The mailbox holds at most one letter per connection and cause, and per background job: letters are
// embedded in their owners.
//
// # Invariants
//
//  1. A Handler's methods run on the connection's loop, one at a time.
//  2. Bytes that Data did not consume are offered again, in order, with what came after them.
//  3. Data is not called while the connection is paused, stalled or closing.
//  4. What has collected while a connection waited is executed in slices, between which the loop's other
//     connections have their turn.
//  5. Output leaves in the order in which it was written, and none before its mark is released.
//  6. Close is called exactly once for each connection for which Open was called.
package reactor

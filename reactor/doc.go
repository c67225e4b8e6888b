// Package reactor moves bytes between sockets and sessions: it accepts connections, pins each to one
// event loop, collects what they send, queues what they are sent, and carries letters between loops.
// It knows no command and no reply format; a Handler gives the bytes their meaning.
//
// # Goroutines
//
//	goroutine      owns                               woken by              may wait for
//	loop i         its connections, its Loop.State    epoll, its bell       epoll only
//	acceptor       one listening socket               accept(2)             accept, the loop that adopts
//	ticker         nothing                            a timer               the timer
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
// # Bounds
//
// The query buffer is bounded by Limits.QueryBufferBytes; a connection whose output is not read stops
// being executed at Limits.StallBytes, and is closed at Limits.OutputBytes (when set) or when it goes
// on sending while the buffers of all stalled connections exceed Limits.StalledTotalBytes.
// The mailbox holds at most one letter per connection and per background job: letters are embedded in
// their owners.
//
// # Invariants
//
//  1. A Handler's methods run on the connection's loop, one at a time.
//  2. Bytes that Data did not consume are offered again, in order, with what came after them.
//  3. Data is not called while the connection is paused, stalled or closing.
//  4. Close is called exactly once for each connection for which Open was called.
package reactor

package shard

import "sync/atomic"

// Task is work that waits for a shard's baton. It is queued through a Node that its owner embeds.
type Task interface {
	// Serve runs on the goroutine that holds the baton of s. It must commit what it stages
	// (Shard.Commit) and must not take batons, enqueue or block. keep reports that the baton now
	// belongs to the task's owner: the caller stops draining and does not release.
	Serve(s *Shard, w *Worker) (keep bool)
}

// Node links a task into an inbox. A node is in one inbox at most.
type Node struct {
	next *Node
	Task Task // set once by the owner
}

// inbox is a multi-producer stack taken whole by the holder of the baton.
type inbox struct {
	head atomic.Pointer[Node]
}

func (in *inbox) push(n *Node) {
	for {
		old := in.head.Load()
		n.next = old
		if in.head.CompareAndSwap(old, n) {
			return
		}
	}
}

func (in *inbox) empty() bool { return in.head.Load() == nil }

// nodeList is the holder's queue of tasks, first come first served.
type nodeList struct {
	first, last *Node
}

// fill takes everything from the inbox, oldest first.
func (q *nodeList) fill(in *inbox) {
	newest := in.head.Swap(nil)
	if newest == nil {
		return
	}
	var first *Node
	for n := newest; n != nil; {
		next := n.next
		n.next = first
		first = n
		n = next
	}
	if q.last != nil {
		q.last.next = first
	} else {
		q.first = first
	}
	q.last = newest
}

func (q *nodeList) pop() *Node {
	n := q.first
	if n == nil {
		return nil
	}
	q.first = n.next
	if q.first == nil {
		q.last = nil
	}
	n.next = nil
	return n
}

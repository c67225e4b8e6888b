// Package chaos proves that replication holds while links and processes do not. It starts the real program and
// redis-server as processes, lets writers loose on the primary, and in the meantime cuts, stops and slows down the
// connections between them, kills servers and starts them again, and has them change their roles. Whenever the writers
// rest, all servers must have the same data.
//
// It is a package of tests, run by go test as a short version, and by make chaos at length.
//
// # A round
//
// A seed draws everything but the time that things take: which servers follow which (chains of two or three, ours and
// redis-server on either side), their parameters, what is done to them in which order, and what the writers write. All
// connections of replicas go through proxies of this package (proxy_test.go), one before each server. Each step
// (steps_test.go) damages something and waits until all links are up again; now and then, and at the end, the round is
// checked (check_test.go):
//
//   - all servers have the same offset and the same DEBUG DIGEST;
//   - what a client was told by WAIT that a replica has is there, on all servers;
//   - the same of queues, streams that a group of consumers reads: each entry was delivered to one of them, is pending
//     there until it is acknowledged, and not afterwards; all servers have the same groups;
//   - all servers have the same functions;
//   - no command of a primary has failed on its replica;
//   - transfers between accounts, transactions and scripts over several shards, have left the sum of all accounts at
//     zero, which readers have looked at on all servers all the time.
//
// Resynchronizations are counted by what was done before (tally_test.go): at least 95 % of those whose history the
// primary has kept must be partial.
//
// # Repeating
//
//	make chaos CHAOS_ROUNDS=1 CHAOS_FROM=17
//
// runs the round of seed 17. A failure prints how to repeat it, the steps done so far, and the end of every
// server's log.
package chaos

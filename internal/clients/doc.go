// Package clients proves that programs which know the server only through a client library get from it what they would
// get from Redis. It starts the real program and has client libraries of Go and Node.js use it as their documentation
// says: pipelines, transactions, publish and subscribe, client-side caching, streams, queues and locks, while the
// server is killed and started again.
//
// It is a package of tests. What a single command replies is not looked at here, that is compared with redis-server by
// internal/redistest. Under the race detector there is none of it: the server is a process of its own, without it.
//
// # Node.js
//
// The programs in node/ test a library of npm each. make test installs what node/package-lock.json says to
// bin/clients. A program runs with node_modules beside it, a link to there, and asks the test that has started it to
// kill the server by a line on its standard output (node/harness.mjs).
package clients

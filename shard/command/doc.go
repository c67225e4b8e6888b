// Package command holds the commands that touch the keyspace: the table's row type, the context that a
// handler works with, the one place that executes (Call), and one file a family of handlers. Commands
// that touch the server (connections, configuration, transactions) live in internal/server and join the
// same table. It knows no socket and takes no baton: whoever calls Call holds those that the row's
// route names.
//
// # Adding a command
//
// One row, one function, one script in testdata. The row says everything that COMMAND, key extraction,
// arity checks, refusals and metrics need.
//
// # Invariants
//
//  1. Call is the only place that runs a handler, stages its effects and measures it.
//  2. A handler that fails has changed nothing, and what it appended to the reply is dropped.
//  3. A handler touches only shards that its row's route names; DB checks it.
//  4. A handler's effects in the log are deterministic: absolute times, results instead of random or
//     floating-point operations.
package command

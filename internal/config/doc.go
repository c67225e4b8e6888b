// Package config holds the server's parameters: one table with one row for each, the reading of redis.conf files and
// command lines, and CONFIG GET, SET and REWRITE.
//
// It is not the place where a parameter takes effect. The server reads a typed snapshot (Values) at start and registers
// hooks with OnApply for what must follow a CONFIG SET; this package opens no file and no socket (Env brings the few
// functions it needs), and it knows no reply format: it takes and gives strings.
//
// # Rows
//
// A parameter is added by one row in rows_live.go, one field in Values where something reads it, and one paragraph in
// fulmen.conf (a test compares the three). A row is one of three sorts:
//
//   - live: the server honours every value the row accepts;
//   - later: the effect is not built yet. Only the default, which states the truth, is accepted; any other value is
//     refused with an error that says what is missing, never silently ignored;
//   - inert: it tunes a mechanism that this server does not have and will not need. Every value is accepted, so that
//     existing files load, and a value other than the default is answered with a notice in the log.
//
// # Ownership
//
// Config may be used by any goroutine. Values() is one atomic load. Set, OnApply and Rewrite take one mutex, so there
// is one writer at a time; hooks run under it and must not call Set.
//
// # Invariants
//
//  1. A published Values never changes; its slices are shared by all readers and by later snapshots.
//  2. CONFIG SET publishes all of its values or none. A reader sees them all at once, after every hook has succeeded.
//  3. The text of a setting (CONFIG GET's answer) is accepted by CONFIG SET and gives the same setting.
//  4. Loading what Rewrite returned gives the settings that were current when it was called.
package config

// Package vfstest is what tests put in place of the disk: Mem, a file system in memory that can lose power, and Tap, a
// file system in front of another one that shows every call before it is done and fails those that it is told to.
//
// It is for tests only. It is no faithful copy of one file system: it is worse than all of them within what POSIX
// promises, so that what outlives a crash here outlives it on ext4, XFS and Btrfs.
//
// # What a power cut does
//
// Mem.Crash gives the disk as it is found after a power cut at this moment.
//
// Content. What a file held at its last Sync (or SyncData) is there. Of what changed since, any 512-byte sectors may
// be there and others not: those read as they did at the last sync, or as zeros where the file was shorter. The new
// length may be there or not, or, for a file that has grown, any length between. WriteBack makes nothing last. After a
// Sync that a Tap has failed, what it should have written is lost unless it is written and synced again: the next Sync
// alone reports no error and does nothing for it, as on Linux.
//
// Names. Making, renaming and removing lasts once SyncDir was called for the directory; a Sync of a file does nothing
// for its name. (ext4 would commit it as well, XFS mostly, and nobody promises it.) Of the changes since, any may be
// there and others not, in no order, but for two rules: each is there whole or not at all, so a rename never leaves
// both names or none; and if it is there, so are the earlier ones that concern the same names. A rename from one
// directory to another lasts once either is synced. A file without a name is gone, and with a directory all in it.
//
// Permissions last at once.
//
// A directory of MountMemory is empty afterwards. Mem.Kill is the end of the process alone: everything lasts, there
// too.
//
// # What to try
//
// No test can try every outcome. Outcomes gives those in which bugs show: all is lost; all is there; names without
// content (a rename that was not preceded by a sync) and content without names; each single change of names lost, with
// what depends on it; each single one alone there, with what it depends on; and mixtures drawn from seeds. They are the
// same in every run.
//
// # Ownership
//
// A Mem, its files and a Tap may be used by several goroutines; a file's Read position belongs to one at a time.
// Slices returned are the caller's.
package vfstest

// Package snapshot saves everything that a set of shards holds as it is at one moment, and loads it.
package snapshot

package check

// subcommands lists what the command can do.
func subcommands() []subcommand {
	output := []option{
		{"shards", "N", "write a snapshot in N segments with a manifest, instead of one RDB file"},
		{"compression", "WORD", "lz4, lzf or none; lz4 for segments and lzf for one file, if nothing is said"},
		{"no-checksum", "", "end RDB files without a CRC-64"},
	}
	return []subcommand{
		{
			name: "verify", args: "FILE …", run: (*run).verify,
			summary: "Reads everything and says what is damaged",
			details: "Sizes and sums of the manifest, the checksum of each file, the form of each value down to its\n" +
				"last byte. Exit code 1 if anything is wrong.\n" +
				"Of an append-only file also what a server that was killed has left in memory only.",
			options: []option{
				{"duplicates", "", "look for keys that are there twice, too (8 to 20 bytes of memory for each key)"},
			},
		},
		{
			name: "repair", args: "FILE …", run: (*run).repair,
			summary: "Saves what can be saved to a new file",
			details: "All keys before the first damage of each file, less those whose values are damaged. The old\n" +
				"files stay as they are. Exit code 1 if something was lost or may have been altered.\n" +
				"An append-only file is repaired where it is: a torn end is cut off. What is damaged before\n" +
				"the end is given up, with all that follows, only with --fix. Make a copy first.",
			options: append([]option{
				{"out", "FILE", "the new file; FILE.repaired if nothing is said"},
				{"fix", "", "of an append-only file: give up all that follows the damage"},
			}, output...),
		},
		{
			name: "show", args: "FILE …", run: (*run).show,
			summary: "Lists what is in a snapshot or an append-only file, or prints the value of a key",
			details: "Of an append-only file: the commits in order, with their LSN, where they are, and their records.",
			options: []option{
				{"key", "NAME", "print the value of this key"},
				{"db", "N", "only of this database"},
				{"match", "PATTERN", "only keys that match, as KEYS has it"},
				{"limit", "N", "not more than N keys or commits"},
			},
		},
		{
			name: "convert", args: "FILE NEW", run: (*run).convert,
			summary: "Writes a snapshot anew: as one RDB file, or in segments",
			details: "The new file is an RDB file of version 10, which Redis 7.0 loads, unless something in it\n" +
				"needs a later one. Redis can't read lz4. No file that is there is replaced.\n" +
				"An append-only file, also of Redis's in several files, becomes one that Redis loads: an RDB\n" +
				"file, and the commands after it.",
			options: append([]option{
				{"until-lsn", "N", "of an append-only file: leave out what ends behind this LSN"},
			}, output...),
		},
		{
			name: "truncate", args: "FILE", run: (*run).truncateAOF,
			summary: "Takes an append-only file back to an earlier moment",
			details: "All commits that end behind an LSN are given up, which show tells, or all from the first one\n" +
				"of a later time on, which aof-timestamp-enabled has written; there is no way back beyond the\n" +
				"last rewrite, unless aof-history-retain-seconds or -bytes have kept history. What is newer is\n" +
				"gone for good: take a copy of the directory first. Redis's files are cut before the first\n" +
				"annotation of a later time.\n" +
				"What a server that was killed has left in memory only is taken to the files first.",
			options: []option{
				{"lsn", "N", "the LSN"},
				{"time", "T", "Unix time in seconds, or as 2006-01-02T15:04:05Z"},
			},
		},
		{
			name: "analyse", args: "FILE …", run: (*run).analyse,
			summary: "Says what takes the room: keys by type, encoding, size, time to live, and the biggest",
			details: "Memory is what the keys take in this server, to the byte, with thresholds of encodings as\n" +
				"they are by default.",
			options: []option{
				{"json", "", "as JSON"},
				{"top", "N", "list the N biggest keys; 20 if nothing is said"},
				{"prefix", "SEPARATOR", "sum up keys by what stands before the first separator"},
			},
		},
	}
}

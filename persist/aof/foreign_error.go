package aof

import "fmt"

// ForeignFault tells what is wrong with a file of Redis's.
type ForeignFault uint8

// The faults, with what Redis does about them.
const (
	ForeignManifest  ForeignFault = iota + 1 // the manifest makes no sense
	ForeignMissing                           // a file that the manifest names is not there
	ForeignShort                             // a file ends in the middle of a command or a transaction
	ForeignFormat                            // what is there is no command
	ForeignUnknown                           // a command that this server doesn't have
	ForeignPreamble                          // the RDB part is damaged
	ForeignNotLast                           // a file that ends too early is followed by others
	ForeignDatabase                          // a database that this server doesn't have
	ForeignExecution                         // a command could not be executed
)

// ForeignError says what is wrong with an append-only file of Redis's, in Redis's words, and what helps.
type ForeignError struct {
	Kind   ForeignFault
	File   string
	Offset int64  // in bytes from the start of the file, of the command, or of the line of a manifest
	Line   int    // of a manifest, from 1
	Reason string // in what way; of ForeignUnknown the command's name
	Err    error  // what it comes of, or nil
}

// Unwrap returns e.Err.
func (e *ForeignError) Unwrap() error { return e.Err }

// Error says where, why, and what to do.
func (e *ForeignError) Error() string {
	repair := fmt.Sprintf("make a backup of your AOF file, then use `fulmen-check repair %s`", e.File)
	switch e.Kind {
	case ForeignManifest:
		return fmt.Sprintf("FATAL AOF MANIFEST FILE ERROR: reading the manifest file %s, at line %d (offset %d): %s",
			e.File, e.Line, e.Offset, e.Reason)
	case ForeignMissing:
		return fmt.Sprintf("The append only log file %s doesn't exist", e.File)
	case ForeignShort:
		return fmt.Sprintf("Unexpected end of file reading the append only file %s at offset %d (%s). You can: 1) %s. "+
			"2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server.",
			e.File, e.Offset, e.Reason, "M"+repair[1:])
	case ForeignUnknown:
		return fmt.Sprintf("Unknown command '%s' reading the append only file %s at offset %d: if damage has made it "+
			"of another one, %s", e.Reason, e.File, e.Offset, repair)
	case ForeignPreamble:
		return fmt.Sprintf("Error reading the RDB part of the AOF file %s, AOF loading aborted: %v", e.File, e.Err)
	case ForeignNotLast:
		return fmt.Sprintf("Fatal error: the truncated file is not the last file: %s ends at offset %d (%s); %s",
			e.File, e.Offset, e.Reason, repair)
	case ForeignDatabase:
		return fmt.Sprintf("The append only file %s selects database %s at offset %d, which is out of range: start "+
			"the server with more --databases", e.File, e.Reason, e.Offset)
	case ForeignExecution:
		return fmt.Sprintf("Error executing the command at offset %d of the append only file %s: %v", e.Offset, e.File,
			e.Err)
	}
	return fmt.Sprintf("Bad file format reading the append only file %s at offset %d (%s): %s", e.File, e.Offset,
		e.Reason, repair)
}

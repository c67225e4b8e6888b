package rdb

import "bytes"

// EventKind says which part of a file an Event is.
type EventKind uint8

// The kinds of events.
const (
	EventAux       EventKind = iota + 1 // AuxKey, AuxValue
	EventSelectDB                       // DB
	EventResizeDB                       // Keys, Expires
	EventSlotInfo                       // Slot, Keys, Expires
	EventFunction                       // Code; of release candidates of 7.0 AuxKey (name) and AuxValue (engine) too
	EventModuleAux                      // Module; its data have been skipped
	EventKey                            // Type, Key, ExpireAtMs, IdleSeconds, Freq; Module if it is a module's value
)

// Event is a part of a file. Slices are the Reader's, valid until its next call.
type Event struct {
	Kind EventKind
	Type byte // a key: the type of its value (TypeString …)
	DB   int  // the database selected: of a key its own

	Key        []byte
	ExpireAtMs int64 // Unix time; 0 is none. A time at or before 1970 is given as 1
	// IdleSeconds is the time since the key's last use, Freq the logarithmic counter of its uses, 0..255; -1 if the
	// file doesn't say.
	IdleSeconds int64
	Freq        int

	AuxKey, AuxValue []byte
	Code             []byte // of a library of functions
	Module           string // name of a module's type, nine characters

	// Keys and Expires are how many keys, and keys with expiry, are said to follow: hints, not to be relied on.
	Keys, Expires uint64
	Slot          uint64 // a cluster's slot that the two are about
}

// Library returns a copy of the code of a library of functions, as FUNCTION LOAD takes it: what release candidates of
// 7.0 have written gets the line of metadata that it lacks.
func (e *Event) Library() []byte {
	if e.AuxKey == nil {
		return bytes.Clone(e.Code)
	}
	code := append([]byte("#!"), e.AuxValue...)
	code = append(code, " name="...)
	code = append(code, e.AuxKey...)
	code = append(code, '\n')
	return append(code, e.Code...)
}

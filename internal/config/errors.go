package config

import (
	"errors"
	"fmt"
)

// reason is an error that is nothing but its text, worded for users as Redis words it.
type reason string

// Error gives the text.
func (r reason) Error() string { return string(r) }

// ErrHelp and ErrVersion are returned by Load for --help and --version: nothing was loaded, the caller prints Usage or
// its version and ends successfully.
var (
	ErrHelp    = errors.New("config: help requested")
	ErrVersion = errors.New("config: version requested")
)

// ErrNoFile is CONFIG REWRITE's answer (code ERR) where the server was started without a file.
const ErrNoFile = reason("The server is running without a config file")

// LineError is a line that can't be obeyed. Error() is what the server prints before it exits.
type LineError struct {
	Version string // of the server
	Source  string // file name, "standard input" or "command line"
	Line    int    // from 1, in that source
	Text    string // the line without the blanks around it
	Reason  error
}

// Error lays the error out as Redis does; the source is named behind the line's number.
func (e *LineError) Error() string {
	return fmt.Sprintf("\n*** FATAL CONFIG FILE ERROR (Fulmen %s) ***\n"+
		"Reading the configuration file, at line %d (%s)\n>>> '%s'\n%v", e.Version, e.Line, e.Source, e.Text, e.Reason)
}

// Unwrap gives the reason.
func (e *LineError) Unwrap() error { return e.Reason }

// OpenError is a file, named on the command line or included, that can't be read.
type OpenError struct {
	File string
	Err  error
}

// Error words it as Redis does.
func (e *OpenError) Error() string {
	return fmt.Sprintf("Fatal error, can't open config file '%s': %v", e.File, plainError(e.Err))
}

// Unwrap gives the system's error.
func (e *OpenError) Unwrap() error { return e.Err }

// SetError is CONFIG SET's refusal. Error() is the reply's text behind the code ERR.
type SetError struct {
	Param  string
	Reason error
}

// Error words it as Redis does.
func (e *SetError) Error() string {
	return fmt.Sprintf("CONFIG SET failed (possibly related to argument '%s') - %v", e.Param, e.Reason)
}

// Unwrap gives the reason.
func (e *SetError) Unwrap() error { return e.Reason }

// UnknownError is CONFIG SET of a parameter that does not exist. Error() is the reply's text behind the code ERR.
type UnknownError struct{ Param string }

// Error words it as Redis does.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("Unknown option or number of arguments for CONFIG SET - '%s'", e.Param)
}

// ErrSyntax is CONFIG SET with a name that lacks its value (code ERR).
const ErrSyntax = reason("syntax error")

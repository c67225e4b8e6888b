package resp

import (
	"fmt"
	"strings"
)

// Error is an error reply: the client's fault, or a refusal it can act on. It is an error, so handlers return it; it is
// sent with AppendError.
type Error struct {
	Code string // the first word, by which clients tell errors apart: "ERR", "WRONGTYPE", …
	Msg  string // the rest
}

// Error returns the reply's text without the leading '-'.
func (e *Error) Error() string { return e.Code + " " + e.Msg }

// Errorf makes an error reply. What arguments contribute may hold any bytes: line ends are taken out when it is
// encoded.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// ParseError takes an error reply's text, without the leading '-', apart again. A text of one word is all Code.
func ParseError(text string) *Error {
	code, msg, _ := strings.Cut(text, " ")
	return &Error{Code: code, Msg: msg}
}

// generic makes an error of code ERR.
func generic(msg string) *Error { return &Error{Code: "ERR", Msg: msg} }

// cut is how printf's %.*s shows b: as a C string, so only to its first NUL byte, and at most n bytes of it.
func cut(b []byte, n int) string {
	b = b[:min(len(b), max(n, 0))]
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	return string(b)
}

package command

import "fulmen/internal/resp"

// Args reads a command's arguments from left to right. The first error sticks: ask Err once at the end.
type Args struct {
	args [][]byte
	at   int
	err  error
}

// ArgsFrom starts reading at argument i.
func (c *Ctx) ArgsFrom(i int) Args { return Args{args: c.Args, at: i} }

// More tells whether arguments are left and nothing went wrong.
func (a *Args) More() bool { return a.err == nil && a.at < len(a.args) }

// Left is the number of arguments not read.
func (a *Args) Left() int { return len(a.args) - a.at }

// At is the position of the next argument.
func (a *Args) At() int { return a.at }

// Option consumes the next argument if it is the given lower-case word, in any case.
func (a *Args) Option(word string) bool {
	if !a.More() {
		return false
	}
	b := a.args[a.at]
	if len(b) > len(word) && b[len(word)] == 0 { // to C a string ends there
		b = b[:len(word)]
	}
	if !equalFold(b, word) {
		return false
	}
	a.at++
	return true
}

// Bytes consumes the next argument; a missing one is a syntax error.
func (a *Args) Bytes() []byte {
	if !a.More() {
		a.Fail(resp.ErrSyntax)
		return nil
	}
	a.at++
	return a.args[a.at-1]
}

// Int consumes an integer.
func (a *Args) Int() int64 { return a.IntOr(resp.ErrNotInteger) }

// IntOr consumes an integer; anything else is the given error.
func (a *Args) IntOr(err error) int64 {
	b := a.Bytes()
	if a.err != nil {
		return 0
	}
	n, ok := resp.ParseInt(b)
	if !ok {
		a.Fail(err)
	}
	return n
}

// Int32 consumes an integer of 32 bits.
func (a *Args) Int32() int64 {
	n := a.Int()
	if n != int64(int32(n)) {
		a.Fail(resp.ErrIntRange)
	}
	return n
}

// Float consumes a floating-point number.
func (a *Args) Float() float64 {
	b := a.Bytes()
	if a.err != nil {
		return 0
	}
	f, ok := resp.ParseFloat(b)
	if !ok {
		a.Fail(resp.ErrNotFloat)
	}
	return f
}

// Fail notes an error unless there is one.
func (a *Args) Fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// Syntax notes a syntax error unless there is an error.
func (a *Args) Syntax() { a.Fail(resp.ErrSyntax) }

// Err returns the first error.
func (a *Args) Err() error { return a.err }

package rdb

import "errors"

// functionsVersion is the first version that has libraries of functions.
const functionsVersion = 10

// AppendFunctions appends what FUNCTION DUMP replies: the code of libraries as in a file, u16 the version, and u64 the
// CRC-64 of all that.
func AppendFunctions(dst []byte, codes [][]byte, lzf bool) []byte {
	var w Writer
	from := len(dst)
	w.Reset(nil, WriteOptions{Version: functionsVersion, LZF: lzf})
	w.buf = dst
	for _, code := range codes {
		w.Function(code)
	}
	return appendFooter(w.buf, from, functionsVersion)
}

// Errors of DecodeFunctions, as Redis words them.
var (
	errNoFunction = errors.New("given type is not a function")
	errLibrary    = errors.New("Failed loading library payload")
)

// DecodeFunctions gives each the code of one library after the other, as FUNCTION LOAD takes it, of what
// AppendFunctions, or FUNCTION DUMP, has made. It keeps none, so that a payload takes no more memory than its biggest
// library. The error is ErrPayload, or says what Redis says, or is that of each, which ends it.
func DecodeFunctions(payload []byte, each func(code []byte) error) error {
	if err := checkDump(payload); err != nil {
		return err
	}
	r := Reader{s: source{buf: payload, end: len(payload) - dumpFooter}}
	for r.s.at < r.s.end {
		op, err := r.s.byte()
		if err != nil {
			return err
		}
		if op != opFunction2 && op != opFunctionPre {
			return errNoFunction
		}
		e := Event{}
		if err := r.part(op, &e); err != nil {
			return errLibrary
		}
		if err := each(e.Library()); err != nil {
			return err
		}
	}
	return nil
}

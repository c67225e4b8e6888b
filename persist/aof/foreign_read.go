package aof

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"

	"fulmen/persist/lines"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// ForeignReader reads the commands of one of Redis's files, or of any file of RESP commands and annotations, in order.
// It belongs to one goroutine.
//
// Numbers and line ends have to be as all versions of Redis write them. Redis's own loader doesn't look at the bytes
// behind an argument, nor behind a number; redis-check-aof does, as this does.
type ForeignReader struct {
	name string
	size int64 // when it was opened
	in   *bufio.Reader
	at   int64 // behind what was read

	start     int64 // of the command that Next has returned last
	timestamp int64
	args      [][]byte
	record    []byte // the last command as a record of ours, if it is one byte for byte
	ends      []int
	data      []byte
}

// NewForeignReader reads a file from an offset on; name is for errors. The caller closes the file.
func NewForeignReader(file vfs.Reader, name string, offset int64) (*ForeignReader, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	section := io.NewSectionReader(file, offset, max(info.Size()-offset, 0))
	return &ForeignReader{name: name, size: info.Size(), in: bufio.NewReaderSize(section, readBytes), at: offset}, nil
}

// Offset returns where what comes next begins: behind the last command if that was whole.
func (r *ForeignReader) Offset() int64 { return r.at }

// Start returns where the last command begins.
func (r *ForeignReader) Start() int64 { return r.start }

// Timestamp returns what the last annotation #TS: has said, Unix time in seconds; 0 if there was none.
func (r *ForeignReader) Timestamp() int64 { return r.timestamp }

// Next returns the next command, whose arguments are valid until the next call. At the end of the file it returns
// io.EOF; a *ForeignError of ForeignShort where the file ends inside a command, of ForeignFormat where there is none;
// or the error of the file system. Its Offset is that of the command's beginning.
func (r *ForeignReader) Next() ([][]byte, error) {
	var line []byte
	for {
		r.start = r.at
		if r.whole() {
			return r.args, nil
		}
		var err error
		line, err = r.line()
		if len(line) > 0 && line[0] == '#' && (err == nil || err == io.EOF) {
			r.annotation(line)
			continue
		}
		if err == io.EOF && len(line) == 0 {
			return nil, io.EOF
		}
		if err == nil || err == io.EOF && line[0] != '*' {
			break
		}
		return nil, r.failed(err, "in a command's number of arguments")
	}
	n, err := r.number(line, '*')
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, r.fault(ForeignFormat, "a command without arguments")
	}
	r.data, r.ends = r.data[:0], r.ends[:0]
	for range n {
		if err := r.argument(); err != nil {
			return nil, err
		}
	}
	r.args = r.args[:0]
	from := 0
	for _, end := range r.ends {
		r.args = append(r.args, r.data[from:end:end])
		from = end
	}
	return r.args, nil
}

// whole takes the command that comes next if all of it is in the buffer, and just as our logs would have it. Whatever
// else there is, the way below finds out.
func (r *ForeignReader) whole() bool {
	r.record = nil
	if r.in.Buffered() == 0 {
		if _, err := r.in.Peek(1); err != nil {
			return false // it comes again
		}
	}
	data, err := r.in.Peek(r.in.Buffered())
	if err != nil || data[0] != '*' {
		return false
	}
	args, n, err := log.DecodeRecord(data, r.args[:0])
	if err != nil || n == 0 {
		return false
	}
	if _, err := r.in.Discard(n); err != nil {
		return false
	}
	r.args, r.record, r.at = args, data[:n:n], r.at+int64(n)
	return true
}

// argument reads an argument to the end of data.
func (r *ForeignReader) argument() error {
	line, err := r.line()
	if err != nil && (err != io.EOF || len(line) == 0 || line[0] == '$') {
		return r.failed(err, "in the length of an argument")
	}
	n, err := r.number(line, '$')
	if err != nil {
		return err
	}
	if int64(n) > r.size-r.at {
		return r.fault(ForeignShort, "in an argument")
	}
	from := len(r.data)
	r.data = slices.Grow(r.data, int(n)+2)[:from+int(n)+2]
	got, err := io.ReadFull(r.in, r.data[from:])
	r.at += int64(got)
	if err != nil {
		return r.failed(err, "in an argument")
	}
	end := from + int(n)
	if string(r.data[end:]) != "\r\n" {
		return r.fault(ForeignFormat, "an argument is not as long as it says")
	}
	r.data = r.data[:end]
	r.ends = append(r.ends, end)
	return nil
}

// line reads a line; without its end if the file ends in it, and the error is io.EOF then.
func (r *ForeignReader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	r.at += int64(len(line))
	if err == bufio.ErrBufferFull {
		return nil, r.fault(ForeignFormat, "a line that doesn't end")
	}
	return line, err
}

// number takes a line of a sign and a number apart.
func (r *ForeignReader) number(line []byte, sign byte) (uint64, error) {
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if ok && len(text) > 1 && text[0] == sign {
		if n, ok := lines.ParseNumber(string(text[1:])); ok {
			return n, nil
		}
	}
	return 0, r.fault(ForeignFormat, fmt.Sprintf("%.40q where %c and a number are needed", line, sign))
}

// annotation takes what an annotation says that is of use.
func (r *ForeignReader) annotation(line []byte) {
	if text, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("#TS:")); ok {
		if n, ok := lines.ParseNumber(string(text)); ok {
			r.timestamp = int64(n)
		}
	}
}

// failed is the error of what could not be read.
func (r *ForeignReader) failed(err error, where string) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return r.fault(ForeignShort, where)
	}
	return err
}

func (r *ForeignReader) fault(kind ForeignFault, reason string) error {
	e := &ForeignError{Kind: kind, File: r.name, Offset: r.start, Reason: reason}
	if kind == ForeignShort {
		e.Err = io.ErrUnexpectedEOF
	}
	return e
}

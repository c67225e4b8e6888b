package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxLine bounds a reply line, so that a server that talks something else is noticed instead of buffered.
const maxLine = 4096

// replies counts the replies in a stream of bytes that arrives in pieces. It understands what the commands of a
// load answer: lines, bulk strings and arrays of them. It keeps only an incomplete line and how much of a bulk
// string and of an array is still to come.
type replies struct {
	items int    // of arrays, still to come
	skip  int    // bytes of a bulk string, its CR LF included, still to come
	line  []byte // an incomplete line
}

// feed counts the replies that end in data.
func (r *replies) feed(data []byte) (complete int, err error) {
	for len(data) > 0 {
		if r.skip > 0 {
			n := min(r.skip, len(data))
			r.skip -= n
			data = data[n:]
			if r.skip == 0 {
				complete += r.end()
			}
			continue
		}
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			if r.line = append(r.line, data...); len(r.line) > maxLine {
				return complete, errors.New("load: endless reply line")
			}
			return complete, nil
		}
		line := data[:end]
		if len(r.line) > 0 {
			r.line = append(r.line, line...)
			line = r.line
		}
		data = data[end+1:]
		whole, err := r.header(line)
		if err != nil {
			return complete, err
		}
		if whole {
			complete += r.end()
		}
		r.line = r.line[:0]
	}
	return complete, nil
}

// end notes the end of a value and returns 1 if it is that of a reply, else 0.
func (r *replies) end() int {
	if r.items > 0 {
		if r.items--; r.items > 0 {
			return 0
		}
	}
	return 1
}

// header looks at the first line of a reply and tells whether it is the whole reply.
func (r *replies) header(line []byte) (whole bool, err error) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return false, errors.New("load: empty reply line")
	}
	switch line[0] {
	case '+', ':', '_':
		return true, nil
	case '$':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return false, fmt.Errorf("load: bulk length %q", line)
		}
		if n < 0 {
			return true, nil
		}
		r.skip = n + 2
		return false, nil
	case '*':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return false, fmt.Errorf("load: array length %q", line)
		}
		if n <= 0 {
			return true, nil
		}
		if r.items == 0 {
			r.items = 1 // the array itself; its last item ends it, too
		}
		r.items += n - 1
		return false, nil
	case '-':
		return false, fmt.Errorf("load: server answered %q", line)
	default:
		return false, fmt.Errorf("load: unexpected reply %q", line)
	}
}

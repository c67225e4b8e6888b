package command

import (
	"bytes"
	"math"

	"fulmen/internal/resp"
	"fulmen/shard/ds/stream"
)

const (
	maxIDBytes = 127 // how long an ID of a stream may be as an argument
	maxIDText  = 41  // how long one is at most as this server writes it
)

// parseNewID reads the ID of an entry to be added: "ms-seq", "ms", which has sequence number missing, or "ms-*", of
// which auto says that the sequence number is still to be found.
func parseNewID(b []byte, missing uint64) (id stream.ID, auto, ok bool) {
	if len(b) > maxIDBytes {
		return id, false, false
	}
	ms, seq, cut := bytes.Cut(cString(b), []byte("-"))
	if id.Ms, ok = parseIDPart(ms); !ok {
		return id, false, false
	}
	switch {
	case !cut:
		id.Seq = missing
	case string(seq) == "*":
		auto = true
	default:
		id.Seq, ok = parseIDPart(seq)
	}
	return id, auto, ok
}

// parseIDPart reads a number as Redis's string2ull does: with C's strtoull, unless it is a negative integer.
func parseIDPart(b []byte) (n uint64, ok bool) {
	if i, ok := resp.ParseInt(b); ok {
		return uint64(i), i >= 0
	}
	if b = bytes.TrimLeft(b, " \t\n\v\f\r"); len(b) == 0 {
		return 0, false
	}
	return parseCursor(b)
}

// parseStrictID reads an ID with its numbers, or only the first of them.
func parseStrictID(b []byte, missing uint64) (stream.ID, error) {
	id, auto, ok := parseNewID(b, missing)
	if !ok || auto {
		return id, resp.ErrStreamID
	}
	return id, nil
}

// parseID is parseStrictID that also takes "-" and "+", the least and the greatest ID.
func parseID(b []byte, missing uint64) (stream.ID, error) {
	if len(b) <= maxIDBytes {
		switch string(cString(b)) {
		case "-":
			return stream.ID{}, nil
		case "+":
			return stream.MaxID(), nil
		}
	}
	return parseStrictID(b, missing)
}

// parseEdge reads an edge of an interval of IDs. One behind "(" is not part of the interval.
func parseEdge(b []byte, missing uint64) (id stream.ID, exclusive bool, err error) {
	if len(b) > 1 && b[0] == '(' {
		id, err = parseStrictID(b[1:], missing)
		return id, true, err
	}
	id, err = parseID(b, missing)
	return id, false, err
}

// parseStart reads the lower edge of an interval and returns the first ID of it.
func parseStart(b []byte) (stream.ID, error) {
	id, exclusive, err := parseEdge(b, 0)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Next(); !ok {
			return id, resp.ErrStreamStart
		}
	}
	return id, err
}

// parseEnd reads the upper edge of an interval and returns the last ID of it.
func parseEnd(b []byte) (stream.ID, error) {
	id, exclusive, err := parseEdge(b, math.MaxUint64)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Prev(); !ok {
			return id, resp.ErrStreamEnd
		}
	}
	return id, err
}

// checkIDs reports what is wrong with arguments that are all to be IDs.
func checkIDs(args [][]byte) error {
	for _, b := range args {
		if _, err := parseStrictID(b, 0); err != nil {
			return err
		}
	}
	return nil
}

// replyID replies an ID.
func (c *Ctx) replyID(id stream.ID) {
	var text [maxIDText]byte
	c.Out = resp.AppendBulk(c.Out, id.AppendTo(text[:0]))
}

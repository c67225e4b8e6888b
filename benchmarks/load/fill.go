package load

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Keys describes a run of keys to be written by Fill.
type Keys struct {
	Prefix     string // 4 bytes; "key:" is what the other loads use
	From, To   uint64 // numbers of the keys, To not included
	ValueBytes int
	Seed       uint64 // values are random bytes from this seed: no server can share or compress them
	ExpireAtMs int64  // if not 0, each key expires at this Unix time
	Single     bool   // SET each key by itself, as keys with an expiry are anyway
}

// single is whether each key has a command of its own.
func (k Keys) single() bool { return k.Single || k.ExpireAtMs != 0 }

// fillChunk is how much Fill collects before it writes: several hundred keys in a write.
const fillChunk = 64 << 10

// Fill writes keys over one connection, in ascending order, by MSET of 10 keys or by SET, possibly with
// PXAT, as a pipeline without end: one goroutine writes, this one counts the replies, TCP holds the faster one
// back.
func Fill(ctx context.Context, addr string, keys Keys) error {
	if keys.To <= keys.From {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer conn.Close() // A second close by stop is harmless.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	want := keys.To - keys.From
	if !keys.single() {
		want = (want + msetKeys - 1) / msetKeys
	}
	written := make(chan error, 1)
	go func() { written <- writeKeys(conn, keys) }()
	readErr := countReplies(conn, want)
	if readErr != nil {
		conn.Close()
	}
	writeErr := <-written
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("load: fill to %d keys: %w", keys.To, ctx.Err())
	case readErr != nil:
		return readErr
	}
	return writeErr
}

func countReplies(conn net.Conn, want uint64) error {
	var in replies
	buf := make([]byte, 64<<10)
	for got := uint64(0); got < want; {
		n, err := conn.Read(buf)
		if err != nil {
			return fmt.Errorf("load: fill, after %d of %d replies: %w", got, want, err)
		}
		complete, err := in.feed(buf[:n])
		if err != nil {
			return err
		}
		got += uint64(complete)
	}
	return nil
}

func writeKeys(conn net.Conn, keys Keys) error {
	rnd := random{state: keys.Seed}
	value := make([]byte, keys.ValueBytes)
	buf := make([]byte, 0, fillChunk+4096+msetKeys*keys.ValueBytes)
	for next := keys.From; next < keys.To; {
		switch {
		case keys.ExpireAtMs != 0:
			buf = append(buf, "*5\r\n$3\r\nSET\r\n"...)
			buf = appendPair(buf, keys.Prefix, next, value, &rnd)
			buf = append(buf, "$4\r\nPXAT\r\n"...)
			buf = appendBulk(buf, strconv.AppendInt(nil, keys.ExpireAtMs, 10))
			next++
		case keys.Single:
			buf = append(buf, "*3\r\n$3\r\nSET\r\n"...)
			buf = appendPair(buf, keys.Prefix, next, value, &rnd)
			next++
		default:
			n := min(keys.To-next, msetKeys)
			buf = append(buf, '*')
			buf = strconv.AppendUint(buf, 1+2*n, 10)
			buf = append(buf, "\r\n$4\r\nMSET\r\n"...)
			for ; n > 0; n-- {
				buf = appendPair(buf, keys.Prefix, next, value, &rnd)
				next++
			}
		}
		if len(buf) < fillChunk && next < keys.To {
			continue
		}
		if err := conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		if _, err := conn.Write(buf); err != nil {
			return fmt.Errorf("load: fill: %w", err)
		}
		buf = buf[:0]
	}
	return nil
}

// appendPair appends a key and a fresh random value; value is scratch space.
func appendPair(dst []byte, prefix string, n uint64, value []byte, rnd *random) []byte {
	for i := 0; i < len(value); i += 8 {
		word := rnd.next()
		for j := i; j < min(i+8, len(value)); j++ {
			value[j] = byte(word)
			word >>= 8
		}
	}
	dst = append(dst, "$16\r\n"...)
	dst = appendKey(dst, prefix, n)
	dst = append(dst, '\r', '\n')
	return appendBulk(dst, value)
}

func appendBulk(dst, value []byte) []byte {
	dst = append(dst, '$')
	dst = strconv.AppendInt(dst, int64(len(value)), 10)
	dst = append(dst, '\r', '\n')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

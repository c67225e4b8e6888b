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
	MostBytes  int    // if not 0, sizes of values are evenly spread from ValueBytes to it
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
	want := keys.To - keys.From
	if !keys.single() {
		want = (want + msetKeys - 1) / msetKeys
	}
	return pipeline(ctx, addr, want, func(conn net.Conn) error { return writeKeys(conn, keys) })
}

// delKeys is how many keys Delete puts into one command.
const delKeys = 10

// Delete deletes so many percent of the keys, chosen by chance and in an order without pattern, as Fill writes them:
// over one connection, as a pipeline. It returns how many it deleted, if all of them were there.
func Delete(ctx context.Context, addr string, keys Keys, percent uint64) (deleted uint64, err error) {
	n := keys.To - keys.From
	chosen := make([]uint64, 0, n*percent/100+delKeys)
	rnd := random{state: keys.Seed}
	for i := range n {
		if rnd.next()%100 < percent {
			chosen = append(chosen, keys.From+i)
		}
	}
	for i := range chosen {
		j := i + int(rnd.next()%uint64(len(chosen)-i))
		chosen[i], chosen[j] = chosen[j], chosen[i]
	}
	commands := (uint64(len(chosen)) + delKeys - 1) / delKeys
	err = pipeline(ctx, addr, commands, func(conn net.Conn) error { return writeDeletes(conn, keys.Prefix, chosen) })
	return uint64(len(chosen)), err
}

func writeDeletes(conn net.Conn, prefix string, chosen []uint64) error {
	buf := make([]byte, 0, fillChunk+4096)
	for len(chosen) > 0 {
		n := min(len(chosen), delKeys)
		buf = append(buf, '*')
		buf = strconv.AppendInt(buf, int64(1+n), 10)
		buf = append(buf, "\r\n$3\r\nDEL\r\n"...)
		for _, key := range chosen[:n] {
			buf = append(buf, "$16\r\n"...)
			buf = appendKey(buf, prefix, key)
			buf = append(buf, '\r', '\n')
		}
		if chosen = chosen[n:]; len(buf) >= fillChunk || len(chosen) == 0 {
			if err := flush(conn, &buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// pipeline has write send commands over a connection of its own and counts so many replies.
func pipeline(ctx context.Context, addr string, want uint64, write func(conn net.Conn) error) error {
	if want == 0 {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer conn.Close() // A second close by stop is harmless.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	written := make(chan error, 1)
	go func() { written <- write(conn) }()
	readErr := countReplies(conn, want)
	if readErr != nil {
		conn.Close()
	}
	writeErr := <-written
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("load: pipeline of %d commands: %w", want, ctx.Err())
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
	most := max(keys.MostBytes, keys.ValueBytes)
	value := make([]byte, most)
	buf := make([]byte, 0, fillChunk+4096+msetKeys*most)
	sized := func() []byte {
		if keys.MostBytes == 0 {
			return value
		}
		return value[:keys.ValueBytes+int(rnd.next()%uint64(most-keys.ValueBytes+1))]
	}
	for next := keys.From; next < keys.To; {
		switch {
		case keys.ExpireAtMs != 0:
			buf = append(buf, "*5\r\n$3\r\nSET\r\n"...)
			buf = appendPair(buf, keys.Prefix, next, sized(), &rnd)
			buf = append(buf, "$4\r\nPXAT\r\n"...)
			buf = appendBulk(buf, strconv.AppendInt(nil, keys.ExpireAtMs, 10))
			next++
		case keys.Single:
			buf = append(buf, "*3\r\n$3\r\nSET\r\n"...)
			buf = appendPair(buf, keys.Prefix, next, sized(), &rnd)
			next++
		default:
			n := min(keys.To-next, msetKeys)
			buf = append(buf, '*')
			buf = strconv.AppendUint(buf, 1+2*n, 10)
			buf = append(buf, "\r\n$4\r\nMSET\r\n"...)
			for ; n > 0; n-- {
				buf = appendPair(buf, keys.Prefix, next, sized(), &rnd)
				next++
			}
		}
		if len(buf) < fillChunk && next < keys.To {
			continue
		}
		if err := flush(conn, &buf); err != nil {
			return err
		}
	}
	return nil
}

// flush writes what was collected and empties it.
func flush(conn net.Conn, buf *[]byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if _, err := conn.Write(*buf); err != nil {
		return fmt.Errorf("load: fill: %w", err)
	}
	*buf = (*buf)[:0]
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

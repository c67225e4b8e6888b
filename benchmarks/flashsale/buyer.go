package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"fulmen/internal/resp"
)

const (
	// answerTime is how long a patient buyer waits for an answer before it asks again.
	answerTime = 10 * time.Second
	// pause is how long a buyer waits before it asks again.
	pause = 10 * time.Millisecond
)

// buyer asks for units until there are none left.
type buyer struct {
	sale *sale
	id   int
	rnd  *rand.Rand

	conn   net.Conn // nil: none
	reader *resp.Reader
	out    []byte

	attempts []attempt
	answers  []answer // to the attempts
	has      int
	counts   counts
}

// counts say how often something happened.
type counts struct {
	broken   int // an attempt was repeated because the connection had broken, or the server was not ready
	hungUp   int // … because the buyer had lost its patience
	repeated int // … though it had been answered
}

func (c *counts) add(other counts) {
	c.broken += other.broken
	c.hungUp += other.hungUp
	c.repeated += other.repeated
}

// buy is all that the buyer does.
func (b *buyer) buy(ctx context.Context) error {
	defer b.hangUp()
	for {
		a := attempt{fmt.Sprintf("{sale}:order:%d:%d", b.id, len(b.attempts)), 1 + b.rnd.IntN(3)}
		if b.has > 0 && b.rnd.IntN(20) == 0 {
			a.amount = -1 - b.rnd.IntN(min(b.has, 3))
		}
		got, err := b.insist(ctx, a)
		if err != nil {
			return err
		}
		b.attempts, b.answers = append(b.attempts, a), append(b.answers, got)
		b.has += got.got
		b.sale.sold.Add(int64(got.got))
		if got.got > max(a.amount, 0) || got.got < min(a.amount, 0) || got.left < 0 {
			return fmt.Errorf("who asked for %d got %+v", a.amount, got)
		}
		if a.amount > 0 && got.got == 0 {
			if got.left != 0 {
				return fmt.Errorf("who asked for %d got nothing, though %d are left", a.amount, got.left)
			}
			return nil
		}
		if b.rnd.IntN(20) > 0 {
			continue
		}
		b.counts.repeated++
		again, err := b.insist(ctx, a)
		if err != nil {
			return err
		}
		if again != got {
			return fmt.Errorf("%+v: answered with %+v and then with %+v", a, got, again)
		}
	}
}

// insist asks until there is an answer.
func (b *buyer) insist(ctx context.Context, a attempt) (answer, error) {
	for {
		if err := ctx.Err(); err != nil {
			return answer{}, err
		}
		patience := answerTime
		if b.rnd.IntN(10) == 0 {
			patience = time.Duration(b.rnd.IntN(3000)) * time.Microsecond
		}
		got, err := b.try(ctx, a, patience)
		if err == nil {
			return got, nil
		}
		var refused *resp.Error
		switch {
		case errors.Is(err, errReply),
			errors.As(err, &refused) && refused.Code != "LOADING" && refused.Code != "READONLY":
			return got, fmt.Errorf("%+v: %w", a, err)
		case patience < answerTime:
			b.counts.hungUp++
		default:
			b.counts.broken++
			time.Sleep(pause)
		}
		b.hangUp() // an answer that comes late would be taken for that to the next attempt
	}
}

// try asks once.
func (b *buyer) try(ctx context.Context, a attempt, patience time.Duration) (answer, error) {
	if b.conn == nil {
		dialer := net.Dialer{Timeout: answerTime}
		conn, err := dialer.DialContext(ctx, "tcp", *b.sale.addr.Load())
		if err != nil {
			return answer{}, err
		}
		b.conn, b.reader = conn, resp.NewReader(conn)
	}
	if err := b.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	return b.sale.ask(b, a)
}

// call sends a command and reads its reply.
func (b *buyer) call(args ...string) (resp.Value, error) {
	b.out = resp.AppendCommandStrings(b.out[:0], args...)
	if _, err := b.conn.Write(b.out); err != nil {
		return resp.Value{}, err
	}
	return b.reader.ReadReply()
}

func (b *buyer) hangUp() {
	if b.conn != nil {
		_ = b.conn.Close() // whatever was under way, the buyer asks again
		b.conn = nil
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"fulmen/benchmarks/load"
	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
	"fulmen/benchmarks/stat"
	"fulmen/internal/resp"
)

// listeners are clients that subscribe to a channel and read what they get. They go away with their server.
type listeners struct{ reading sync.WaitGroup }

// add has n clients subscribe at a server, and returns when they do.
func (l *listeners) add(ctx context.Context, s *peer.Server, n int) error {
	for range n {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", s.Addr)
		if err != nil {
			return err
		}
		if _, err = conn.Write(resp.AppendCommandStrings(nil, "SUBSCRIBE", "news")); err == nil {
			_, err = resp.NewReader(conn).ReadReply()
		}
		if err != nil {
			return errors.Join(err, conn.Close())
		}
		l.reading.Go(func() {
			_, _ = io.Copy(io.Discard, conn) // until the server ends
			_ = conn.Close()
		})
	}
	return nil
}

func (b *bench) runPush(ctx context.Context) (outcome, error) {
	subjects := slices.DeleteFunc(b.subjects(b.serverCPUs, b.clientCPUs), func(s subject) bool {
		return s.name != peer.Fulmen && s.name != peer.Redis
	})
	short := *b
	short.cpuTime /= 5
	var targets []report.Target
	var rows [][]string
	for _, n := range []int{0, 1, 10, 100} {
		name := fmt.Sprintf("PUBLISH to %d", n)
		work := load.Work{
			Command: name, Script: "PUBLISH news xxxxxxxxxxxxxxxx", Pipeline: 16, Clients: clients, Keys: 1,
		}
		var all listeners
		cl := ownClient()
		cl.fill = func(ctx context.Context, s *peer.Server, _ load.Work) error { return all.add(ctx, s, n) }
		g, err := short.measure(ctx, subjects, []load.Work{work}, cl)
		all.reading.Wait()
		if err != nil {
			return outcome{}, err
		}
		ratio := stat.Of(stat.Ratios(g.of(work, peer.Fulmen, cpuUs), g.of(work, peer.Redis, cpuUs)))
		targets = append(targets, report.Target{What: name + ": CPU ÷ redis", Limit: 0.8, Unit: "×", Measured: ratio})
		rows = append(rows, []string{name, report.Spread(stat.Of(g.of(work, peer.Fulmen, cpuUs))),
			report.Spread(stat.Of(g.of(work, peer.Redis, cpuUs))), report.Spread(ratio)})
	}
	text := fmt.Sprintf("Client: the own generator, %d connections that publish in pipelines of 16; subscribers read "+
		"as much as comes, on the client's core.\n\n", clients)
	head := []string{"CPU µs/message", peer.Fulmen, peer.Redis, "÷ redis"}
	return outcome{targets, text + report.Table(head, rows)}, nil
}

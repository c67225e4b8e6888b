// Program flashsale sells the units of one counter to many buyers at the same time, kills the server again and again
// while it does, has another one take its place, and proves that every unit was sold once.
//
//	go run ./benchmarks/flashsale [flags]
//
// # The sale
//
// A buyer asks for a few units, now and then gives some back, and stops when there are none left. Each attempt has a
// token. A buyer that gets no answer, because the server was killed, has become a replica, or because the buyer is
// impatient and hangs up, asks again with the same token until it has one; now and then it asks again though it has.
// The way in which it asks is the command TAKE, or the script that shops run otherwise.
//
// # What is proven
//
// In the end, after one more kill: the counter is zero; what buyers were told that they have is what there was, to
// the unit; each attempt has one token and no token is without an attempt; every token, asked once more, gives the
// answer that its buyer got, and changes nothing; and the answers make one chain from the first unit to the last, each
// beginning where another has ended (see chain). A replica, if there is one, has the same data.
//
// # Ownership
//
// One goroutine starts, kills and stops the servers, which are child processes. Each buyer is a goroutine with a
// connection; what it was told belongs to it until it has ended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"fulmen/benchmarks/peer"
)

// options are the command line.
type options struct {
	units, buyers    int
	kills, failovers int
	policy           string
	way              string
	ask              way // by that name
	server           string
	replica          string // the server that follows; empty: none
	bin              string
	args             []string // more of the server's
	seed             uint64
	timeout          time.Duration
}

func main() {
	opts, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, opts, os.Stdout)
		cancel()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flashsale:", err)
		os.Exit(1)
	}
}

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("flashsale", flag.ContinueOnError)
	set.SetOutput(errOut)
	set.IntVar(&o.units, "units", 100_000, "units that are sold")
	set.IntVar(&o.buyers, "buyers", 1_000, "buyers at the same time")
	set.IntVar(&o.kills, "kills", 10, "how often the server is killed meanwhile")
	set.StringVar(&o.policy, "appendfsync", "always", "`policy` of the append-only file: always, everysec or no")
	set.StringVar(&o.way, "way", "take", "how buyers ask: with the command `take` or the classic script")
	set.StringVar(&o.server, "server", peer.Fulmen, "`name` of the server: fulmen, or redis with -way script")
	set.StringVar(&o.replica, "replica", "",
		"`name` of a server that follows, and is compared in the end: fulmen or redis")
	set.IntVar(&o.failovers, "failovers", 0, "how often primary and replica change places by FAILOVER meanwhile")
	set.StringVar(&o.bin, "bin", "bin", "`folder` of fulmen-server")
	set.Uint64Var(&o.seed, "seed", 1, "of what buyers do")
	set.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this time")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	o.ask = ways[o.way]
	switch {
	case o.ask == nil:
		return o, fmt.Errorf("-way is take or script, not %q", o.way)
	case set.NArg() > 0:
		return o, fmt.Errorf("what is %q?", set.Arg(0))
	case o.units < 1 || o.buyers < 1 || o.kills < 0 || o.failovers < 0:
		return o, errors.New("-units and -buyers must be positive, -kills and -failovers not negative")
	case o.failovers > 0 && o.replica != o.server:
		return o, errors.New("-failovers needs a -replica that is the same server")
	}
	return o, nil
}

// run holds the sale and says on out how it went.
func run(ctx context.Context, o options, out io.Writer) error {
	late := fmt.Errorf("not done within %v (-timeout)", o.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, late)
	defer cancel()
	spec, err := o.spec(o.server)
	if err != nil {
		return err
	}
	s := &sale{options: o}
	if s.primary, err = peer.Start(ctx, spec, nil); err != nil {
		return err
	}
	s.addr.Store(&s.primary.Addr)
	if o.replica != "" {
		err = s.addReplica(ctx)
	}
	if err == nil {
		err = s.hold(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err == nil {
		_, err = io.WriteString(out, s.report())
	}
	if s.replica != nil {
		err = errors.Join(err, s.replica.Stop())
	}
	return errors.Join(err, s.primary.Stop())
}

// spec is a server, by its name, with an append-only file.
func (o options) spec(name string) (peer.Spec, error) {
	specs := peer.Known(o.bin)
	i := slices.IndexFunc(specs, func(s peer.Spec) bool { return s.Name == name && !s.Floor })
	if i < 0 || !specs[i].Installed() {
		return peer.Spec{}, fmt.Errorf("there is no server %q (make build; apt-get install redis-server)", name)
	}
	spec := specs[i].With(name, "--enable-debug-command", "yes", "--appendonly", "yes", "--appendfsync", o.policy,
		"--repl-diskless-sync-delay", "0")
	spec.Logs = true
	return spec.With(name, o.args...), nil
}

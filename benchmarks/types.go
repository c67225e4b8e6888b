package main

import (
	"context"
	"fmt"

	"fulmen/benchmarks/peer"
	"fulmen/benchmarks/report"
)

const (
	bigStream  = "XADD big #-1 f xxxxxxxx g #"
	smallHLL   = "PFADD small:# a b c d e f g h i j k l m n o p q r s t u v w x y z"
	bigHLL     = "PFADD big #"
	bigGeo     = "GEOADD big 13.% 38.% m:#"
	geoTen     = "GEOSEARCH big FROMLONLAT 13.% 38.% BYRADIUS 176 m"
	geoNearest = "GEOSEARCH big FROMLONLAT 13.% 38.% BYRADIUS 500 m ASC COUNT 10 WITHDIST"

	// ackLag is by how many entries XACK is behind XREADGROUP: more than clients have under way, so that what is
	// acknowledged has been delivered.
	ackLag = 2 * clients * 16
)

// otherTypes are the commands on streams, HyperLogLogs and positions, and PUBLISH.
func otherTypes() []collection {
	return []collection{
		{name: "XADD", fill: bigStream, script: "XADD big * f xxxxxxxx g #"},
		{name: "XRANGE(10)", fill: bigStream, script: "XRANGE big # + COUNT 10"},
		{name: "XREAD(10)", fill: bigStream, script: "XREAD COUNT 10 STREAMS big #"},
		{name: "XREADGROUP and XACK", fill: bigStream,
			script: "XREADGROUP GROUP g c COUNT 1 STREAMS big >; XACK big g ^-1",
			begin: []string{
				"XGROUP CREATE big g 0", fmt.Sprintf("XREADGROUP GROUP g c COUNT %d STREAMS big >", ackLag),
			},
			check: stillPending},
		{name: "PFADD, sparse", fill: smallHLL, script: "PFADD small:# @", small: true},
		{name: "PFADD, dense", fill: bigHLL, script: "PFADD big new:#"},
		{name: "PFCOUNT, cached", fill: bigHLL, script: "PFCOUNT big"},
		{name: "GEOADD", fill: bigGeo, script: "GEOADD big 13.% 38.% m:#"},
		{name: "GEODIST", fill: bigGeo, script: "GEODIST big m:# m:@ km"},
		{name: "GEOSEARCH(10)", fill: bigGeo, script: geoTen},
		{name: "GEOSEARCH, 10 nearest of 80", fill: bigGeo, script: geoNearest},
		{name: "PUBLISH to 10", script: "PUBLISH news xxxxxxxxxxxxxxxx", subscribers: 10},
	}
}

// stillPending fails if deliveries and acknowledgements have not kept pace: a stream that has been read to its end, or
// acknowledgements of what isn't pending, would look fast.
func stillPending(s *peer.Server) error {
	reply, err := s.Do("XPENDING", "big", "g")
	if err != nil {
		return err
	}
	if len(reply.Items) == 0 || reply.Items[0].Int < ackLag/2 || reply.Items[0].Int > ackLag*2 {
		return fmt.Errorf("%d entries should be pending, about: %+v", ackLag, reply.Items)
	}
	return nil
}

func (b *bench) runTypes(ctx context.Context) (outcome, error) {
	median, targets, table, err := b.compareRows(ctx, otherTypes())
	if err != nil {
		return outcome{}, err
	}
	targets = append([]report.Target{{
		What: "median of all ratios to redis", Limit: 0.8, Unit: "×", Measured: median,
	}}, targets...)
	text := fmt.Sprintf("Client: the own generator, %d connections, pipeline 16; a stream of %s entries, a "+
		"HyperLogLog that has met as many elements, or %s of 26, and as many positions in a square degree. Of two "+
		"commands by turns the figure is their mean.\n\n", clients, count(b.keys), count(max(b.keys/100, 1)))
	return outcome{targets, text + table}, nil
}

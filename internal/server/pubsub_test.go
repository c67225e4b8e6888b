package server

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"fulmen/internal/pubsub"
	"fulmen/internal/resp"
)

// onLoop dials until a connection is on the loop.
func (p *proof) onLoop(loop int) *proofConn {
	p.t.Helper()
	for {
		c := p.dial()
		id, err := strconv.ParseUint(text(c.do("CLIENT", "ID")), 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		if p.srv.clients.find(id).loop.rl.ID == loop {
			return c
		}
	}
}

// TestMessagesInOrder: every subscriber on every loop gets each publisher's messages in their order, in and outside
// transactions, and all subscribers of a loop get all messages in the same order.
func TestMessagesInOrder(t *testing.T) {
	const loops, publishers = 3, 4
	each := 3000 / proofShare
	p := startProof(t, 8, loops, 50)
	p.meddlers()
	var subscribers []*proofConn
	for i := range 2 * loops {
		c := p.onLoop(i % loops)
		if i >= loops {
			c.do("HELLO", "3")
			c.do("PSUBSCRIBE", "news:*")
		} else {
			for k := range publishers {
				c.do("SUBSCRIBE", fmt.Sprint("news:", k))
			}
		}
		subscribers = append(subscribers, c)
	}
	var running sync.WaitGroup
	for k := range publishers {
		c := p.onLoop(k % loops)
		running.Go(func() { publishNumbers(c, fmt.Sprint("news:", k), each) })
	}
	got := make([][]string, len(subscribers))
	for i, c := range subscribers {
		running.Go(func() {
			for range publishers * each {
				v := c.reply()
				got[i] = append(got[i], text(v.Elems[len(v.Elems)-2])+" "+text(v.Elems[len(v.Elems)-1]))
			}
		})
	}
	running.Wait()
	for i := range got {
		next := map[string]int{}
		for _, message := range got[i] {
			channel, number, _ := strings.Cut(message, " ")
			if want := strconv.Itoa(next[channel]); number != want {
				t.Fatalf("subscriber %d: %s where %s is due", i, message, want)
			}
			next[channel]++
		}
	}
	for i := range loops {
		if strings.Join(got[i], ",") != strings.Join(got[i+loops], ",") {
			t.Errorf("two subscribers on loop %d have got messages in different orders", i)
		}
	}
}

// publishNumbers publishes numbers in order: in pipelines, one by one and in transactions with a write.
func publishNumbers(c *proofConn, channel string, n int) {
	for i := 0; i < n; {
		for k := range 1 + i%20 {
			if i == n {
				break
			}
			if k%7 == 3 {
				c.add("MULTI")
				c.add("INCR", channel)
				c.add("PUBLISH", channel, strconv.Itoa(i))
				c.add("EXEC")
			} else {
				c.add("PUBLISH", channel, strconv.Itoa(i))
			}
			i++
		}
		c.all()
	}
}

// TestPublishedBeforeReply: what was published before a reply is delivered to a client before it is replied to what it
// sends then, whatever loops both are on.
func TestPublishedBeforeReply(t *testing.T) {
	p := startProof(t, 4, 2, 0)
	publisher, subscriber := p.onLoop(0), p.onLoop(1)
	subscriber.do("SUBSCRIBE", "news")
	for i := range 2000 / proofShare {
		if got := text(publisher.do("PUBLISH", "news", strconv.Itoa(i))); got != "1" {
			t.Fatal(got)
		}
		subscriber.add("PING")
		subscriber.n++
		if got := subscriber.all(); text(got[0]) != fmt.Sprintf("[message news %d]", i) || text(got[1]) != "[pong ]" {
			t.Fatalf("message %d: %v, %v", i, text(got[0]), text(got[1]))
		}
	}
}

// TestInvalidatedBeforeReply: the same of keys that a client tracks, and others write to.
func TestInvalidatedBeforeReply(t *testing.T) {
	p := startProof(t, 4, 2, 0)
	writer, reader := p.onLoop(0), p.onLoop(1)
	reader.do("HELLO", "3")
	reader.do("CLIENT", "TRACKING", "ON")
	for i := range 2000 / proofShare {
		reader.do("GET", "k")
		if got := text(writer.do("SET", "k", strconv.Itoa(i))); got != "OK" {
			t.Fatal(got)
		}
		reader.add("PING")
		reader.n++
		if got := reader.all(); text(got[0]) != "[invalidate [k]]" || text(got[1]) != "PONG" {
			t.Fatalf("write %d: %v, %v", i, text(got[0]), text(got[1]))
		}
	}
}

// TestSlowSubscriber: one that doesn't read is cut at its class's limit, and holds nobody up.
func TestSlowSubscriber(t *testing.T) {
	srv, log := startLogged(t, "--event-loops", "2", "--client-output-buffer-limit", "pubsub 4mb 0 0")
	watcher, publisher := dial(t, srv.Addr()), dial(t, srv.Addr())
	var slow, quick []*client
	for range 3 {
		slow = append(slow, dial(t, srv.Addr()))
		quick = append(quick, dial(t, srv.Addr()))
	}
	for _, c := range append(append([]*client{}, slow...), quick...) {
		c.do("SUBSCRIBE", "news")
	}
	payload := strings.Repeat("x", 100_000)
	const messages = 400
	for range messages {
		publisher.do("PUBLISH", "news", payload)
		for _, c := range quick {
			if got := c.reply(); !strings.HasSuffix(got, payload+"]") {
				t.Fatalf("%.100q", got)
			}
		}
	}
	eventually(t, "the slow ones are cut", func() bool { return watcher.do("PUBSUB", "NUMSUB", "news") == "[news 3]" })
	watcher.wantInfo("stats", "client_output_buffer_limit_disconnections", "3")
	log.wantLogged(t, 3, "overcoming of output buffer limits")
	watcher.wantInfo("clients", "pubsub_clients", "3")
	eventually(t, "nothing is under way", func() bool { return srv.pushing.Load() == 0 })
}

// TestPublishersWait: those who cause messages faster than they can be handed out are held back, and go on.
func TestPublishersWait(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	for name, cause := range map[string][]string{
		"PUBLISH": {"PUBLISH", "news", big}, "MULTI": {"PUBLISH", "news", big}, "SET": {"SET", big, "v"},
	} {
		t.Run(name, func(t *testing.T) { publishersWait(t, name == "MULTI", cause) })
	}
}

func publishersWait(t *testing.T, multi bool, cause []string) {
	p := startProof(t, 4, 2, 0, "--notify-keyspace-events", "E$",
		"--client-output-buffer-limit", "pubsub", "0", "0", "0")
	subscriber, publisher, other := p.onLoop(1), p.onLoop(0), p.onLoop(0)
	subscriber.do("PSUBSCRIBE", "*")
	release := make(chan struct{})
	p.srv.loops[1].rl.Post(onLoop(func() { <-release }))
	const messages = 64
	want := 0 // replies
	for range messages {
		if multi {
			publisher.add("MULTI")
			publisher.add(cause...)
			publisher.add("EXEC")
			want += 2
		} else {
			publisher.add(cause...)
		}
		want++
	}
	var sent sync.WaitGroup
	sent.Go(publisher.flush)
	eventually(t, "it waits", func() bool { return p.srv.pushing.Load() >= crowdedBytes })
	for range 20 {
		other.do("GET", "k") // which needs not wait
		runtime.Gosched()
	}
	if n := p.srv.pushing.Load(); n > 2*crowdedBytes {
		t.Errorf("%d bytes are under way", n)
	}
	close(release)
	for i := range messages {
		v := subscriber.reply()
		if len(v.Elems) != 4 || len(v.Elems[3].Str) != 1<<20 {
			t.Fatalf("message %d is %.100q", i, text(v))
		}
		subscriber.n++
	}
	sent.Wait()
	for range want {
		if got := text(publisher.reply()); strings.HasPrefix(got, "ERR") {
			t.Fatal(got)
		}
	}
}

// TestSubscriberLine: what CLIENT LIST, CLIENT KILL and INFO say of clients that subscribe.
func TestSubscriberLine(t *testing.T) {
	srv := startServer(t)
	watcher, c := dial(t, srv.Addr()), dial(t, srv.Addr())
	id := c.do("CLIENT", "ID")
	before := fieldInt(t, watcher.list()[id], "tot-mem")
	c.do("SUBSCRIBE", "a")
	c.do("SUBSCRIBE", "b")
	c.do("PSUBSCRIBE", "a*")
	c.do("SSUBSCRIBE", "s")
	line := watcher.list()[id]
	for name, want := range map[string]string{"sub": "2", "psub": "1", "ssub": "1", "flags": "P"} {
		if got := field(line, name); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if got := fieldInt(t, line, "tot-mem"); got < before+4*pubsub.SubscriptionBytes {
		t.Errorf("tot-mem is %d, and was %d", got, before)
	}
	if got := watcher.do("CLIENT", "LIST", "TYPE", "pubsub"); !strings.HasPrefix(got, "id="+id+" ") {
		t.Errorf("CLIENT LIST TYPE pubsub is %q", got)
	}
	watcher.wantInfo("stats", "pubsub_channels", "2")
	watcher.wantInfo("stats", "pubsub_patterns", "1")
	watcher.wantInfo("stats", "pubsubshard_channels", "1")
	watcher.wantInfo("clients", "pubsub_clients", "1")
	if got := watcher.do("CLIENT", "KILL", "TYPE", "pubsub"); got != "1" {
		t.Errorf("killed %s", got)
	}
	c.wantClosed()
	eventually(t, "it is gone", func() bool { return watcher.info("clients", "pubsub_clients") == "0" })
	watcher.wantInfo("stats", "pubsub_channels", "0")
	watcher.wantInfo("stats", "pubsub_patterns", "0")
	watcher.wantInfo("stats", "pubsubshard_channels", "0")
}

// TestMessagesToReplica: a server that follows gives its primary's messages to its own subscribers, and those of a
// transaction with it. What is published there stays there.
func TestMessagesToReplica(t *testing.T) {
	primary := startServer(t, "--repl-diskless-sync-delay", "0")
	replica := startServer(t, "--replicaof", strings.Replace(primary.Addr(), ":", " ", 1))
	ours, theirs := dial(t, primary.Addr()), dial(t, replica.Addr())
	there, here := dial(t, replica.Addr()), dial(t, primary.Addr())
	eventually(t, "the link is up", func() bool { return theirs.info("replication", "master_link_status") == "up" })
	there.do("SUBSCRIBE", "news")
	there.do("SSUBSCRIBE", "shard")
	here.do("PSUBSCRIBE", "*")
	if got := ours.do("PUBLISH", "news", "1"); got != "1" {
		t.Errorf("PUBLISH replies %s", got)
	}
	ours.do("SPUBLISH", "shard", "2")
	ours.do("MULTI")
	ours.do("SET", "k", "v")
	ours.do("PUBLISH", "news", "3")
	ours.do("EXEC")
	for _, want := range []string{"[message news 1]", "[smessage shard 2]", "[message news 3]"} {
		if got := there.reply(); got != want {
			t.Errorf("the replica's subscriber got %s, want %s", got, want)
		}
	}
	if got := theirs.do("GET", "k"); got != "v" {
		t.Errorf("the message came before the write: %q", got)
	}
	if got := theirs.do("PUBLISH", "news", "4"); got != "1" {
		t.Errorf("PUBLISH on the replica replies %s", got)
	}
	ours.do("PUBLISH", "news", "5")
	for _, want := range []string{"1", "3", "5"} {
		if got := here.reply(); got != "[pmessage * news "+want+"]" {
			t.Errorf("the primary's subscriber got %s, want %s", got, want)
		}
	}
}

// TestMessagesInLog: messages for replicas are in the append-only file, and do nothing when that is loaded.
func TestMessagesInLog(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--dir", dir, "--appendonly", "yes", "--repl-diskless-sync-delay", "0"}
	srv, err := tryServer(t, t.Output(), args)
	if err != nil {
		t.Fatal(err)
	}
	replica := startServer(t, "--replicaof", strings.Replace(srv.Addr(), ":", " ", 1))
	ours, theirs := dial(t, srv.Addr()), dial(t, replica.Addr())
	eventually(t, "the link is up", func() bool { return theirs.info("replication", "master_link_status") == "up" })
	theirs.do("SUBSCRIBE", "news")
	ours.do("SET", "a", "1")
	ours.do("PUBLISH", "news", "1")
	ours.do("MULTI")
	ours.do("INCR", "a")
	ours.do("SPUBLISH", "shard", "2")
	ours.do("EXEC")
	if got := theirs.reply(); got != "[message news 1]" {
		t.Error(got)
	}
	if err := srv.Shutdown(); err != nil {
		t.Fatal(err)
	}
	again := dial(t, startServer(t, args...).Addr())
	eventually(t, "it is loaded", func() bool { return again.info("persistence", "loading") == "0" })
	if got := again.do("GET", "a"); got != "2" {
		t.Errorf("a is %s after a restart", got)
	}
}

// TestPublishAllocatesLittle: a message to subscribers of several loops, in pipelines, allocates next to nothing.
func TestPublishAllocatesLittle(t *testing.T) {
	p := startProof(t, 4, 2, 0)
	publisher := p.onLoop(0)
	for i := range 4 {
		c := p.onLoop(i % 2)
		c.do("SUBSCRIBE", "news")
		go io.Copy(io.Discard, c.nc)
	}
	const pipeline, rounds = 32, 200
	raw := []byte(strings.Repeat(string(resp.AppendCommandStrings(nil, "PUBLISH", "news", "payload")), pipeline))
	reply := make([]byte, pipeline*len(":4\r\n"))
	publish := func() {
		publisher.raw(raw)
		if _, err := io.ReadFull(publisher.nc, reply); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		publish() // buffers grow
	}
	// The race detector allocates itself, and pools forget.
	if allocs := testing.AllocsPerRun(rounds, publish) / pipeline; allocs > 0.5 && proofShare == 1 {
		t.Errorf("%.2f allocations a message", allocs)
	}
}

// TestGoRedisPubSub: a client library subscribes, publishes and unsubscribes, in both protocols.
func TestGoRedisPubSub(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", protocol), func(t *testing.T) {
			p := startProof(t, 4, 2, 0)
			ctx, c := t.Context(), p.goRedis(redis.Options{Protocol: protocol})
			defer c.Close()
			sub := c.Subscribe(ctx, "news", "other")
			defer sub.Close()
			patterns := c.PSubscribe(ctx, "n*")
			defer patterns.Close()
			shards := c.SSubscribe(ctx, "shard")
			defer shards.Close()
			for _, s := range []*redis.PubSub{sub, patterns, shards} {
				if _, err := s.Receive(ctx); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all are subscribed", func() bool {
				n := c.PubSubNumSub(ctx, "news", "other").Val()
				return n["news"] == 1 && n["other"] == 1 && c.PubSubNumPat(ctx).Val() == 1
			})
			const messages = 500
			for i := range messages {
				if n, err := c.Publish(ctx, "news", i).Result(); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				if n, err := c.SPublish(ctx, "shard", i).Result(); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			for i := range messages {
				for _, s := range []*redis.PubSub{sub, patterns, shards} {
					m, err := receiveMessage(t, s)
					if err != nil || m.Payload != strconv.Itoa(i) {
						t.Fatalf("message %d is %v, %v", i, m, err)
					}
				}
			}
			if err := sub.Ping(ctx, "there?"); err != nil {
				t.Error(err)
			}
			if err := sub.Unsubscribe(ctx); err != nil {
				t.Error(err)
			}
			eventually(t, "it is unsubscribed", func() bool { return c.Publish(ctx, "news", "x").Val() == 1 })
		})
	}
}

func receiveMessage(t *testing.T, s *redis.PubSub) (*redis.Message, error) {
	for {
		got, err := s.ReceiveTimeout(t.Context(), patience)
		if m, ok := got.(*redis.Message); ok || err != nil {
			return m, err
		}
	}
}

// TestPushTo: a loop pushes to single sessions of any loop, in order, in their protocol and though replies are off.
func TestPushTo(t *testing.T) {
	p := startProof(t, 4, 2, 0)
	from := p.srv.loops[0]
	for _, c := range []*proofConn{p.onLoop(0), p.onLoop(1)} {
		id, err := strconv.ParseUint(text(c.do("CLIENT", "ID")), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s := p.srv.clients.find(id)
		for _, proto := range []string{"2", "3"} {
			c.do("HELLO", proto)
			c.raw(resp.AppendCommandStrings(nil, "CLIENT", "REPLY", "OFF"))
			big := strings.Repeat("x", 3*bigPushBytes)
			from.rl.Post(onLoop(func() {
				for i := range 100 {
					text := resp.AppendInt([]byte(">3\r\n$4\r\nword\r\n"), int64(i))
					from.pushTo(s, resp.AppendBulkString(text, big[:i*i]))
				}
				from.pushTo(s, resp.AppendBulkString([]byte(">1\r\n"), big))
				from.sendParcel()
			}))
			for i := range 101 {
				v := c.reply()
				c.n++
				want := fmt.Sprintf("[word %d %s]", i, big[:min(i*i, 99*99)])
				if i == 100 {
					want = "[" + big + "]"
				}
				kind := resp.KindPush
				if proto == "2" {
					kind = resp.KindArray
				}
				if text(v) != want || v.Kind != kind {
					t.Fatalf("push %d is %c %.100q", i, v.Kind, text(v))
				}
			}
			if got := text(c.do("CLIENT", "REPLY", "ON")); got != "OK" {
				t.Fatal(got)
			}
		}
	}
}

// TestSubscribersComeAndGo: clients subscribe, unsubscribe and go away in the middle of messages, some without having
// read them; those who stay get every message, and in the end nobody is left in any list.
func TestSubscribersComeAndGo(t *testing.T) {
	const loops = 3
	rounds := 60 / proofShare
	p := startProof(t, 4, loops, 50)
	stays := p.onLoop(1)
	stays.do("PSUBSCRIBE", "news:*")
	var running, reading sync.WaitGroup
	for i := range 6 {
		running.Go(func() {
			for round := range rounds {
				c := p.dial()
				for k := range 5 {
					c.add("SUBSCRIBE", "news:1", fmt.Sprint("own:", i, k))
					c.add([]string{"PSUBSCRIBE", "PUNSUBSCRIBE"}[k%2], "news:*", "n*")
					c.add([]string{"SSUBSCRIBE", "UNSUBSCRIBE", "RESET"}[(k+round)%3])
				}
				c.flush()
				if round%2 == 0 {
					c.reply()
				}
				_ = c.nc.Close()
			}
		})
	}
	published := 0
	reading.Go(func() {
		for i := 0; ; i++ {
			v := stays.reply()
			if got := text(v.Elems[3]); got == "end" {
				published = i
				return
			} else if got != strconv.Itoa(i) {
				panic(fmt.Sprintf("message %d is %s", i, got))
			}
		}
	})
	publisher, n := p.onLoop(0), 0
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	for going := true; going; {
		for range 16 {
			publisher.add("PUBLISH", "news:1", strconv.Itoa(n))
			n++
		}
		publisher.all()
		select {
		case <-done:
			going = false
		default:
		}
	}
	publisher.do("PUBLISH", "news:1", "end")
	reading.Wait()
	if published != n {
		t.Errorf("%d of %d messages have come", published, n)
	}
	eventually(t, "all are gone", func() bool {
		reg := p.srv.channels
		return p.srv.subscribers.Load() == 1 && reg.Count(pubsub.Channel) == 0 && reg.Count(pubsub.ShardChannel) == 0 &&
			reg.Count(pubsub.Pattern) == 1 && p.srv.pushing.Load() == 0
	})
}

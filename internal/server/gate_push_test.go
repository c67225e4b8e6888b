package server

import (
	"fmt"
	"strings"
)

// aMessage is how a subscriber gets a message.
func aMessage(channel, payload string) string {
	return fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n",
		len(channel), channel, len(payload), payload)
}

// listener returns a client that subscribes to a channel.
func (g *gated) listener(channel string) *guest {
	g.t.Helper()
	c := g.dial()
	c.say("SUBSCRIBE " + channel)
	if err := c.gets(fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(channel), channel)); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// gatePublish: a message in a transaction tells of what that has written.
func gatePublish(g *gated) error {
	subscriber, publisher := g.listener("news"), g.dial()
	g.disk.stop()
	publisher.say("MULTI", "SET "+g.keyOn(2)+" 1", "PUBLISH news written", "EXEC")
	const reply = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n"
	message := aMessage("news", "written")
	return g.holdsMessage(subscriber, publisher, message, reply)
}

// holdsMessage waits until the gate holds a message and the reply to who has published it, then lets both leave.
func (g *gated) holdsMessage(subscriber, publisher *guest, message, reply string) error {
	if err := subscriber.held(int64(len(message) + len(reply))); err != nil {
		return err
	}
	if err := publisher.held(int64(len(message) + len(reply))); err != nil {
		return err
	}
	g.disk.resume()
	return steps(func() error { return publisher.gets(reply) }, func() error { return subscriber.gets(message) })
}

// gatePublishBehind: a message tells of what its publisher has written before.
func gatePublishBehind(g *gated) error {
	subscriber, publisher := g.listener("news"), g.dial()
	g.disk.stop()
	publisher.say("SET "+g.keyOn(1)+" 1", "PUBLISH news written")
	return g.holdsMessage(subscriber, publisher, aMessage("news", "written"), "+OK\r\n:1\r\n")
}

// gatePublishSeen: a message tells of what its publisher has read, in a batch before.
func gatePublishSeen(g *gated) error {
	subscriber, writer, publisher := g.listener("news"), g.dial(), g.dial()
	g.disk.stop()
	writer.say("SET " + g.keyOn(1) + " 1")
	if err := writer.held(5); err != nil {
		return err
	}
	publisher.say("GET " + g.keyOn(1))
	if err := publisher.held(5 + 7); err != nil {
		return err
	}
	publisher.say("PUBLISH news seen")
	message := aMessage("news", "seen")
	for _, c := range []*guest{subscriber, publisher, writer} {
		if err := c.held(int64(5 + 7 + 4 + len(message))); err != nil {
			return err
		}
	}
	g.disk.resume()
	return steps(func() error { return subscriber.gets(message) },
		func() error { return publisher.gets("$1\r\n1\r\n:1\r\n") })
}

// gatePublishFree: a message of who knows of nothing unsynced does not wait for others' writes.
func gatePublishFree(g *gated) error {
	subscriber, writer, publisher := g.listener("news"), g.dial(), g.dial()
	g.disk.stop()
	writer.say("SET a 1")
	if err := writer.held(5); err != nil {
		return err
	}
	publisher.say("PUBLISH news free")
	if err := steps(func() error { return publisher.gets(":1\r\n") },
		func() error { return subscriber.gets(aMessage("news", "free")) }); err != nil {
		return err
	}
	g.disk.resume()
	return writer.gets("+OK\r\n")
}

// gateOwnMessage: a session's own message among its replies waits with them.
func gateOwnMessage(g *gated) error {
	c := g.dial()
	g.disk.stop()
	c.say("MULTI", "SUBSCRIBE news", "SET a 1", "PUBLISH news own", "EXEC")
	want := "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n" +
		"+OK\r\n" + aMessage("news", "own") + ":1\r\n"
	if err := c.held(int64(len(want))); err != nil {
		return err
	}
	g.disk.resume()
	return c.gets(want)
}

// gateScriptMessage: what a script has its caller sent, or what was sent before in the same transaction, waits with the
// reply, also if the script has stood still, and if there is no reply.
func gateScriptMessage(g *gated) error {
	const script = "EVAL \"redis.call('SET',KEYS[1],1) redis.call('PUBLISH','news','own') for i=1,300000 do end " +
		"return 'end'\" 1 a"
	message := ">" + aMessage("news", "own")[1:]
	for _, x := range []struct {
		say  []string
		want string
	}{
		{[]string{script}, message + "$3\r\nend\r\n"},
		{[]string{"CLIENT REPLY OFF", "MULTI", "PUBLISH news own", script, "EXEC"}, message + message},
	} {
		c := g.dial()
		c.say("HELLO 3", "SUBSCRIBE news")
		for !strings.HasSuffix(string(c.got), "news\r\n:1\r\n") && c.arrived(patience) {
		}
		c.got = nil
		g.disk.stop()
		c.say(x.say...)
		if err := c.held(int64(len(x.want))); err != nil {
			return err
		}
		g.disk.resume()
		if err := c.gets(x.want); err != nil {
			return err
		}
		if err := c.conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// gateFunctions: who calls a function, or asks which there are, tells of its having been loaded.
func gateFunctions(g *gated) error {
	loader, caller, other := g.dial(), g.dial(), g.dial()
	const loaded, called = "$3\r\nlib\r\n", ":7\r\n"
	const list = "*1\r\n*6\r\n$12\r\nlibrary_name\r\n$3\r\nlib\r\n$6\r\nengine\r\n$3\r\nLUA\r\n" +
		"$9\r\nfunctions\r\n*1\r\n*6\r\n$4\r\nname\r\n$1\r\nf\r\n$11\r\ndescription\r\n$-1\r\n$5\r\nflags\r\n*0\r\n"
	g.disk.stop()
	loader.say("FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 7 end)\"")
	return steps(
		func() error { return loader.held(int64(len(loaded))) },
		func() error { caller.say("FCALL f 0"); return caller.held(int64(len(loaded + called))) },
		func() error { other.say("FUNCTION LIST"); return other.held(int64(len(loaded + called + list))) },
		func() error { g.disk.resume(); return loader.gets(loaded) },
		func() error { return caller.gets(called) },
		func() error { return other.gets(list) },
	)
}

// gateEvent: a keyspace event waits for the change that it tells of.
func gateEvent(g *gated) error {
	writer := g.dial()
	writer.say("CONFIG SET notify-keyspace-events Ex$")
	if err := writer.gets("+OK\r\n"); err != nil {
		return err
	}
	subscriber := g.listener("__keyevent@0__:set")
	g.disk.stop()
	key := g.keyOn(1)
	writer.say("SET " + key + " 1")
	return g.holdsMessage(subscriber, writer, aMessage("__keyevent@0__:set", key), "+OK\r\n")
}

// gateInvalidation: who is told that a key has changed is told it when the change is safe.
func gateInvalidation(g *gated) error {
	key := g.keyOn(1)
	reader, writer := g.dial(), g.dial()
	reader.say("HELLO 3", "CLIENT TRACKING ON", "GET "+key)
	for !strings.HasSuffix(string(reader.got), "+OK\r\n_\r\n") && reader.arrived(patience) {
	}
	reader.got = nil
	g.disk.stop()
	writer.say("SET " + key + " 1")
	message := fmt.Sprintf(">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\n%s\r\n", len(key), key)
	return g.holdsMessage(reader, writer, message, "+OK\r\n")
}

package redistest

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"fulmen/internal/resp"
)

// wrongServer is a redis-server behind a proxy that changes commands on their way. No arguments left means that the
// connection is closed instead, as if the server had died of the command.
func wrongServer(change func(args []string) []string) Server {
	return Server{Name: "wrong", Start: func(t testing.TB) string {
		behind := StartOracle(t, allowDebug()...).Addr
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				client, err := listener.Accept()
				if err != nil {
					return // closed by Cleanup
				}
				go proxy(client, behind, change)
			}
		}()
		return listener.Addr().String()
	}}
}

func proxy(client net.Conn, behind string, change func(args []string) []string) {
	server, err := net.Dial("tcp", behind)
	if err != nil {
		_ = client.Close()
		return
	}
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	defer server.Close()
	commands := resp.NewReader(client) // a command is an array of bulk strings, so it reads as a reply does
	for {
		v, err := commands.ReadReply()
		if err != nil {
			return
		}
		var args []string
		for _, elem := range v.Elems {
			args = append(args, string(elem.Str))
		}
		if args = change(args); len(args) == 0 {
			return
		}
		if _, err := server.Write(resp.AppendCommandStrings(nil, args...)); err != nil {
			return
		}
	}
}

func TestLostServer(t *testing.T) {
	server := wrongServer(func(args []string) []string {
		if args[0] == "GET" {
			return nil
		}
		return args
	})
	conn, err := Dial(server.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if v, err := conn.Do("PING"); err != nil || string(v.Str) != "PONG" {
		t.Errorf("PING: %v, %v", v, err)
	}
	if _, err := conn.Do("GET", "k"); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "GET k") {
		t.Errorf("GET: %v", err)
	}
}

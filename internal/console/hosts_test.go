package console

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
)

// TestHostIsChecked asks under the names that a browser or a program might use.
func TestHostIsChecked(t *testing.T) {
	for _, server := range []struct {
		bind []string
		code map[string]int
	}{
		{[]string{"127.0.0.1", "-::1", "Monitor.Example", "10.1.2.3"}, map[string]int{
			"localhost": 200, "LOCALHOST:80": 200, "localhost.": 200, "127.0.0.1": 200, "127.9.9.9:1": 200,
			"[::1]": 200, "[::1]:9121": 200, "": 200,
			"monitor.example": 200, "MONITOR.example.:9121": 200, "10.1.2.3:1": 200,
			"evil.example": 403, "evil.example:9121": 403, "localhost.evil.example": 403, "10.1.2.4": 403,
			"[2001:db8::1]": 403, "127.0.0.1.evil.example": 403, "*": 403, "xmonitor.example": 403,
		}},
		{[]string{"*"}, map[string]int{"10.1.2.4": 200, "[2001:db8::1]:1": 200, "evil.example": 403, "localhost": 200}},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c := newConsole(&fakeSource{status: figures()}, func(string) {}, patientLimits())
		c.takeHosts(server.bind)
		c.Serve(ln)
		for host, want := range server.code {
			for _, path := range []string{"/", "/healthz", "/metrics", "/status"} {
				if got := askAs(t, ln.Addr().String(), host, path); got != want {
					t.Errorf("bound to %v: host %q, %s: got %d, want %d", server.bind, host, path, got, want)
				}
			}
		}
		<-c.Stop()
	}
}

// askAs asks for a page under a host's name and returns the status.
func askAs(t *testing.T, addr, host, path string) int {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	r, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}

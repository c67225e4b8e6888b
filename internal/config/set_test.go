package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestSettingsRoundTrip holds invariant 3 for every row, and that the default of every row is accepted.
func TestSettingsRoundTrip(t *testing.T) {
	env := testEnv(t)
	for i, s := range standardSettings(&env) {
		r := &rows[i]
		got, err := r.accept(r.split(s.text), s, &env)
		if err != nil || got.text != s.text {
			t.Errorf("%s: %q comes back as %q, %v", r.name, s.text, got.text, err)
		}
		if r.later != "" && r.store != nil {
			t.Errorf("%s is in Values, but can have one value only", r.name)
		}
		if r.later == "" && r.inert == "" && r.store == nil {
			t.Errorf("%s is live, but nobody can read it", r.name)
		}
	}
}

func TestSetStoresTyped(t *testing.T) {
	c := New(testEnv(t))
	before := c.Values()
	set(t, c, "PORT", "7000", "bind", "", "maxmemory", "1gb", "loglevel", "debug", "http-port", "8080",
		"client-output-buffer-limit", "pubsub 1kb 2kb 3")
	v := c.Values()
	if v.Port != 7000 || len(v.Bind) != 0 || v.MaxMemoryBytes != 1<<30 || v.LogLevel != LogDebug ||
		v.HTTPPort != 8080 || v.OutputLimits[ClassPubSub] != (OutputLimit{1024, 2048, 3}) {
		t.Errorf("%+v", v)
	}
	if before.Port != 6379 || len(before.Bind) != 2 {
		t.Error("a published snapshot changed")
	}
}

func set(t *testing.T, c *Config, args ...string) {
	t.Helper()
	if err := c.Set(args, true); err != nil {
		t.Fatal(err)
	}
}

func TestProtected(t *testing.T) {
	for _, test := range []struct {
		allowed       string
		local, remote bool
	}{{"no", false, false}, {"yes", true, true}, {"local", true, false}} {
		c := mustLoad(t, "enable-protected-configs "+test.allowed)
		if err := c.Set([]string{"dir", "/tmp"}, true); (err == nil) != test.local {
			t.Errorf("%s, local: %v", test.allowed, err)
		}
		if err := c.Set([]string{"dir", "/tmp"}, false); (err == nil) != test.remote {
			t.Errorf("%s, remote: %v", test.allowed, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	c := New(testEnv(t))
	const notYet = "not supported yet: "
	for _, test := range []struct{ name, value, reason string }{
		{"tls-port", "6380", notYet + "'tls-port' must be 0 until there is TLS"},
		{"save", "900", "Invalid save parameters"},
		{"acllog-max-len", "1", notYet + "'acllog-max-len' must be 128 until there is access control"},
		{"slave-announce-port", "65536", "argument must be between 0 and 65535 inclusive"},
		{"active-expire-effort", "2", notYet + `'active-expire-effort' must be 1 until there is a choice of efforts`},
		{"maxmemory-clients", "101%", "percentage argument must be less or equal to 100"},
		{"io-engine", "io_uring", "can't set immutable config"},
		{"hz", "x", "argument couldn't be parsed into an integer"},
	} {
		err := c.Set([]string{"timeout", "7", test.name, test.value}, true)
		want := "CONFIG SET failed (possibly related to argument '" + test.name + "') - " + test.reason
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if v := c.Values(); v.TimeoutSeconds != 0 {
		t.Error("a refused CONFIG SET changed something")
	}
	if err := c.Set([]string{"min-slaves-to-write", "0", "min-replicas-to-write", "0"}, true); err == nil {
		t.Error("one parameter by two names was accepted")
	}
	if !Sensitive("RequirePass") || Sensitive("port") || Sensitive("nosuch") {
		t.Error("Sensitive")
	}
}

func TestInertNotice(t *testing.T) {
	env := testEnv(t)
	var notices []string
	env.Notice = func(text string) { notices = append(notices, text) }
	c := New(env)
	set(t, c, "lazyfree-lazy-expire", "no")
	set(t, c, "lazyfree-lazy-expire", "yes")
	if err := c.Set([]string{"lazyfree-lazy-expire", "no", "hz", "x"}, true); err == nil {
		t.Error("hz x was accepted")
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "'lazyfree-lazy-expire no' is accepted but has no effect") {
		t.Errorf("%q", notices)
	}
}

func TestHooks(t *testing.T) {
	c := New(testEnv(t))
	var calls []string
	hook := func(name string, fails func(*Values) bool) func(old, new *Values) error {
		return func(old, new *Values) error {
			calls = append(calls, fmt.Sprintf("%s %d>%d", name, old.Port, new.Port))
			if new.Port == 2 && c.Values() == new {
				t.Error("new values are visible before the hooks have run")
			}
			if fails(new) {
				return reason("Unable to listen on this port.")
			}
			return nil
		}
	}
	never := func(*Values) bool { return false }
	c.OnApply(hook("listen", never), "port", "bind")
	c.OnApply(hook("alias", never), "slave-priority", "io-threads", "hz")
	c.OnApply(hook("ports", func(v *Values) bool { return v.Port == 3 }), "port")
	expect := func(want ...string) {
		t.Helper()
		if !slices.Equal(calls, want) {
			t.Errorf("calls %q, want %q", calls, want)
		}
		calls = nil
	}
	set(t, c, "timeout", "3")
	expect()
	set(t, c, "port", "6379", "bind", "* -::*") // no change
	expect()
	set(t, c, "port", "2", "bind", "::1")
	expect("listen 6379>2", "ports 6379>2")
	set(t, c, "port", "6379", "bind", "::1")
	calls = nil
	err := c.Set([]string{"bind", "::2", "hz", "20", "port", "3"}, true)
	want := "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port."
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	expect("listen 6379>3", "alias 6379>3", "ports 6379>3", "alias 3>6379", "listen 3>6379")
	if v := c.Values(); v.Port != 6379 || v.Bind[0] != "::1" || v.Hz != 10 {
		t.Errorf("%+v", v)
	}
	defer func() {
		if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "BUG:") {
			t.Error(text)
		}
	}()
	c.OnApply(hook("typo", never), "prot")
}

func TestOverride(t *testing.T) {
	c := New(testEnv(t))
	c.OnApply(func(_, _ *Values) error { return errors.New("called") }, "maxclients", "shards")
	if err := errors.Join(c.Override("maxclients", "3984"), c.Override("shards", "32")); err != nil {
		t.Fatal(err)
	}
	if v := c.Values(); v.MaxClients != 3984 || v.Shards != 32 {
		t.Errorf("%+v", v)
	}
	if c.Override("nosuch", "1") == nil || c.Override("shards", "x") == nil {
		t.Error("nonsense was accepted")
	}
}

// TestReadersSeeWholeSets has readers look while a writer sets two parameters together.
func TestReadersSeeWholeSets(t *testing.T) {
	c := New(testEnv(t))
	set(t, c, "port", "1", "timeout", "1")
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				if v := c.Values(); v.Port != v.TimeoutSeconds {
					t.Errorf("port %d, timeout %d", v.Port, v.TimeoutSeconds)
					return
				}
				if got := c.Get([]string{"port", "timeout"}); got[0].Value != got[1].Value {
					t.Errorf("%v", got)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 200 {
				n := fmt.Sprint(1 + 2*i + w)
				if err := c.Set([]string{"port", n, "timeout", n}, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

func TestValuesAllocateNothing(t *testing.T) {
	c := New(testEnv(t))
	sum := 0
	if n := testing.AllocsPerRun(100, func() { sum += c.Values().Hz }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNearest(t *testing.T) {
	for unknown, want := range map[string]string{
		"maxmemroy": "maxmemory", "max-clients": "maxclients", "io-thread": "io-threads", "prot": "port",
		"event_loops": "event-loops", "xyz": "", "": "", "completely-different-thing": "",
		strings.Repeat("port", 100): "",
	} {
		if got := nearest(unknown); got != want {
			t.Errorf("%q: got %q, want %q", unknown, got, want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3},
		{"ca", "abc", 3}} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%s → %s: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

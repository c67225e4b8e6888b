package config

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRewriteGolden runs testdata/rewrite/*.txt: files of the sections "-- old --" (the file), "-- also NAME --" (files
// it includes), "-- set --" (a CONFIG SET per line) and "-- new --" (what Rewrite gives; recorded by -rewrite, then
// read). Loading the result gives the same values.
func TestRewriteGolden(t *testing.T) {
	scripts, err := filepath.Glob("testdata/rewrite/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range scripts {
		t.Run(filepath.Base(file), func(t *testing.T) { runGolden(t, file) })
	}
}

func runGolden(t *testing.T, file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files, kept := memFiles{}, ""
	var sets []string
	want := ""
	for section := range strings.SplitSeq("\n"+string(content), "\n-- ") {
		head, body, _ := strings.Cut(section, " --\n")
		switch {
		case head == "old":
			files["/srv/test.conf"] = body + "\n"
		case strings.HasPrefix(head, "also "):
			files["/srv/"+head[5:]] = body
		case head == "set":
			sets = strings.Split(body, "\n")
		case head == "new":
			want = body
			continue
		}
		kept += "\n-- " + section
	}
	env := testEnv(t)
	env.Files = files
	c, err := Load([]string{"test.conf"}, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range sets {
		args, err := splitArgs(line)
		if err == nil {
			err = c.Set(args, true)
		}
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	got := checkRewrite(t, c, files)
	if *rewriteFlag {
		kept = strings.TrimPrefix(strings.TrimPrefix(kept, "\n-- "), "\n")
		if err := os.WriteFile(file, []byte(kept+"\n-- new --\n"+got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// checkRewrite rewrites /srv/test.conf and holds the result to invariant 4, and to be left alone by another rewrite.
func checkRewrite(t *testing.T, c *Config, files memFiles) string {
	t.Helper()
	out, err := c.Rewrite([]byte(files["/srv/test.conf"]))
	if err != nil {
		t.Fatal(err)
	}
	env := testEnv(t)
	after := memFiles{}
	for name, content := range files {
		after[name] = content
	}
	after["/srv/test.conf"] = string(out)
	env.Files = after
	again, err := Load([]string{"test.conf"}, env)
	if err != nil {
		t.Fatalf("the new file does not load: %v\n%s", err, out)
	}
	for i, s := range c.Values().settings {
		if got := again.Values().settings[i].text; got != s.text {
			t.Errorf("%s was %q and is loaded as %q\n%s", rows[i].name, s.text, got, out)
		}
	}
	if !slices.Equal(again.Renames(), c.Renames()) {
		t.Errorf("renamed were %v and are %v\n%s", c.Renames(), again.Renames(), out)
	}
	twice, err := again.Rewrite(out)
	if err != nil || string(twice) != string(out) {
		t.Errorf("a second rewrite is not the same (%v):\n%s\nwas:\n%s", err, twice, out)
	}
	return string(out)
}

func TestRewriteWithoutFile(t *testing.T) {
	if _, err := New(testEnv(t)).Rewrite(nil); !errors.Is(err, ErrNoFile) {
		t.Error(err)
	}
	c := mustLoad(t, "port 1")
	out, err := c.Rewrite(nil) // removed meanwhile
	if err != nil || string(out) != signature+"\nport 1\ndir \"/srv\"\nsave 3600 1\nsave 300 100\nsave 60 10000\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestRewriteRandom rewrites random files after random sets.
func TestRewriteRandom(t *testing.T) {
	values := []string{"yes", "no", "0", "1", "7", "77", "1mb", "3gb", "1234567", "x", "a b", `q"'\`, "", "debug",
		"normal 1 2 3", "pubsub 1kb 0 0 replica 5 5 5", "127.0.0.1 -::1", "/tmp", "local"}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var file, other strings.Builder
		c := New(testEnv(t))
		for range rnd.IntN(30) {
			r, value := &rows[rnd.IntN(len(rows))], values[rnd.IntN(len(values))]
			out := &file
			if rnd.IntN(4) == 0 {
				out = &other
			}
			if text := r.name + " " + quote(value); c.Override(r.name, value) == nil && !r.kind.multi {
				out.WriteString(text + "\n")
			} else {
				file.WriteString([]string{"# a comment", "", "include other.conf"}[rnd.IntN(3)] + "\n")
			}
		}
		files := memFiles{"/srv/test.conf": file.String(), "/srv/other.conf": other.String()}
		env := testEnv(t)
		env.Files = files
		c, err := Load([]string{"test.conf", "--tcp-keepalive", "9"}, env)
		if err != nil {
			t.Fatal(err)
		}
		for range rnd.IntN(20) { // most are refused
			c.Set([]string{rows[rnd.IntN(len(rows))].name, values[rnd.IntN(len(values))]}, true)
			c.Override(rows[rnd.IntN(len(rows))].name, values[rnd.IntN(len(values))])
		}
		checkRewrite(t, c, files)
		if t.Failed() {
			t.Fatalf("seed %d, file:\n%s\nother:\n%s", seed, file.String(), other.String())
		}
	}
}

// FuzzLoad: no file makes loading panic, errors name a line that is there, and what loads survives CONFIG REWRITE.
func FuzzLoad(f *testing.F) {
	f.Add("port 1\n# x\nbind a b\nclient-output-buffer-limit replica 1mb 2kb 3\n", "hz", "20")
	f.Add("requirepass \"a\\x00\\\"b\"\r\n\n\ninclude other.conf\n timeout 3", "requirepass", "\xff\"'\\")
	f.Add("include *.conf\nsave \"\"\nslave-read-only yes\nbind 'a' \"b c\"", "bind", "a\"b ''")
	f.Add("maxclients 7\nmaxclients 8\nhz 1000\nlogfile ''\nunixsocketperm 077", "client-output-buffer-limit",
		"normal 1 2 3")
	f.Add(debianFile, "dir", "x y/../z")
	f.Fuzz(func(t *testing.T, content, name, value string) {
		env := testEnv(t)
		files := memFiles{"/srv/test.conf": content, "/srv/other.conf": "timeout 5\nhz 7\nrequirepass x\n"}
		env.Files = files
		c, err := Load([]string{"test.conf"}, env)
		if line := new(LineError); errors.As(err, &line) {
			source := strings.Split(content, "\n")
			if strings.HasSuffix(line.Source, "test.conf") && (line.Line < 1 || line.Line > len(source) ||
				strings.Trim(source[line.Line-1], " \t\r\n") != line.Text) {
				t.Errorf("line %d is not %q", line.Line, line.Text)
			}
		}
		if err != nil {
			return
		}
		_ = c.Set([]string{name, value}, true) // refused or not, the file must fit
		checkRewrite(t, c, files)
	})
}

// FuzzQuote: what quote writes, splitArgs reads.
func FuzzQuote(f *testing.F) {
	f.Add("a b", "\x00\xff\"'\\\n\r\t\a\b\v")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, q := range []func(string) string{quote, quoteWord} {
			words, err := splitArgs(q(a) + " " + q(b))
			if err != nil || len(words) != 2 || words[0] != a || words[1] != b {
				t.Errorf("%q %q come back as %q, %v", a, b, words, err)
			}
		}
	})
}

// TestRewriteAll: every parameter that has a value has a line, but bind, whose default Redis doesn't write either; and
// loading the file gives the same values.
func TestRewriteAll(t *testing.T) {
	files := memFiles{"/srv/test.conf": "# text\nmaxclients 77\nsave 60 1\n"}
	env := testEnv(t)
	env.Files = files
	c, err := Load([]string{"test.conf"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set([]string{"timeout", "30"}, true); err != nil {
		t.Fatal(err)
	}
	text, err := c.RewriteAll([]byte(files["/srv/test.conf"]))
	if err != nil {
		t.Fatal(err)
	}
	files["/srv/test.conf"] = string(text)
	again, err := Load([]string{"test.conf"}, env)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for i := range rows {
		got, want := again.Values().settings[i].text, c.Values().settings[i].text
		if got != want {
			t.Errorf("%s is %q, was %q", rows[i].name, got, want)
		}
		line := "\n" + rows[i].name + " "
		if want != "" && rows[i].name != "bind" && !strings.Contains(string(text), line) {
			t.Errorf("%s, which is %q, has no line", rows[i].name, want)
		}
	}
	if !strings.HasPrefix(string(text), "# text\nmaxclients 77\n") {
		t.Errorf("what was there is gone:\n%s", text)
	}
}

package config

import (
	"slices"
	"testing"
)

// TestSaveLines has the lines of a file and the command line as redis-server 7.0 reads them: they add up, the first
// one replaces the default, and `save ""` takes away what was before it.
func TestSaveLines(t *testing.T) {
	for _, test := range []struct {
		file string
		args []string
		want string
	}{
		{"port 1", nil, "3600 1 300 100 60 10000"},
		{"save 900 1\nsave 300 10 60 0100", nil, "900 1 300 10 60 100"},
		{"save 900 1\nsave 300 10", []string{"--save", "5", "5"}, "900 1 300 10 5 5"},
		{"save 900 1\nsave \"\"", nil, ""},
		{"save \"\"\nsave 7 1", nil, "7 1"},
		{"save 900 1\nsave \"\"\nsave 7 1", nil, "7 1"},
		{"save 900 1", []string{"--save", ""}, ""},
		{"port 1", []string{"--save", "60 1 70 2"}, "60 1 70 2"},
	} {
		env := testEnv(t)
		env.Files = memFiles{"/srv/test.conf": test.file}
		c, err := Load(append([]string{"test.conf"}, test.args...), env)
		if err != nil {
			t.Fatalf("%q %q: %v", test.file, test.args, err)
		}
		if got := c.Get([]string{"save"})[0].Value; got != test.want {
			t.Errorf("%q %q: got %q, want %q", test.file, test.args, got, test.want)
		}
	}
}

// TestSaveRewritten has an included file behind the lines that CONFIG REWRITE changes.
func TestSaveRewritten(t *testing.T) {
	env := testEnv(t)
	env.Files = memFiles{"/srv/test.conf": "save 900 1\ninclude more.conf\n", "/srv/more.conf": "save 5 5\n"}
	c, err := Load([]string{"test.conf"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set([]string{"save", "60 1 70 2"}, true); err != nil {
		t.Fatal(err)
	}
	out, err := c.Rewrite([]byte("save 900 1\ninclude more.conf\n"))
	if err != nil {
		t.Fatal(err)
	}
	env.Files = memFiles{"/srv/test.conf": string(out), "/srv/more.conf": "save 5 5\n"}
	again, err := Load([]string{"test.conf"}, env)
	if err != nil {
		t.Fatal(err)
	}
	want := []SavePoint{{60, 1}, {70, 2}}
	if got := again.Values().SavePoints; !slices.Equal(got, want) {
		t.Errorf("%v is loaded of what was rewritten:\n%s", got, out)
	}
}

func TestCompression(t *testing.T) {
	for _, test := range []struct {
		file string
		want Compression
	}{
		{"port 1", CompressLZ4},
		{"rdb-segments no", CompressLZF},
		{"rdbcompression no", CompressNone},
		{"rdb-compression lzf", CompressLZF},
		{"rdb-compression no\nrdb-segments no", CompressNone},
	} {
		if got := mustLoad(t, test.file).Values().Compression(); got != test.want {
			t.Errorf("%q: %v", test.file, got)
		}
	}
}

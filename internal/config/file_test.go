package config

import (
	"os"
	"strings"
	"testing"

	"fulmen/persist/vfs"
)

const exampleFile = "../../fulmen.conf"

// TestExampleFile holds fulmen.conf to the table: it loads without a notice, and has a line for every row, and every
// line says what the default is.
func TestExampleFile(t *testing.T) {
	env := testEnv(t)
	env.Files = vfs.OS{}
	env.Notice = func(text string) { t.Errorf("notice: %s", text) }
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	env.Cwd = wd
	c, err := Load([]string{exampleFile}, env)
	if err != nil {
		t.Fatal(err)
	}
	standard := standardSettings(&env)
	for i, s := range c.Values().settings {
		if s.text != standard[i].text {
			t.Errorf("%s is %q, the default is %q", rows[i].name, s.text, standard[i].text)
		}
	}
	content, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	mentioned := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		words, err := splitArgs(strings.Trim(line, " \t\n"))
		if err == nil && len(words) > 0 && !strings.HasPrefix(line, "#") {
			mentioned[words[0]] = true
		}
		if len(strings.TrimSuffix(line, "\n")) > 120 {
			t.Errorf("longer than 120 columns: %s", line)
		}
	}
	for _, r := range rows {
		if !mentioned[r.name] {
			t.Errorf("fulmen.conf does not have %s", r.name)
		}
	}
}

// TestRewriteKeepsExampleFile: rewriting the example changes nothing.
func TestRewriteKeepsExampleFile(t *testing.T) {
	content, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	c, err := loadText(t, string(content))
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Rewrite(content)
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != string(content) {
		t.Errorf("rewritten file differs: %s", firstDifference(string(out), string(content)))
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "got  " + x[i] + "\nwant " + y[i]
		}
	}
	return "one is longer"
}

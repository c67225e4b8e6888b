package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fulmen/internal/need"
	"fulmen/internal/redistest"
)

// TestForeignAOFConvert: Redis's files in one have what a server makes of them, each beginning in database 0, and a
// torn end is left out.
func TestForeignAOFConvert(t *testing.T) {
	o := redistest.StartOracle(t, "--appendonly", "yes", "--enable-debug-command", "yes", "--appendfsync", "always")
	c, err := redistest.Dial(o.Addr)
	fatal(t, err)
	defer func() { _ = c.Close() }()
	do(t, c, "SELECT", "3")
	do(t, c, "RPUSH", "l", "a", "b")
	want := do(t, c, "DEBUG", "DIGEST")
	files := filepath.Join(o.Dir, "appendonlydir")
	incr := filepath.Join(files, "appendonly.aof.1.incr.aof")
	whole, err := os.ReadFile(incr)
	fatal(t, err)
	do(t, c, "SELECT", "0")
	do(t, c, "SET", "later", "1")
	for i, torn := range []string{"", "*3\r\n$3\r\nSET\r\n$1"} {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in"), filepath.Join(dir, "appendonly.aof")
		fatal(t, os.CopyFS(in, os.DirFS(files)))
		names := "file appendonly.aof.1.base.rdb seq 1 type b\n" +
			"file first.aof seq 1 type i\nfile second.aof seq 2 type i\n"
		second := "*3\r\n$3\r\nSET\r\n$4\r\nkey0\r\n$1\r\n1\r\n" + torn // no SELECT: it is in database 0
		for name, text := range map[string]string{
			"appendonly.aof.manifest": names, "first.aof": string(whole), "second.aof": second,
		} {
			fatal(t, os.WriteFile(filepath.Join(in, name), []byte(text), 0o600))
		}
		said := []string{"second.aof: 0 keys and 1 commands written"}
		if i == 1 {
			said = append(said, "second.aof: TORN at offset")
		}
		expect(t, 0, said, "convert", in, out)
		expect(t, 2, []string{"nothing is replaced"}, "convert", in, out)
		if text, err := exec.Command(need.Program(t, "redis-check-aof"), out).CombinedOutput(); err != nil {
			t.Fatalf("redis-check-aof: %v\n%s", err, text)
		}
		again := redistest.StartOracle(t, "--dir", dir, "--appendonly", "yes", "--enable-debug-command", "yes")
		r, err := redistest.Dial(again.Addr)
		fatal(t, err)
		if got := do(t, r, "GET", "key0"); got != `$"1"` {
			t.Errorf("key0 is %s in database 0", got)
		}
		do(t, r, "DEL", "key0")
		if got := do(t, r, "DEBUG", "DIGEST"); got != want {
			t.Errorf("digest %s, want %s", got, want)
		}
		fatal(t, r.Close())
	}
	expect(t, 2, []string{"LSN"}, "convert", files, filepath.Join(t.TempDir(), "o.aof"), "--until-lsn", "5")
}

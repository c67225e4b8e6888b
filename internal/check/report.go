package check

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// writeJSON writes an analysis as JSON.
func (a *analysis) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(a)
}

// writeText writes an analysis for people.
func (a *analysis) writeText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d files, %s\n", a.Snapshot, a.Files, bytesText(a.FileBytes))
	for _, name := range slices.Sorted(maps.Keys(a.Aux)) {
		fmt.Fprintf(&b, "  %s = %s\n", name, quote([]byte(a.Aux[name])))
	}
	fmt.Fprintf(&b, "\n%d keys, %s as written, %s in memory", a.Keys, bytesText(a.ValueBytes), bytesText(a.MemoryBytes))
	if a.Functions > 0 {
		fmt.Fprintf(&b, "; %d function libraries", a.Functions)
	}
	b.WriteString("\n\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "database\tkeys\twith expiry\texpired\tmemory\t")
	for _, db := range a.Databases {
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%s\t\n", db.DB, db.Keys, db.Expires, db.Expired, bytesText(db.MemoryBytes))
	}
	t.Flush()
	for _, list := range []struct {
		title  string
		groups []*group
	}{
		{"type", a.Types}, {"encoding", a.Encodings}, {"time to live", a.Expiries},
		{"elements, or length", a.Elements}, {"memory of a key", a.Memory}, {"prefix", a.Prefixes},
	} {
		if len(list.groups) > 0 {
			a.writeGroups(&b, list.title, list.groups)
		}
	}
	if len(a.Biggest) > 0 {
		b.WriteString("\nThe biggest keys:\n")
		t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "memory\tas written\telements\ttype\tencoding\tdatabase\tkey")
		for _, k := range a.Biggest {
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%d\t%s\n", bytesText(k.MemoryBytes), bytesText(k.ValueBytes),
				k.Elements, k.Type, k.Encoding, k.DB, k.Key)
		}
		t.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeGroups writes a table of groups.
func (a *analysis) writeGroups(b *strings.Builder, title string, groups []*group) {
	b.WriteByte('\n')
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\tkeys\tof all\telements\tas written\tmemory\ta key\t\n", title)
	for _, g := range groups {
		percent := float64(g.Keys) * 100 / float64(max(a.Keys, 1))
		fmt.Fprintf(t, "%s\t%d\t%.1f %%\t%d\t%s\t%s\t%s\t\n", g.Name, g.Keys, percent, g.Elements,
			bytesText(g.ValueBytes), bytesText(g.MemoryBytes), bytesText(g.MemoryBytes/max(g.Keys, 1)))
	}
	t.Flush()
}

package lint

import (
	"bytes"
	"regexp"
)

// machinePath matches absolute paths of one person's machine. The slash must begin a word, so that it matches no URL.
var machinePath = regexp.MustCompile(`(?:^|[^\w./-])(?:/(?:work|root|home)/|[.]library\b)`)

// maxDocLines limits the documents that must stay short enough to be read.
var maxDocLines = map[string]int{"README.md": 150, "ARCHITECTURE.md": 400}

// checkText looks at every file: the project speaks of itself alone, and its documents stay short.
func (t *tree) checkText() {
	for _, file := range t.files {
		lines := bytes.Split(bytes.TrimSuffix(file.Text, []byte("\n")), []byte("\n"))
		if limit, ok := maxDocLines[file.Path]; ok && len(lines) > limit {
			t.report(file.Path, limit+1, "doc-size", "%d lines, limit %d", len(lines), limit)
		}
		if bytes.IndexByte(file.Text, 0) >= 0 {
			continue // not text
		}
		for i, line := range lines {
			if found := machinePath.Find(line); found != nil {
				t.report(file.Path, i+1, "machine-path", "%q is a path of one machine", bytes.TrimSpace(found))
			}
		}
	}
}

package check

import (
	"fmt"
	"time"
)

const (
	// progressFirst is when long work begins to say how far it is, progressEvery how often.
	progressFirst = 2 * time.Second
	progressEvery = time.Second
	// progressBytes is how much is read between two looks at the clock.
	progressBytes = 1 << 20
)

// progress says on standard error how far the work is.
type progress struct {
	run     *run
	quiet   bool
	began   int64 // ns
	next    int64 // when to say something
	said    bool
	total   int64 // bytes of files
	done    int64
	unasked int64 // bytes since the last look at the clock
	keys    int64
}

func (p *progress) init(r *run) {
	p.run, p.quiet, p.began = r, r.has("quiet"), r.Clock.NowNs()
	p.next = p.began + int64(progressFirst)
}

// read notes that n bytes more were read.
func (p *progress) read(n int) {
	p.done += int64(n)
	if p.unasked += int64(n); p.unasked < progressBytes || p.quiet {
		return
	}
	p.unasked = 0
	now := p.run.Clock.NowNs()
	if now < p.next {
		return
	}
	p.next = now + int64(progressEvery)
	p.said = true
	left := "?"
	if p.done > 0 && p.total >= p.done {
		s := float64(now-p.began) / 1e9 * float64(p.total-p.done) / float64(p.done)
		left = (time.Duration(s) * time.Second).String()
	}
	fmt.Fprintf(p.run.Stderr, "\r%s: %d %% of %s, %d keys, %s left   ", p.run.sub.name,
		p.done*100/max(p.total, 1), bytesText(p.total), p.keys, left)
}

// end ends the line of progress.
func (p *progress) end() {
	if p.said {
		fmt.Fprintln(p.run.Stderr)
	}
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1024, 0
	for f >= 1023.95 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[i])
}

package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// lineHandler writes log records in Redis's layout, where the letter behind the process is C before there is a server,
// M for a primary and S for a replica:
//
//	1234:M 22 Nov 2026 14:09:35.123 * Ready to accept connections
type lineHandler struct {
	mu    *sync.Mutex
	role  *atomic.Int32 // the letter
	w     io.Writer
	level slog.Leveler
	attrs string
}

// NewLogger returns a logger that writes lines to w.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	h := &lineHandler{mu: &sync.Mutex{}, role: &atomic.Int32{}, w: w, level: level}
	h.role.Store('C')
	return slog.New(h)
}

// markRole has the lines of the server's log say what it is from now on. Safe from any goroutine.
func (srv *Server) markRole(replica bool) {
	h, ok := srv.log.Handler().(*lineHandler)
	switch {
	case !ok: // another layout, without a letter
	case replica:
		h.role.Store('S')
	default:
		h.role.Store('M')
	}
}

// Enabled implements slog.Handler.
func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	mark := "*"
	switch {
	case r.Level < slog.LevelInfo:
		mark = "."
	case r.Level >= slog.LevelWarn:
		mark = "#"
	}
	var line strings.Builder
	at := r.Time.Format("02 Jan 2006 15:04:05.000")
	fmt.Fprintf(&line, "%d:%c %s %s %s%s", os.Getpid(), h.role.Load(), at, mark, r.Message, h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&line, " %s=%v", a.Key, a.Value)
		return true
	})
	line.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, line.String())
	return err
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	for _, a := range attrs {
		next.attrs += fmt.Sprintf(" %s=%v", a.Key, a.Value)
	}
	return &next
}

// WithGroup implements slog.Handler; groups are not shown.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }

package console

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/bytedance/sonic/encoder"
)

// index is what / shows.
const index = `Fulmen

/healthz  whether the server serves
/metrics  figures for Prometheus
/status   the same and more as JSON
`

const (
	plainText   = "text/plain; charset=utf-8"
	metricsText = "text/plain; version=0.0.4; charset=utf-8"
	jsonText    = "application/json"
)

// handler routes requests. The mux answers 404 and 405 itself.
func (c *Console) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, plainText, []byte(index))
	})
	mux.HandleFunc("GET /healthz", c.health)
	mux.HandleFunc("GET /metrics", c.report(metricsText, func(b *bytes.Buffer) error {
		c.metrics.WritePrometheus(b)
		return nil
	}))
	mux.HandleFunc("GET /status", c.report(jsonText, c.writeStatus))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.hostAllowed(r) {
			w.Header().Set("Connection", "close")
			answer(w, http.StatusForbidden, plainText, []byte("the console does not go by this name: see http-bind\n"))
			return
		}
		if r.ContentLength != 0 {
			// Closing spares net/http from reading the body to find the next request behind it.
			w.Header().Set("Connection", "close")
			answer(w, http.StatusRequestEntityTooLarge, plainText, []byte("no request here has a body\n"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (c *Console) health(w http.ResponseWriter, _ *http.Request) {
	if err := c.source.Health(); err != nil {
		answer(w, http.StatusServiceUnavailable, plainText, []byte(err.Error()+"\n"))
		return
	}
	answer(w, http.StatusOK, plainText, []byte("ok\n"))
}

// report makes a handler of a function that writes a report. The report is complete before its first byte is sent, so
// that a slow reader holds a buffer and not a turn.
func (c *Console) report(contentType string, write func(*bytes.Buffer) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !c.takeTurn(r) {
			w.Header().Set("Retry-After", "1")
			answer(w, http.StatusServiceUnavailable, plainText, []byte("too many requests at the same time\n"))
			return
		}
		var b bytes.Buffer
		err := func() error {
			defer func() { <-c.reports }()
			return write(&b)
		}()
		if err != nil {
			c.log("http console: " + r.URL.Path + ": " + err.Error())
			answer(w, http.StatusInternalServerError, plainText, []byte("the report could not be made\n"))
			return
		}
		answer(w, http.StatusOK, contentType, b.Bytes())
	}
}

// takeTurn waits for the right to make a report, but not for long.
func (c *Console) takeTurn(r *http.Request) bool {
	select {
	case c.reports <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(c.limits.wait)
	defer patience.Stop()
	select {
	case c.reports <- struct{}{}:
		return true
	case <-r.Context().Done():
		return false
	case <-patience.C:
		return false
	}
}

func (c *Console) writeStatus(b *bytes.Buffer) error {
	text, err := encoder.Encode(c.source.Status(), encoder.NoNullSliceOrMap|encoder.SortMapKeys|encoder.ValidateString)
	if err != nil {
		return err
	}
	b.Write(text)
	b.WriteByte('\n')
	return nil
}

func answer(w http.ResponseWriter, code int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may be gone: nobody is left to be told
}

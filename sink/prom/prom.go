// Package prom shows the state of a running sensor to Prometheus.
//
// Most of what it shows is the health of the sensor itself, in the words of the
// capture record: what came, what of it was decoded, where packets were lost,
// what the outputs dropped. Durations over all connections are histograms, each
// of them classic and native in one: the buckets of package histogram are those
// of a native histogram with the microsecond as unit, so nothing is lost, and
// the classic ones are at powers of two, where both have boundaries. That is why
// the unit is the microsecond here as everywhere else, and not the second that
// Prometheus recommends.
//
// Conversations are shown on demand only, and the largest ones only. The number
// of series is bounded, whatever is captured: a label never has a value that
// the packets choose, but for the addresses of those conversations.
//
// What is not known has no series: 0 is a number.
package prom

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config of the metrics.
type Config struct {
	Conversations int `toml:"conversations" comment:"Series for so many of the largest conversations of the last minute, up to 500, each with some 20 series.\n0: none, and no addresses in any label"`
}

// maxConversations keeps a scrape below some 10,000 series.
const maxConversations = 500

// DefaultConfig shows no conversations.
func DefaultConfig() Config { return Config{} }

// Validate tells every field that cannot be used.
func (c *Config) Validate() error {
	if c.Conversations < 0 || c.Conversations > maxConversations {
		return fmt.Errorf("conversations: %d is not between 0 and %d", c.Conversations, maxConversations)
	}
	return nil
}

const (
	// maxScrapes is how many may be under way at a time.
	maxScrapes = 4
	scrapeTime = 10 * time.Second
)

// New gives a handler for /metrics. At each scrape it asks for a Snapshot, from
// any goroutine, and does not change it.
func New(c Config, snapshot func() *Snapshot, log *slog.Logger) (http.Handler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	for _, part := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{cfg: c, families: newFamilies(), snapshot: snapshot},
	} {
		if err := registry.Register(part); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // what can be shown is shown
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTime,
	}), nil
}

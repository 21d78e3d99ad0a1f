package accuracy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
)

// Sensor is our own binary.
type Sensor struct {
	Path string
}

func (s Sensor) Name() string    { return "Mirrorscope" }
func (Sensor) Application() bool { return true }
func (s Sensor) Version() string { return "" }

// measured is the state of a value that is claimed.
const measured = "measured"

// bySide holds a value for each side of a connection, as records do.
type bySide[T any] struct{ Client, Server *T }

func (b *bySide[T]) side(i int) *T {
	switch {
	case b == nil:
		return nil
	case i == 0:
		return b.Client
	}
	return b.Server
}

// record is what is read of a connection record. A field that is absent is nil
// and counts as withheld.
type record struct {
	Type  string
	Point struct {
		TunnelID uint32 `json:"tunnel_id"`
	} `json:"observation_point"`
	Protocol any
	Client   struct {
		IP   netip.Addr
		Port uint16
	}
	Server struct {
		IP   netip.Addr
		Port uint16
	}
	Outcome   string
	Handshake *struct {
		State  string
		Client *float64 `json:"client_us"`
		Server *float64 `json:"server_us"`
		Setup  *float64 `json:"setup_us"`
	}
	RTT *bySide[struct {
		State string
		Min   *float64 `json:"min_us"`
	}]
	Retransmits *bySide[struct {
		State      string
		Packets    *float64
		Bytes      *float64
		Spurious   *float64           `json:"spurious_packets"`
		LostBefore *float64           `json:"lost_before_packets"`
		LostAfter  *float64           `json:"lost_after_packets"`
		Unlocated  *float64           `json:"unlocated_packets"`
		Inferred   *float64           `json:"inferred_packets"`
		ByClass    map[string]float64 `json:"by_class"`
	}]
	OutOfOrder *bySide[struct{ Packets *float64 }] `json:"out_of_order"`
	Duplicates *bySide[float64]                    `json:"network_duplicates"`
	KeepAlives *bySide[float64]                    `json:"keep_alives"`
	ZeroWindow *bySide[struct {
		Episodes *float64
		Time     *float64 `json:"time_us"`
		Probes   *float64
	}] `json:"zero_window"`
	Response *struct {
		State  string
		Turns  *float64
		Min    *float64 `json:"min_us"`
		Median *float64 `json:"p50_us"`
		Max    *float64 `json:"max_us"`
	}
	Capture struct {
		Missed *bySide[float64] `json:"missed_bytes"`
	}
	Duration *float64 `json:"duration_us"`
	TLS      *struct {
		Version           string
		Resumed           *bool
		HelloRetry        *bool  `json:"hello_retry"`
		EarlyData         string `json:"early_data"`
		ClientCertificate *bool  `json:"client_certificate"`
		Alert             *struct{ By, Description string }
		Outcome           string
		Handshake         *struct {
			State     string
			Total     *float64 `json:"total_us"`
			Perceived *float64 `json:"perceived_us"`
			Network   *float64 `json:"network_us"`
			Server    *float64 `json:"server_us"`
			Client    *float64 `json:"client_us"`
		}
	}
	HTTP *struct {
		Requests *float64
		Status   map[string]float64
	}
	Phases map[string]any // durations, and flags
}

// Measure runs `sensor replay`.
func (s Sensor) Measure(path string) ([]Connection, error) {
	out, err := exec.Command(s.Path, "replay", "--format", "json", path).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("sensor replay %s: %w\n%s", path, err, exit.Stderr)
		}
		return nil, err
	}
	var all []Connection
	for line := range bytes.Lines(out) {
		var kind struct{ Type string }
		if err := json.Unmarshal(line, &kind); err != nil {
			return nil, fmt.Errorf("sensor replay %s: %w", path, err)
		}
		if kind.Type != "connection" {
			continue
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("sensor replay %s: %w", path, err)
		}
		if r.Protocol == "tcp" {
			all = append(all, r.connection())
		}
	}
	return all, nil
}

// value is sure where its group is measured.
func value(v *float64, state string) Value {
	if v == nil {
		return Value{}
	}
	return Value{V: *v, Known: true, Sure: state == measured}
}

// yesOrNo is empty where nothing is said.
func yesOrNo(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "yes"
	}
	return "no"
}

func (r *record) connection() Connection {
	c := Connection{
		VNI:     r.Point.TunnelID,
		Client:  netip.AddrPortFrom(r.Client.IP, r.Client.Port),
		Server:  netip.AddrPortFrom(r.Server.IP, r.Server.Port),
		Outcome: r.Outcome,
	}
	if h := r.Handshake; h != nil {
		c.Handshake.Client, c.Handshake.Server = value(h.Client, h.State), value(h.Server, h.State)
		c.Handshake.Setup = value(h.Setup, measured) // stays when the round trip is ambiguous
	}
	if p := r.Response; p != nil {
		c.Response.Turns = value(p.Turns, measured)
		c.Response.Min, c.Response.Median, c.Response.Max = value(p.Min, p.State), value(p.Median, p.State), value(p.Max, p.State)
	}
	if t := r.TLS; t != nil {
		c.TLS = TLS{
			Outcome: t.Outcome, Version: t.Version, EarlyData: t.EarlyData,
			Resumed: yesOrNo(t.Resumed), HelloRetry: yesOrNo(t.HelloRetry), ClientCertificate: yesOrNo(t.ClientCertificate),
		}
		if t.Alert != nil {
			c.TLS.Alert = t.Alert.By + " " + t.Alert.Description
		}
		if h := t.Handshake; h != nil {
			c.TLS.Perceived = value(h.Perceived, h.State)
			c.TLS.Total, c.TLS.Network = value(h.Total, h.State), value(h.Network, h.State)
			c.TLS.Shares = [2]Value{value(h.Client, h.State), value(h.Server, h.State)}
		}
	}
	if h := r.HTTP; h != nil {
		c.Requests, c.Status = value(h.Requests, measured), h.Status
	}
	c.Duration = value(r.Duration, measured)
	for name, v := range r.Phases {
		if us, ok := v.(float64); ok {
			if c.Phases == nil {
				c.Phases = map[string]float64{}
			}
			c.Phases[name] = us
		}
	}
	for i := range c.Sides {
		side := &c.Sides[i]
		if x := r.RTT.side(i); x != nil {
			c.RTT[i].Min = value(x.Min, x.State)
		}
		if x := r.Retransmits.side(i); x != nil {
			side.Packets, side.Bytes = value(x.Packets, x.State), value(x.Bytes, x.State)
			side.Spurious, side.Inferred = value(x.Spurious, x.State), value(x.Inferred, measured)
			side.LostBefore, side.LostAfter = value(x.LostBefore, x.State), value(x.LostAfter, x.State)
			side.Unlocated = value(x.Unlocated, x.State)
			side.Class = x.ByClass
		}
		if x := r.OutOfOrder.side(i); x != nil {
			side.OutOfOrder = value(x.Packets, measured)
		}
		side.Duplicates = value(r.Duplicates.side(i), measured)
		side.MissedBytes = value(r.Capture.Missed.side(i), measured)
		if x := r.ZeroWindow.side(i); x != nil {
			c.ZeroWindows[i], c.ZeroTime[i] = value(x.Episodes, measured), value(x.Time, measured)
		}
	}
	c.KeepAlives = value(r.KeepAlives.side(0), measured).plus(value(r.KeepAlives.side(1), measured))
	if a, b := r.ZeroWindow.side(0), r.ZeroWindow.side(1); a != nil && b != nil {
		c.WindowProbes = value(a.Probes, measured).plus(value(b.Probes, measured))
	}
	return c
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/mattn/go-runewidth"

	"mirrorscope/edge"
	"mirrorscope/edge/live"
	"mirrorscope/internal/golden"
)

// topOf is what a sensor may tell: a busy web server, one that fails, DNS, a
// connection joined on its way, and text that is not for a terminal.
func topOf(t testing.TB) *live.Top {
	t.Helper()
	const text = `{"type":"top","start":"2026-11-20T10:00:00.000000000Z","end":"2026-11-20T10:01:00.000000000Z","interval_us":10000000,"sampled":1,"conversations":1204,
"rows":[
{"type":"conversation","network":"default","protocol":"tcp","client":{"ip":"10.1.0.7"},"server":{"ip":"10.1.0.9","port":443,"name":"api.shop.example"},
 "start":"2026-11-20T10:00:01.000000000Z","end":"2026-11-20T10:00:59.000000000Z","connections":412,"connections_opened":400,"outcomes":{"closed":399,"reset":3},
 "client_sent":{"packets":60000,"bytes":9000000,"payload_bytes":6000000},"server_sent":{"packets":90000,"bytes":120000000,"payload_bytes":110000000},
 "throughput":{"client_bytes_per_s":150000,"server_bytes_per_s":2000000},"retransmits":{"client":{"state":"measured","packets":0,"bytes":0},"server":{"state":"measured","packets":120,"bytes":170000}},
 "rtt":{"state":"measured","p50_us":812.5,"client":{"state":"measured","p50_us":300,"p95_us":400,"max_us":500,"samples":900},"server":{"state":"measured","p50_us":512.5,"p95_us":600,"max_us":700,"samples":80}},
 "handshake":{"state":"measured","p50_us":800,"p95_us":1200,"max_us":3000,"samples":400},"tls":{"connections":400,"quic":0,"resumed":10,"failed":2,"handshake":{"state":"measured","p50_us":2000,"p95_us":4100,"max_us":9000,"samples":390},"unmeasured":0},
 "requests":{"requests":5210,"errors":12,"error_ratio":0.0023,"unknown":0,"unmeasured":3,"failed_before_request":0},"response":{"state":"ambiguous","p50_us":9000,"p95_us":48000,"max_us":2100000,"samples":5207},
 "zero_window":{"client":{"time_us":0},"server":{"time_us":1500000}},"capture":{"missed_bytes":{"client":0,"server":0},"loss_ratio":0}},
{"type":"conversation","network":"default","protocol":"tcp","client":{"ip":"10.1.0.8","name":"worker-3.prod.example"},"server":{"ip":"10.1.0.20","port":5432},
 "start":"2026-11-20T10:00:01.000000000Z","end":"2026-11-20T10:00:31.000000000Z","connections":20,"connections_opened":20,"outcomes":{"refused":18,"timeout":2},
 "client_sent":{"packets":22,"bytes":1320,"payload_bytes":0},"server_sent":{"packets":18,"bytes":720,"payload_bytes":0},"throughput":{"client_bytes_per_s":22,"server_bytes_per_s":12},
 "retransmits":{"client":{"state":"measured","packets":2,"bytes":0},"server":{"state":"measured","packets":0,"bytes":0}},
 "requests":{"requests":0,"errors":20,"error_ratio":1,"unknown":0,"unmeasured":0,"failed_before_request":20},"zero_window":{"client":{"time_us":0},"server":{"time_us":0}},"capture":{"missed_bytes":{"client":0,"server":0}}},
{"type":"conversation","network":"default","protocol":"udp","client":{"ip":"2001:db8::7"},"server":{"ip":"2001:db8::35","port":53},
 "start":"2026-11-20T10:00:01.000000000Z","end":"2026-11-20T10:00:58.000000000Z","connections":300,"connections_opened":300,
 "client_sent":{"packets":300,"bytes":21000,"payload_bytes":12600},"server_sent":{"packets":300,"bytes":60000,"payload_bytes":51600},"throughput":{"client_bytes_per_s":350,"server_bytes_per_s":1000},
 "requests":{"requests":300,"errors":0,"error_ratio":0,"unknown":0,"unmeasured":0,"failed_before_request":0},"response":{"state":"bounded","p50_us":900,"p95_us":22000,"max_us":40000,"samples":300}},
{"type":"conversation","network":"blue","protocol":"tcp","client":{"ip":"10.1.0.7"},"server":{"ip":"10.9.0.4","port":9000,"name":"evil\u001b[31mname"},
 "start":"2026-11-20T10:00:01.000000000Z","end":"2026-11-20T10:01:00.000000000Z","connections":1,"connections_opened":0,"outcomes":{},
 "client_sent":{"packets":400000,"bytes":600000000,"payload_bytes":580000000},"server_sent":{"packets":0,"bytes":0,"payload_bytes":0},"throughput":{"client_bytes_per_s":10000000,"server_bytes_per_s":0},
 "rtt":{"client":{"state":"bounded","p50_us":300,"p95_us":400,"max_us":500,"samples":9}},"capture":{"missed_bytes":{"client":4096,"server":0},"loss_ratio":0.00001}}],
"sent":{"packets":550640,"bytes":729083040,"payload_bytes":690000000},"missed_bytes":4096,"loss_ratio":0.00001,
"capture":{"state":"lossy","packets":9000000,"bytes":9000000000,"packets_per_s":9177.5,"bytes_per_s":12150000.5,"losses":{"afpacket_ring":1200,"device":0,"mirror":5},"recent_losses":{"afpacket_ring":200},
 "recent_skipped":{"not_ip":3},"recent_payload_shed_packets":0,"recent_evicted_connections":0}}`
	top := new(live.Top)
	if err := json.Unmarshal([]byte(text), top); err != nil {
		t.Fatal(err)
	}
	return top
}

// fakeFeed gives what a channel gives.
type fakeFeed struct {
	tops   chan *live.Top
	line   []byte
	once   sync.Once
	closed chan struct{}
}

func newFakeFeed(tops ...*live.Top) *fakeFeed {
	f := &fakeFeed{tops: make(chan *live.Top, len(tops)), closed: make(chan struct{})}
	for _, t := range tops {
		f.tops <- t
	}
	return f
}

func (f *fakeFeed) Next() (*live.Top, error) {
	select {
	case t := <-f.tops:
		line, err := json.Marshal(t)
		f.line = line
		return t, err
	default:
	}
	<-f.closed
	return nil, io.EOF
}

func (f *fakeFeed) Line() []byte { return f.line }
func (f *fakeFeed) Close() error { f.once.Do(func() { close(f.closed) }); return nil }

// topDriver is a model that is driven by messages, without a terminal.
type topDriver struct {
	t *testing.T
	m *topModel
	f *fakeFeed
}

func newTopDriver(t *testing.T, width, height int, colour bool) *topDriver {
	f := newFakeFeed()
	t.Cleanup(func() { f.Close() })
	o := &topOptions{order: edge.ByBytes, open: func(context.Context) (topFeed, error) { return newFakeFeed(), nil }}
	s := &topDriver{t, newTopModel(context.Background(), o, f, colour), f}
	s.send(tea.WindowSizeMsg{Width: width, Height: height}, topClock(time.Unix(1_800_000_000, 0)))
	return s
}

func (s *topDriver) send(msgs ...tea.Msg) *topDriver {
	s.t.Helper()
	for _, msg := range msgs {
		m, _ := s.m.Update(msg)
		s.m = m.(*topModel)
	}
	return s
}

// press types keys: letters, and names in <>.
func (s *topDriver) press(keys string) *topDriver {
	s.t.Helper()
	names := map[string]rune{"up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "end": tea.KeyEnd, "home": tea.KeyHome,
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "backspace": tea.KeyBackspace, "space": tea.KeySpace}
	for len(keys) > 0 {
		if rest, ok := strings.CutPrefix(keys, "<"); ok {
			name, rest, _ := strings.Cut(rest, ">")
			code, ok := names[name]
			if !ok {
				s.t.Fatalf("no key %q", name)
			}
			text := ""
			if name == "space" {
				text = " "
			}
			s.send(tea.KeyPressMsg{Code: code, Text: text})
			keys = rest
			continue
		}
		r := []rune(keys)[0]
		s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		keys = keys[len(string(r)):]
	}
	return s
}

// frame is what the screen shows, with escapes that can be read.
func (s *topDriver) frame() string {
	s.t.Helper()
	content := s.m.View().Content
	for i, line := range strings.Split(content, "\n") {
		if w := runewidth.StringWidth(plainText(line)); w > s.m.view.width {
			s.t.Errorf("line %d has %d cells of %d: %q", i, w, s.m.view.width, line)
		}
	}
	if n := strings.Count(content, "\n") + 1; n != s.m.height {
		s.t.Errorf("%d lines, the terminal has %d", n, s.m.height)
	}
	return content
}

func plainText(line string) string {
	var b strings.Builder
	escape := false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Frames at several widths are as they were found to be good.
func TestTopFrames(t *testing.T) {
	for _, tc := range []struct {
		name          string
		width, height int
		colour        bool
		keys          string
	}{
		{"40", 40, 8, false, ""}, {"60", 60, 10, false, ""}, {"80", 80, 10, false, ""}, {"120", 120, 10, false, ""}, {"200", 200, 10, false, ""},
		{"colour", 160, 10, true, ""}, {"errors", 80, 10, false, "ssss"}, {"typing", 80, 8, false, "/shop"}, {"paused", 80, 8, true, "<space>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTopDriver(t, tc.width, tc.height, tc.colour).send(topCame{topOf(t)}).press(tc.keys)
			frame := strings.ReplaceAll(s.frame(), "\x1b", "␛") + "\n"
			golden.Equal(t, filepath.Join("testdata", "top", tc.name+".txt"), []byte(frame))
		})
	}
}

// The screen fits any terminal, and in every order the column by which the rows are
// sorted is there.
func TestTopFits(t *testing.T) {
	for _, width := range []int{1, 10, 30, 55, 79, 80, 100, 133, 500} {
		for _, height := range []int{1, 2, 5, 24} {
			s := newTopDriver(t, width, height, true).send(topCame{topOf(t)})
			for range live.Orders() {
				frame := s.frame()
				if width >= 79 && height >= 5 && !strings.Contains(frame, "▾") {
					t.Errorf("%d cells, by %v: no column says so", width, s.m.view.order)
				}
				s.press("s")
			}
			if s.m.view.order != edge.ByBytes {
				t.Errorf("after all orders it is %v", s.m.view.order)
			}
		}
	}
}

// What is not known is "-", never 0; what was really none is 0.
func TestTopUnknown(t *testing.T) {
	s := newTopDriver(t, 200, 10, false).send(topCame{topOf(t)})
	lines := strings.Split(s.frame(), "\n")
	fields := func(server string) map[string]string {
		t.Helper()
		titles := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(lines[2], "▾", ""), "→ BIT/S", "UP"), "← BIT/S", "DOWN"))
		for _, l := range lines[3:] {
			if strings.Contains(l, server) {
				m := map[string]string{}
				for i, f := range strings.Fields(l) {
					m[titles[i]] = f
				}
				return m
			}
		}
		t.Fatalf("no row of %s", server)
		return nil
	}
	dns := fields("2001:db8::35")
	for _, c := range []string{"FAIL", "RETR", "RTT", "TLS", "SETUP", "0-WIN"} {
		if dns[c] != unknown {
			t.Errorf("DNS: %s is %q", c, dns[c])
		}
	}
	if dns["ERR"] != "0.0%" || dns["RESP"] != "≤22.0ms" {
		t.Errorf("DNS: %v", dns)
	}
	failing := fields("10.1.0.20:5432")
	if failing["FAIL"] != "20" || failing["RETR"] != "2" || failing["ERR"] != "100%" || failing["RTT"] != unknown || failing["0-WIN"] != "0" {
		t.Errorf("failing: %v", failing)
	}
	midstream := fields("evil")
	if midstream["RETR"] != unknown || midstream["RTT"] != unknown || midstream["FAIL"] != "0" {
		t.Errorf("joined on its way: %v", midstream)
	}
}

func TestTopFilter(t *testing.T) {
	s := newTopDriver(t, 100, 10, false).send(topCame{topOf(t)})
	count := func() int { return len(s.m.view.rows(s.m.top)) }
	if n := count(); n != 4 {
		t.Fatalf("%d rows", n)
	}
	for keys, want := range map[string]int{"/SHOP<enter>": 1, "/10.1.0.7<enter>": 2, "/udp<enter>": 1, "/blue<enter>": 1, "/:5432<enter>": 1, "/nothing<enter>": 0, "/udpx<backspace><enter>": 1} {
		s.press("<esc>").press(keys)
		if n := count(); n != want {
			t.Errorf("%s: %d rows, want %d", keys, n, want)
		}
		s.frame()
	}
	s.press("<esc>/udp<enter>/tcp<esc>")
	if s.m.view.text != "udp" || s.m.typing {
		t.Errorf("a filter that was not wanted: %q", s.m.view.text)
	}
	s.press("/q")
	if !s.m.typing || s.m.view.text != "udpq" {
		t.Errorf("q is a letter: %q", s.m.view.text)
	}
	s.press("<esc><esc>")
	if count() != 4 {
		t.Errorf("%d rows without a filter", count())
	}
}

// A paused screen stands still, and goes on with the latest.
func TestTopPause(t *testing.T) {
	s := newTopDriver(t, 100, 10, false).send(topCame{topOf(t)}).press("<space>")
	before := s.frame()
	later := topOf(t)
	later.Rows, later.Conversations, later.Capture.State = later.Rows[:1], 1, live.StateOK
	if s.send(topCame{later}); s.frame() != before || !strings.Contains(before, "PAUSED at 10:01:00 UTC") {
		t.Errorf("it has changed:\n%s", s.frame())
	}
	if s.press("<space>"); !strings.Contains(s.frame(), "1 conversation by") || strings.Contains(s.frame(), "PAUSED") {
		t.Errorf("it does not go on:\n%s", s.frame())
	}
}

// What a user must not overlook stands in the first line.
func TestTopTrouble(t *testing.T) {
	s := newTopDriver(t, 100, 10, true)
	if !strings.Contains(s.frame(), "waiting for the first interval") {
		t.Error(s.frame())
	}
	s.send(topCame{topOf(t)})
	if head := strings.Split(s.frame(), "\n"); !strings.HasPrefix(head[0], "\x1b[31mLOSSY\x1b[0m") || !strings.Contains(head[1], "\x1b[31mafpacket_ring 1200 (+200)\x1b[0m, mirror 5") {
		t.Errorf("%q", head[:2])
	}
	for _, tc := range []struct {
		after int
		want  string
	}{{29, "LOSSY"}, {31, "NO NEWS for 31 s; the figures are of 10:01:00 UTC"}} {
		s.send(topClock(time.Unix(1_800_000_000+int64(tc.after), 0)))
		if head, _, _ := strings.Cut(s.frame(), "\n"); !strings.Contains(head, tc.want) {
			t.Errorf("%d s later: %q", tc.after, head)
		}
	}
	s.send(topFailed{io.EOF})
	if head, _, _ := strings.Cut(s.frame(), "\n"); !strings.Contains(head, "THE SENSOR HAS ENDED") || s.m.feed != nil {
		t.Errorf("%q", head)
	}
	select {
	case <-s.f.closed:
	default:
		t.Error("a feed that has ended is open")
	}
	s.send(topFailed{errors.New("bad\x1bnews")})
	if head, _, _ := strings.Cut(s.frame(), "\n"); !strings.Contains(head, "NO CONNECTION: bad\ufffdnews") {
		t.Errorf("%q", head)
	}
	s.send(topOpened{newFakeFeed()}, topCame{topOf(t)})
	if head, _, _ := strings.Cut(s.frame(), "\n"); !strings.Contains(head, "LOSSY") {
		t.Errorf("again: %q", head)
	}
}

func TestTopScroll(t *testing.T) {
	top := topOf(t)
	row := top.Rows[1]
	top.Rows = nil
	for i := range 50 {
		r := row
		r.Server.IP = fmt.Sprintf("10.2.0.%d", i)
		r.ClientSent.Bytes = int64(1000 - i)
		top.Rows = append(top.Rows, r)
	}
	s := newTopDriver(t, 100, 14, false).send(topCame{top}) // ten rows
	for keys, want := range map[string]int{"": 0, "<down><down>": 2, "<down><up><up>": 0, "<pgdown>": 9, "<end>": 40, "<end><down>": 40, "<pgdown><pgdown><pgup>": 9, "<end><home>": 0, "<end>s": 0} {
		s.press("<home>").press(keys)
		if s.m.first != want {
			t.Errorf("%s: row %d is first, want %d", keys, s.m.first, want)
		}
		s.frame()
	}
	s.press("<end>").send(topCame{topOf(t)})
	if s.frame(); s.m.first != 0 {
		t.Errorf("of four rows, row %d is the first", s.m.first)
	}
}

// The commands that a model gives read the feed, and end the program.
func TestTopCommands(t *testing.T) {
	f := newFakeFeed(topOf(t))
	m := newTopModel(context.Background(), &topOptions{open: func(context.Context) (topFeed, error) { return nil, errors.New("nobody there") }}, f, false)
	if msg, ok := m.next()().(topCame); !ok || msg.top.Conversations != 1204 {
		t.Errorf("%+v", msg)
	}
	f.Close()
	if msg, ok := m.next()().(topFailed); !ok || !errors.Is(msg.err, io.EOF) {
		t.Errorf("%+v", msg)
	}
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		_, cmd := m.Update(key)
		if cmd == nil {
			t.Fatalf("%v does nothing", key)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%v does not end it", key)
		}
	}
}

// topServer shows one Top at a socket.
func topServer(t *testing.T, top *live.Top) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "top.sock")
	s, err := live.Listen(path, "test")
	if err != nil {
		t.Fatal(err)
	}
	if top != nil {
		s.Publish(top)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

// Where the output is no terminal one table is printed, or lines of JSON.
func TestTopPrints(t *testing.T) {
	path := topServer(t, topOf(t))
	runs := func(want int, args ...string) (string, string) {
		t.Helper()
		var out, errOut bytes.Buffer
		if got := run(append([]string{"top", "--socket", path}, args...), strings.NewReader(""), &out, &errOut); got != want {
			t.Errorf("%v: status %d, want %d: %s", args, got, want, &errOut)
		}
		return out.String(), errOut.String()
	}
	table, _ := runs(exitDone)
	golden.Equal(t, filepath.Join("testdata", "top", "once.txt"), []byte(table))
	if again, _ := runs(exitDone, "--once"); again != table {
		t.Errorf("--once prints another:\n%s", again)
	}
	if two, _ := runs(exitDone, "--limit", "2", "--sort", "errors", "--filter", "tcp"); strings.Count(two, "\n") != 6 || !strings.Contains(two, "… 1 more") || strings.Index(two, "5432") > strings.Index(two, "api.shop") {
		t.Errorf("%s", two)
	}
	text, _ := runs(exitDone, "--format", "json", "--once")
	var back live.Top
	if err := json.Unmarshal([]byte(text), &back); err != nil || back.Conversations != 1204 || strings.Count(text, "\n") != 1 {
		t.Errorf("%v: %s", err, text)
	}
	for _, args := range [][]string{{"--sort", "start"}, {"--sort", "x"}, {"--format", "csv"}, {"--limit", "-1"}, {"file.pcap"}} {
		runs(exitUsage, args...)
	}
}

// JSON goes on until the sensor ends, which is then said.
func TestTopStream(t *testing.T) {
	f := newFakeFeed(topOf(t), topOf(t), topOf(t))
	go func() {
		for len(f.tops) > 0 {
			time.Sleep(time.Millisecond)
		}
		f.Close()
	}()
	var out bytes.Buffer
	s := &streams{in: strings.NewReader(""), out: &out, err: io.Discard}
	err := top(context.Background(), s, &topOptions{json: true, open: func(context.Context) (topFeed, error) { return f, nil }})
	if err == nil || !strings.Contains(err.Error(), "the sensor has ended") || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("%v, %d lines", err, strings.Count(out.String(), "\n"))
	}
	// An interrupt is no error.
	ctx, cancel := context.WithCancel(context.Background())
	f = newFakeFeed()
	go cancel()
	if err := top(ctx, s, &topOptions{json: true, open: func(context.Context) (topFeed, error) { return f, nil }}); err != nil {
		t.Errorf("an interrupt: %v", err)
	}
}

// A feed of our own is asked for by interface.
func TestTopCaptures(t *testing.T) {
	var asked []string
	s := &streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	cmd := newTopOf(s, topSources{socket: dialTop, capture: func(_ context.Context, interfaces []string) (topFeed, error) {
		asked = interfaces
		return newFakeFeed(topOf(t)), nil
	}})
	cmd.SetArgs([]string{"-i", "eth1", "-i", "eth2", "--once"})
	if err := cmd.Execute(); err != nil || fmt.Sprint(asked) != "[eth1 eth2]" {
		t.Errorf("%v, asked for %v", err, asked)
	}
}

func TestTopNumbers(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{number(0), "0"}, {number(7), "7"}, {number(0.5), "0.50"}, {number(0.001), "<.01"}, {number(9999), "9999"}, {number(10_000), "10.0k"}, {number(12_345_678), "12.3M"},
		{bits(0), "0"}, {bits(999), "999"}, {bits(1000), "1.00k"}, {bits(80e6), "80.0M"}, {perSecond(1.5e9), "1.50 Gbit/s"}, {perSecond(0), "0 bit/s"},
		{span(500), "0.50µs"}, {span(812_500), "812µs"}, {span(999_600), "1.00ms"}, {span(48e6), "48.0ms"}, {span(2.1e9), "2.10s"}, {span(300e9), "300s"},
		{share(0), "0.0%"}, {share(0.0001), "<0.1%"}, {share(0.5), "50.0%"}, {share(1), "100%"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s, want %s", tc.got, tc.want)
		}
	}
}

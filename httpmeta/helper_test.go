package httpmeta

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/pool"
)

// chunk is what a Conn is told at one time.
type chunk struct {
	client bool
	b      []byte
	gap    int64 // octets missed instead of b; -1: not known how many
	fin    bool  // instead of b
	pause  int   // chunks' time in which nothing is recorded
}

// c and s are octets of the client and the server, cGap and sGap missed ones.
func c(text string) chunk { return chunk{client: true, b: []byte(text)} }
func s(text string) chunk { return chunk{b: []byte(text)} }
func cGap(n int64) chunk  { return chunk{client: true, gap: n} }
func sGap(n int64) chunk  { return chunk{gap: n} }
func pause(n int) chunk   { return chunk{pause: n - 1} }

// told is all that a Conn said.
type told struct {
	exchanges []Exchange
	losses    Losses
	upgraded  string
	held      int64 // octets out of the budget at the end
	peak      int64
	refused   uint64
	swaps     int
	agreed    bool
}

// split says how the octets of a chunk are fed.
type split func(chunk int, b []byte) [][]byte

func asIs(_ int, b []byte) [][]byte { return [][]byte{b} }

func octets(_ int, b []byte) [][]byte {
	var parts [][]byte
	for i := range b {
		parts = append(parts, b[i:i+1])
	}
	return parts
}

// run tells a fresh Conn the chunks; chunk i, from 1, is recorded at 1000·i ns.
// The client's positions begin at 100, the server's at 900.
func run(chunks []chunk, whole bool, how split) told {
	budget := pool.Budget{Max: 1 << 20}
	return runOn(&Shared{Budget: &budget}, chunks, whole, how)
}

func runOn(shared *Shared, chunks []chunk, whole bool, how split) told {
	var conn Conn
	conn.Reset(shared, whole)
	conn.SidesKnown()
	return feed(&conn, chunks, true, how)
}

// runJoined tells a Conn that is joined on its way the chunks. cast says that
// the client's are fed as such.
func runJoined(chunks []chunk, cast bool, how split) told {
	var conn Conn
	conn.Reset(&Shared{Budget: newBudget(1 << 20)}, false)
	return feed(&conn, chunks, cast, how)
}

// feed tells conn the chunks. cast says that the client's are fed as such.
func feed(conn *Conn, chunks []chunk, cast bool, how split) told {
	shared := conn.shared
	var out told
	drain := func() {
		var e Exchange
		if conn.Swapped() {
			cast = !cast
			out.swaps++
		}
		for conn.Next(&e) {
			out.exchanges = append(out.exchanges, e)
		}
		out.peak = max(out.peak, shared.Budget.Used())
	}
	pos := map[bool]int64{true: 100, false: 900}
	at := int64(0)
	for i, ch := range chunks {
		at += 1000 * int64(1+ch.pause)
		switch {
		case ch.fin:
			conn.Closed(ch.client == cast, at)
		case ch.gap != 0:
			conn.Gap(ch.client == cast, ch.gap, at)
			pos[ch.client] += max(ch.gap, 0)
		default:
			for _, part := range how(i, ch.b) {
				conn.Feed(ch.client == cast, pos[ch.client], part, at)
				pos[ch.client] += int64(len(part))
				drain()
			}
		}
		drain()
	}
	if protocol, cp, sp, ok := conn.Upgraded(); ok {
		out.upgraded = fmt.Sprintf("%s %d %d", protocol, cp-100, sp-900)
	}
	conn.Close(at + 1000)
	out.agreed = conn.Agreed()
	drain()
	out.losses = conn.Losses()
	out.held = shared.Budget.Used()
	out.refused = shared.Budget.Refused
	return out
}

// show writes an exchange in short: what was asked, the answer, when (in
// chunks) and where (from the start of the direction). "?" is not known.
func show(e *Exchange) string {
	var b strings.Builder
	if e.Requested {
		names := "unknown"
		if e.Method != "" {
			names = e.Method + " " + e.Host + " " + e.Path
		}
		fmt.Fprintf(&b, "%s [%s-%s %s-%s", names, at(e.RequestAt), at(e.RequestEnd), where(e.RequestPos, 100), where(e.RequestLast, 100))
		if e.RequestBytes > 0 {
			fmt.Fprintf(&b, " %dB", e.RequestBytes)
		}
		b.WriteString("]")
	} else {
		b.WriteString("?")
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " → %s %d [%s-%s %s", e.Version, e.Status, at(e.ResponseAt), at(e.ResponseEnd), where(e.ResponsePos, 900))
		if e.ResponseBytes > 0 {
			fmt.Fprintf(&b, " %dB", e.ResponseBytes)
		}
		b.WriteString("]")
	} else {
		b.WriteString(" → ?")
	}
	if e.GRPC >= 0 {
		fmt.Fprintf(&b, " grpc %d", e.GRPC)
	}
	if e.Upgraded != "" {
		fmt.Fprintf(&b, " upgraded %s", e.Upgraded)
	}
	if e.Broken {
		b.WriteString(" broken")
	}
	return b.String()
}

func at(ns int64) string {
	if ns == 0 {
		return "?"
	}
	return fmt.Sprint(ns / 1000)
}

func where(pos, start int64) string {
	if pos == 0 {
		return "?"
	}
	return fmt.Sprint(pos - start)
}

func showAll(es []Exchange) string {
	var lines []string
	for i := range es {
		lines = append(lines, show(&es[i]))
	}
	return strings.Join(lines, "\n")
}

// clean takes the indentation off what is wanted, and puts a number for c2, s2,
// …: the position behind all that the client, the server, sent up to chunk 2.
func clean(text string, chunks []chunk) string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return regexp.MustCompile(`\b[cs]\d+\b`).ReplaceAllStringFunc(strings.Join(lines, "\n"), func(name string) string {
		to, _ := strconv.Atoi(name[1:])
		sum := int64(0)
		for _, ch := range chunks[:to] {
			if ch.client == (name[0] == 'c') {
				sum += int64(len(ch.b)) + max(ch.gap, 0)
			}
		}
		return fmt.Sprint(sum)
	})
}

// everySplit checks that chunks give want however they are split: as they are,
// octet by octet, and with each chunk cut at each octet.
func everySplit(t *testing.T, chunks []chunk, whole bool, want told) {
	t.Helper()
	everySplitOf(t, chunks, func(how split) told { return run(chunks, whole, how) }, want)
}

func everySplitOf(t *testing.T, chunks []chunk, run func(split) told, want told) {
	t.Helper()
	same := func(name string, how split) bool {
		t.Helper()
		got := run(how)
		if showAll(got.exchanges) != showAll(want.exchanges) || got.losses != want.losses || got.upgraded != want.upgraded || got.swaps%2 != want.swaps%2 {
			t.Errorf("%s:\n%s\n%+v %q\nwant as in one piece:\n%s\n%+v %q", name, showAll(got.exchanges), got.losses, got.upgraded,
				showAll(want.exchanges), want.losses, want.upgraded)
			return false
		}
		if got.held != 0 {
			t.Errorf("%s: %d octets are still out of the budget", name, got.held)
		}
		return true
	}
	if !same("octet by octet", octets) {
		return
	}
	for i := range chunks {
		for at := 1; at < len(chunks[i].b) && at < 3000; at++ {
			if !same(fmt.Sprintf("chunk %d cut at %d", i+1, at), func(n int, b []byte) [][]byte {
				if n != i {
					return [][]byte{b}
				}
				return [][]byte{b[:at], b[at:]}
			}) {
				return
			}
		}
	}
}

func newBudget(n int64) *pool.Budget { return &pool.Budget{Max: n} }

package flow

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"mirrorscope/internal/pcapgen"
)

// dialogue is a conversation of two ends, made of what a seed says.
type dialogue struct {
	name string
	port uint16
	conn pcapgen.Conn
}

const dialogueHalf = 8 * time.Millisecond // point to server, one way

// dialogues are the protocols that a conversation may speak.
var dialogues = []string{"plain", "banner", "http", "tls13", "tls12", "tlsretry", "smtp", "postgresql", "proxy", "connect", "dns", "mixed"}

// newDialogue writes the n-th conversation.
func newDialogue(r *rand.Rand, name string, n int) dialogue {
	d := dialogue{name: name, port: []uint16{443, 8080, 25, 12345, 5432, 9}[r.IntN(6)]}
	if name == "dns" {
		d.port = 53
	}
	var turns []pcapgen.Turn
	think := func() time.Duration { return time.Duration(1+r.IntN(60)) * time.Millisecond }
	pause := func() time.Duration { return time.Duration(r.IntN(40)) * time.Millisecond }
	secure := func(kind int) {
		hs := pcapgen.Handshakes()
		turns = append(turns, hs[kind].Turns(r, think())...)
		for range 1 + r.IntN(3) {
			turns = append(turns, pcapgen.Turn{Pause: pause(), Request: pcapgen.TLSData(r, 1+r.IntN(3000)), Think: think(), Response: pcapgen.TLSData(r, 1+r.IntN(40000))})
		}
	}
	line := func(ask, answer string) {
		turns = append(turns, pcapgen.Turn{Pause: pause(), Request: []byte(ask), Think: think(), Response: []byte(answer)})
	}
	web := func() {
		for range 1 + r.IntN(4) {
			body := make([]byte, r.IntN(20000))
			if r.IntN(3) == 0 {
				up := make([]byte, r.IntN(30000))
				line(fmt.Sprintf("POST /up HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n%s", len(up), up), fmt.Sprintf("HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
				continue
			}
			line(fmt.Sprintf("GET /item/%d HTTP/1.1\r\nHost: shop\r\n\r\n", r.IntN(5)), fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		}
	}
	noise := func() {
		for range 1 + r.IntN(4) {
			turns = append(turns, pcapgen.Turn{Pause: pause(), Request: slices.Repeat([]byte{0xfe}, 1+r.IntN(5000)), Think: think(), Response: slices.Repeat([]byte{0xfd}, r.IntN(20000))})
		}
	}
	switch name {
	case "plain":
		noise()
	case "banner":
		line("", "SSH-2.0-OpenSSH_9.6\r\n")
		noise()
	case "http":
		web()
	case "tls13":
		secure(0)
	case "tls12":
		secure(1)
	case "tlsretry":
		secure(2)
	case "smtp":
		line("", "220 mail ESMTP\r\n")
		line("EHLO me\r\n", "250-mail\r\n250 STARTTLS\r\n")
		line("STARTTLS\r\n", "220 go ahead\r\n")
		secure(r.IntN(3))
	case "postgresql":
		line("\x00\x00\x00\x08\x04\xd2\x16\x2f", "S")
		secure(r.IntN(3))
	case "proxy":
		line("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n", "")
		secure(r.IntN(3))
	case "connect":
		line("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n", "")
		line("CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n", "HTTP/1.1 200 Connection established\r\n\r\n")
		secure(r.IntN(3))
	case "dns":
		for k := range 1 + r.IntN(4) {
			q := pcapgen.DNSQuery(uint16(r.Uint32()), fmt.Sprintf("host%d.example", k), pcapgen.TypeA)
			a := pcapgen.DNSResponse(q, 0, 60, netip.AddrFrom4([4]byte{192, 0, 2, byte(k)}))
			turns = append(turns, pcapgen.Turn{Pause: pause(), Request: prefixed(q), Think: think(), Response: prefixed(a)})
		}
	case "mixed": // what begins as one protocol and goes on as another
		noise()
		web()
		secure(r.IntN(3))
	}
	d.conn = pcapgen.Conn{
		Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), uint16(20000+n%40000)),
		Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n % 3), 0, 250}), d.port),
		Start:  sceneStart + int64(r.IntN(3e9)),
		Path:   pcapgen.Path{Delay: 3*time.Millisecond + dialogueHalf, Taps: []time.Duration{3 * time.Millisecond}},
		Stacks: [2]pcapgen.Stack{{ISN: r.Uint32(), IPID: uint16(r.Uint32())}, {ISN: r.Uint32(), IPID: uint16(r.Uint32())}},
		Turns:  turns,
		Finish: []pcapgen.Finish{pcapgen.FINByClient, pcapgen.FINByServer, pcapgen.RSTByClient, pcapgen.RSTByServer, pcapgen.LeaveOpen}[r.IntN(5)],
		Linger: pause(),
	}
	return d
}

func prefixed(m []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
}

// lossy gives packets their fates: lost before or behind the point, or late.
func (d *dialogue) lossy(r *rand.Rand) {
	for range r.IntN(4) {
		f := pcapgen.Fate{From: pcapgen.Side(r.IntN(2)), Kind: pcapgen.PacketKind(r.IntN(5)), N: r.IntN(8), Where: r.IntN(2)}
		if r.IntN(3) == 0 {
			f.Late = time.Duration(1+r.IntN(30)) * time.Millisecond
		}
		d.conn.Fates = append(d.conn.Fates, f)
	}
}

// capture is how the point records: what it misses, doubles, sees late or cuts.
func capture(r *rand.Rand, list []pcapgen.Recorded) (out []pcapgen.Recorded, snap int) {
	mode := r.IntN(9)
	from := r.IntN(20)
	for i, p := range list {
		switch {
		case mode == 1 && p.From == pcapgen.Client, mode == 2 && p.From == pcapgen.Server: // one side
			continue
		case mode == 3 && i < from: // from its middle
			continue
		case mode == 4 && r.IntN(10) == 0: // losses
			continue
		case mode == 5 && r.IntN(10) == 0: // a mirror's copies
			out = append(out, p)
		case mode == 6: // one side late
			if p.From == pcapgen.Client {
				p.Time += 12e6
			}
		case mode == 7: // in any order, nearly
			p.Time += int64(r.IntN(2e6))
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b pcapgen.Recorded) int { return int(a.Time - b.Time) })
	if mode == 8 {
		snap = 54 + r.IntN(200)
	}
	return out, snap
}

package quic

import (
	"bytes"
	"encoding/binary"
	"testing"

	"mirrorscope/pool"
)

// checkConn has what must hold whatever was fed.
func checkConn(t *testing.T, c *Conn, budget *pool.Budget) {
	t.Helper()
	i, h := c.Report(true), c.Handshake()
	for _, d := range []int64{h.RTT, h.Client, h.Server, h.Total} {
		if d < Absent {
			t.Errorf("negative duration: %+v", h)
		}
	}
	if (h.RTT >= 0) != (h.Client >= 0 && h.Server >= 0) {
		t.Errorf("halves and whole disagree: %+v", h)
	}
	if s := i.Spin; s.Known && (s.Min <= 0 || s.P50 < s.Min || s.Edges < 2*minFlanks) || !s.Known && s.Min|s.P50|s.ClientMin|s.ServerMin != 0 {
		t.Errorf("%+v", s)
	}
	if len(i.ServerVersions) > maxVersions || len(i.ALPNOffered) > 16 || len(i.SNI) > 4*255 {
		t.Errorf("beyond the bounds: %+v", i)
	}
	if budget.Used() < 0 || budget.Used() > 210<<10 {
		t.Errorf("%d octets held", budget.Used())
	}
	c.Reset()
	if budget.Used() != 0 {
		t.Errorf("%d octets are not given back", budget.Used())
	}
	if r := c.Report(true); r.Initials != 0 || r.SNI != "" || r.ClientInitial != 0 {
		t.Errorf("left behind: %+v", r)
	}
}

// feed splits fuzz data into datagrams: two octets of length, the direction in
// the highest bit, whether it was cut in the next.
func feed(c *Conn, data []byte, budget *pool.Budget) {
	for at := int64(1); len(data) >= 2; at += 1000 {
		v := binary.BigEndian.Uint16(data)
		n := min(int(v&0x3fff), len(data)-2)
		wire := n
		if v&0x4000 != 0 {
			wire += 100
		}
		b := data[2 : 2+n]
		before := bytes.Clone(b)
		c.Datagram(int(v>>15), b, wire, at, budget)
		if !bytes.Equal(b, before) {
			panic("the datagram was changed")
		}
		data = data[2+n:]
	}
}

// pack is the inverse of feed.
func pack(dir int, datagrams ...[]byte) []byte {
	var out []byte
	for _, b := range datagrams {
		out = binary.BigEndian.AppendUint16(out, uint16(dir)<<15|uint16(len(b)))
		out = append(out, b...)
	}
	return out
}

func FuzzDatagram(f *testing.F) {
	for _, s := range [][2]string{samples1, samples2} {
		f.Add(append(pack(0, unhex(f, s[0])), pack(1, unhex(f, s[1]))...))
	}
	ask := fromClient(f, 0, cryptoFrame(0, clientHello("a.test", 300)))
	answer := fromServer(f, 0, ackFrame(0), cryptoFrame(0, serverHello(0x1301)))
	f.Add(append(pack(0, ask), pack(1, append(answer, handshakePacket(ccid, scid)...))...))
	f.Add(append(pack(1, answer), pack(0, ask, append(handshakePacket(scid, ccid), shortPacket(scid)...))...))
	f.Add(append(pack(0, ask), pack(1, unhex(f, retrySample1), []byte{0x80, 0, 0, 0, 0, 2, 1, 2, 1, 3, 0, 0, 0, 1})...))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Conn
		budget := pool.Budget{Max: 1 << 20}
		feed(&c, data, &budget)
		checkConn(t, &c, &budget)
		for len(data) > 2 {
			Probe(data)
			data = data[len(data)/2:]
		}
	})
}

// FuzzFrames fuzzes what stands behind the protection: the payloads of an
// Initial of the client and one of the server.
func FuzzFrames(f *testing.F) {
	hello := clientHello("a.test", 300)
	f.Add(cryptoFrame(0, hello), append(ackFrame(0), cryptoFrame(0, serverHello(0x1301))...))
	f.Add(append(cryptoFrame(100, hello[100:]), cryptoFrame(0, hello[:120])...), closeFrame(0x128))
	f.Add([]byte{2, 0x40, 0x41, 0, 1, 3, 5, 6, 0}, []byte{3, 9, 0, 0, 3, 1, 2, 3})
	f.Fuzz(func(t *testing.T, ask, answer []byte) {
		if len(ask) > 16000 || len(answer) > 16000 {
			return
		}
		for _, payload := range [][]byte{ask, answer} {
			fr := frames{rest: payload}
			steps := 0
			for fr.next() {
				if steps++; steps > len(payload) {
					t.Fatal("the walk does not end")
				}
				if len(fr.data) > len(payload) {
					t.Fatal("data is longer than the payload")
				}
			}
			if len(fr.rest) != 0 {
				t.Fatal("the walk ended before the payload")
			}
		}
		var c Conn
		budget := pool.Budget{Max: 1 << 20}
		b := fromClient(t, 0, ask)
		c.Datagram(0, b, len(b), 1, &budget)
		b = fromServer(t, 0, answer)
		c.Datagram(1, b, len(b), 2, &budget)
		if i := c.Report(true); i.Undecryptable != 0 || i.Initials != 2 || i.ClientInitial != 1 || i.ServerInitial != 2 {
			t.Errorf("sealed packets are not opened: %+v", i)
		}
		checkConn(t, &c, &budget)
	})
}

package pcapgen

import (
	_ "embed"
	"encoding/json"
	"math/rand/v2"
	"time"
)

// Handshake is a TLS handshake between two Go programs, recorded once: keys
// cannot be made to repeat, and captures are to be the same in every run.
// TestTLSHandshakes -update records anew.
type Handshake struct {
	Version string   `json:"version"` // "1.2" or "1.3"
	SNI     string   `json:"sni"`
	ALPN    string   `json:"alpn"`            // as negotiated
	Retry   bool     `json:"retry,omitempty"` // with a HelloRetryRequest
	Flights [][]byte `json:"flights"`         // by turns, the client's first
}

//go:embed handshakes.json
var handshakesFile []byte

// Handshakes gives the recorded handshakes: TLS 1.3, TLS 1.2, and TLS 1.3 with
// a HelloRetryRequest.
func Handshakes() []Handshake {
	var out []Handshake
	if err := json.Unmarshal(handshakesFile, &out); err != nil {
		panic("pcapgen: handshakes.json: " + err.Error())
	}
	return out
}

// ClientRandomAt gives the offset of the 32 octets of the client random in a
// flight with a ClientHello (RFC 8446 section 4.1.2), which lie behind the
// record and handshake headers and the version; -1 for other flights. The
// second ClientHello, behind a dummy change of cipher, repeats the first's.
func (h Handshake) ClientRandomAt(flight int) int {
	const inRecord, changeCipherSpec = 5 + 4 + 2, 6
	switch {
	case flight == 0:
		return inRecord
	case flight == 2 && h.Retry:
		return changeCipherSpec + inRecord
	}
	return -1
}

// Turns gives the handshake as turns of a connection with another client
// random; serverTime is what the server takes to answer a ClientHello. The last
// flight of TLS 1.3 is the client's: what it sends next follows at once.
func (h Handshake) Turns(r *rand.Rand, serverTime time.Duration) []Turn {
	var random [32]byte
	fillRandom(r, random[:])
	var turns []Turn
	for i := 0; i < len(h.Flights); i += 2 {
		t := Turn{Request: append([]byte(nil), h.Flights[i]...)}
		if at := h.ClientRandomAt(i); at >= 0 {
			copy(t.Request[at:], random[:])
			t.Think = serverTime
		}
		if i+1 < len(h.Flights) {
			t.Response = h.Flights[i+1]
		}
		turns = append(turns, t)
	}
	return turns
}

// TLSData gives application data records (RFC 8446 section 5.2) with n octets
// that look encrypted, at most 16 KiB in each.
func TLSData(r *rand.Rand, n int) []byte {
	var b []byte
	for n > 0 {
		k := min(n, 1<<14)
		b = be.AppendUint16(append(b, 23, 3, 3), uint16(k))
		b = append(b, make([]byte, k)...)
		fillRandom(r, b[len(b)-k:])
		n -= k
	}
	return b
}

func fillRandom(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

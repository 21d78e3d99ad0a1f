package tlsmeta

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
)

// endpoint is an address and port as the ground truth writes them.
type endpoint struct {
	ip   packet.Addr
	port uint16
}

// segment is the payload of one packet. Its index counts the packets of the
// capture.
type segment struct {
	index int
	at    int64
	seq   uint32
	data  []byte
}

// talk is one TCP connection or UDP flow of a capture; side 0 sent the first
// packet.
type talk struct {
	udp  bool
	ends [2]endpoint
	isn  [2]*uint32 // sequence number of the first octet, where a SYN told
	said [2][]segment
}

// piece is what comes next of one direction.
type piece struct {
	dir   int
	index int
	at    int64
	data  []byte
}

// readTalks reads a capture.
func readTalks(t testing.TB, path string) []*talk {
	t.Helper()
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
	type key struct {
		a, b endpoint
		udp  bool
	}
	open := map[key]*talk{}
	var all []*talk
	for index := 0; ; index++ {
		var f capture.Frame
		if err := src.Next(&f); err != nil {
			return all
		}
		var p packet.Packet
		if d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, &p) != packet.OK || p.Proto != packet.ProtoTCP && p.Proto != packet.ProtoUDP {
			continue
		}
		from, to := endpoint{p.Src, p.SrcPort}, endpoint{p.Dst, p.DstPort}
		udp := p.Proto == packet.ProtoUDP
		k, dir := key{from, to, udp}, 0
		if _, ok := open[key{to, from, udp}]; ok {
			k, dir = key{to, from, udp}, 1
		}
		tk := open[k]
		syn := !udp && p.TCP.Flags&packet.SYN != 0
		if tk == nil || syn && tk.isn[dir] != nil && *tk.isn[dir] != p.TCP.Seq+1 {
			tk = &talk{udp: udp, ends: [2]endpoint{k.a, k.b}}
			open[k] = tk
			all = append(all, tk)
		}
		seq := p.TCP.Seq
		if syn {
			seq++
			tk.isn[dir] = &seq
		}
		if len(p.Payload) > 0 {
			tk.said[dir] = append(tk.said[dir], segment{index, p.Time, seq, slices.Clone(p.Payload)})
		}
	}
}

// pieces puts both directions in order, up to the first hole of each.
func (tk *talk) pieces() []piece {
	var all []piece
	for dir, list := range tk.said {
		if tk.udp {
			for _, s := range list {
				all = append(all, piece{dir, s.index, s.at, s.data})
			}
			continue
		}
		if len(list) == 0 {
			continue
		}
		next := list[0].seq
		for _, s := range list {
			if int32(s.seq-next) < 0 && int32(next-s.seq) < 1<<20 {
				next = s.seq
			}
		}
		if tk.isn[dir] != nil {
			next = *tk.isn[dir]
		}
		list = slices.Clone(list)
		slices.SortStableFunc(list, func(a, b segment) int { return cmp.Compare(int32(a.seq-next), int32(b.seq-next)) })
		index, at := 0, int64(0)
		for _, s := range list {
			over := int32(next - s.seq)
			if over < 0 {
				break
			}
			if int(over) >= len(s.data) {
				continue
			}
			if s.index > index {
				index, at = s.index, s.at
			}
			all = append(all, piece{dir, index, at, s.data[over:]})
			next = s.seq + uint32(len(s.data))
		}
	}
	slices.SortStableFunc(all, func(a, b piece) int { return cmp.Compare(a.index, b.index) })
	return all
}

// spoken is what was found in one talk over TCP.
type spoken struct {
	starttls []string
	messages []spokenMessage // handshake messages in the clear
}

type spokenMessage struct {
	from endpoint
	body []byte // from the handshake header on
}

// listen follows preludes, and then takes handshake messages out of records.
func (tk *talk) listen() (out spoken) {
	var prelude Prelude
	var streams [2][]byte
	inTLS := false
	for _, p := range tk.pieces() {
		data := p.data
		for !inTLS && len(data) > 0 {
			if IsClientHello(data) || IsSSLv2Hello(data) || data[0] == typeHandshake {
				inTLS = true
				break
			}
			n, v := prelude.Feed(p.dir, data)
			if v == PreludeOther {
				return out
			}
			data = data[n:]
			if v == PreludeDone {
				out.starttls = append(out.starttls, prelude.Name())
				prelude = Prelude{}
			}
		}
		if inTLS {
			streams[p.dir] = append(streams[p.dir], data...)
		}
	}
	for dir, s := range streams {
		for _, m := range allMessages(s) {
			out.messages = append(out.messages, spokenMessage{tk.ends[dir], m})
		}
	}
	return out
}

// allMessages gives the handshake messages in the clear of one direction, also
// those behind the ChangeCipherSpec that follows a HelloRetryRequest.
func allMessages(stream []byte) [][]byte {
	list := messages(stream)
	for len(stream) >= 5 && stream[0] == typeHandshake {
		n := 5 + int(stream[3])<<8 + int(stream[4])
		if n > len(stream) {
			return list
		}
		stream = stream[n:]
	}
	if len(stream) < 6 || stream[0] != 20 {
		return list
	}
	for _, m := range messages(stream[6:]) {
		var ch ClientHello
		var sh ServerHello
		if _, err := ParseClientHello(m, &ch); err == nil {
			list = append(list, m)
		} else if _, err := ParseServerHello(m, &sh); err == nil {
			list = append(list, m)
		}
	}
	return list
}

// capturePaths lists the captures by their path below dir.
func capturePaths(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("captures in %s: %v, %d files", dir, err, len(files))
	}
	return files
}

// capturedMessages are the distinct messages of the TLS captures, by type.
var capturedMessages = sync.OnceValue(func() map[byte][][]byte {
	return map[byte][][]byte{}
})

// captured gives up to n messages of a type out of real captures, as seeds for
// fuzzing; none where there are no captures.
func captured(f *testing.F, typ byte, n int) [][]byte {
	f.Helper()
	all := capturedMessages()
	if len(all) == 0 {
		dir := filepath.Join(needs.Repository(f), "..", "shared", "pcaps", "dev", "tls")
		entries, err := os.ReadDir(dir)
		if err != nil {
			f.Logf("no captures for seeds: %v", err)
		}
		seen := map[string]bool{}
		for _, e := range entries {
			for _, tk := range readTalks(f, filepath.Join(dir, e.Name())) {
				if tk.udp {
					continue
				}
				for _, m := range tk.listen().messages {
					if k := string(m.body); !seen[k] && len(k) < 8<<10 {
						seen[k] = true
						all[m.body[0]] = append(all[m.body[0]], m.body)
					}
				}
			}
		}
	}
	return all[typ][:min(n, len(all[typ]))]
}

func (e endpoint) String() string { return fmt.Sprintf("%s %d", e.ip.IP(), e.port) }

package quic

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/needs"
	decode "mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/tlsmeta"
)

// truth is what tshark says of a capture; TRUTH.md beside the captures explains
// the keys.
type truth struct {
	TLS      []message        `json:"tls"`
	Versions map[string]int64 `json:"quic_versions"`
	Upstream []struct {
		Source string
		Flows  []struct {
			Client, A, SNI string
			JA3, JA4       any // one, or a list
		}
	} `json:"upstream_expected"`
}

type message struct {
	Flow      []any
	From      string
	Transport string
	Type      string

	SNI       *string
	ALPN      []string `json:"alpn_hex"`
	Supported []string `json:"supported_versions"`
	JA3, JA3S string
	JA4       string `json:"ja4_derived"`
	ECH       bool
	Early     bool `json:"early_data"`

	Version string
	Cipher  string
	Group   string `json:"key_share_group"`
}

// pair is a flow: the ends, the lesser first.
type pair [2]netip.AddrPort

// endpoint reads "address port".
func endpoint(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	ip, port, _ := strings.Cut(s, " ")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(n))
}

// replay feeds a capture to one Conn a flow. Other UDP that Probe takes for
// QUIC is in it, too.
func replay(t *testing.T, path string, budget *pool.Budget) map[pair]*Conn {
	t.Helper()
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	d := decode.NewDecoder(decode.DefaultConfig(), new(decode.Names))
	all := map[pair]*Conn{}
	var f capture.Frame
	var p decode.Packet
	for src.Next(&f) == nil {
		if d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, &p) != decode.OK || p.Proto != decode.ProtoUDP {
			continue
		}
		a, b := netip.AddrPortFrom(p.Src.IP(), p.SrcPort), netip.AddrPortFrom(p.Dst.IP(), p.DstPort)
		key, dir := pair{a, b}, 0
		if b.Compare(a) < 0 {
			key, dir = pair{b, a}, 1
		}
		c := all[key]
		if c == nil {
			if !Probe(p.Payload) {
				continue
			}
			c = new(Conn)
			all[key] = c
		}
		c.Datagram(dir, p.Payload, int(p.PayloadLen), p.Time, budget)
	}
	return all
}

// first gives a string, or the first of a list of them.
func first(v any) string {
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	s, _ := v.(string)
	return s
}

// explained are the fields that differ from the truth, and why.
var explained = map[string]string{
	"formats/ndpi-dlt_ppp.pcap 193.167.0.252 44083 published ja4":                "nDPI took the first two characters of the ALPN, JA4 wants the first and the last",
	"quic/ndpi-quic_frags_ch_in_multiple_packets.pcapng ::1 58822 published ja4": "as above, and nDPI wrote d where there is no server name, JA4 wants i",
}

// TestCaptures compares every hello in a QUIC packet of the captures with the
// truth, and the number of packets by version.
func TestCaptures(t *testing.T) {
	dir := needs.Captures(t)
	fields, wrong, hellos, published := 0, 0, 0, 0
	err := filepath.WalkDir(filepath.Join(dir, "truth"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "TOOLS.json" {
			return err
		}
		name, _ := filepath.Rel(filepath.Join(dir, "truth"), strings.TrimSuffix(path, ".json"))
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var tr truth
		if err := json.Unmarshal(raw, &tr); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		tr.TLS = slices.DeleteFunc(tr.TLS, func(m message) bool { return m.Transport != "quic" })
		budget := pool.Budget{Max: 64 << 20}
		all := replay(t, filepath.Join(dir, "dev", name), &budget)
		check := func(where, got, want string) {
			fields++
			if got == want {
				return
			}
			if explained[name+" "+where] != "" {
				t.Logf("%s %s: %q, truth %q: %s", name, where, got, want, explained[name+" "+where])
				return
			}
			wrong++
			t.Errorf("%s %s: %q, truth %q", name, where, got, want)
		}
		find := func(from string) *Conn {
			for k, c := range all {
				if e := endpoint(t, from); k[0] == e || k[1] == e {
					return c
				}
			}
			t.Errorf("%s: no flow of %s", name, from)
			return new(Conn)
		}
		for _, m := range tr.TLS {
			hellos++
			i := find(m.From).Report(false)
			where := func(field string) string { return m.From + " " + field }
			if m.Type == "client_hello" {
				sni := ""
				if m.SNI != nil {
					sni = *m.SNI
				}
				var alpn []string
				for _, a := range i.ALPNOffered {
					alpn = append(alpn, hex.EncodeToString([]byte(a)))
				}
				check(where("sni"), i.SNI, sni)
				check(where("alpn"), strings.Join(alpn, ","), strings.Join(m.ALPN[:min(len(m.ALPN), 16)], ","))
				check(where("ja3"), i.JA3, m.JA3)
				check(where("ja4"), i.JA4, m.JA4)
				check(where("offers 1.3"), fmt.Sprint(i.Offered == 0x0304), fmt.Sprint(slices.Contains(m.Supported, "TLSv1.3")))
				check(where("ech"), fmt.Sprint(i.ECH), fmt.Sprint(m.ECH))
				check(where("early data"), fmt.Sprint(i.EarlyData != 0), fmt.Sprint(m.Early))
				continue
			}
			check(where("version"), map[uint16]string{0x0304: "TLSv1.3"}[i.Info.Version], m.Version)
			check(where("cipher"), fmt.Sprintf("%04x", i.Cipher), m.Cipher)
			check(where("group"), fmt.Sprintf("%04x", i.Group), m.Group)
			check(where("ja3s"), i.JA3S, m.JA3S)
		}
		for _, u := range tr.Upstream {
			for _, f := range u.Flows {
				ja3, ja4 := first(f.JA3), first(f.JA4)
				if !strings.HasPrefix(ja4, "q") {
					continue
				}
				published++
				i := find(f.Client + f.A).Report(false)
				where := func(field string) string { return f.Client + f.A + " published " + field }
				check(where("ja4"), i.JA4, ja4)
				if ja3 != "" {
					check(where("ja3"), i.JA3, ja3)
				}
				if f.SNI != "" {
					check(where("sni"), i.SNI, f.SNI)
				}
			}
		}
		var got, want int64
		for _, n := range tr.Versions {
			want += n
		}
		for _, c := range all {
			i := c.Report(false)
			got += i.Initials + i.Long
			if i.VersionNegotiation {
				got++
			}
			c.Reset()
		}
		if got+want > 0 {
			check("packets with a long header", fmt.Sprint(got), fmt.Sprint(want))
		}
		if budget.Used() != 0 {
			t.Errorf("%s: %d octets are not given back", name, budget.Used())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d hellos, %d published fingerprints, %d fields, %d differ without an explanation", hellos, published, fields, wrong)
	if hellos < 60 || published == 0 {
		t.Error("the truth was not read")
	}
}

// TestCaptureTimes compares durations with the record times of the frames that
// bound them, by their number in the capture, as tshark lists them.
func TestCaptureTimes(t *testing.T) {
	const us = int64(1000)
	for _, tc := range []struct {
		name                  string
		server, client, total int64
		set                   func(*Info) bool
	}{
		{"tcpdump-quic_vn.pcap", 11148 * us, 737 * us, 23340 * us, // frames 3-4, 4-7, 1-17
			func(i *Info) bool {
				return i.VersionNegotiation && i.Version == 1 && slices.Equal(i.ServerVersions, []uint32{1, 0x1a2a3a4a}) && i.Short == 10
			}},
		{"zeek-handshake.pcap", 4574 * us, 32981 * us, 37659 * us, // 5-6, 6-8, 5-9
			func(i *Info) bool { return !i.Retry && !i.VersionNegotiation }},
		{"zeek-retry.pcap", 36579 * us, 1879 * us, 72809 * us, // 7-8, 8-10, 5-11
			func(i *Info) bool { return i.Retry && i.SNI == "server4:443" }},
		{"zeek-quicv2-http3-443.pcap", 3692 * us, 693 * us, 5404 * us, // 1-2, 2-5, 1-7
			func(i *Info) bool { return i.Version == 0x6b3343cf }},
	} {
		budget := pool.Budget{Max: 1 << 20}
		all := replay(t, filepath.Join(needs.Captures(t), "dev", "quic", tc.name), &budget)
		if len(all) != 1 {
			t.Errorf("%s: %d flows", tc.name, len(all))
		}
		for _, c := range all {
			i, h := c.Report(false), c.Handshake()
			if want := (Handshake{RTT: tc.client + tc.server, Client: tc.client, Server: tc.server, Total: tc.total}); h != want {
				t.Errorf("%s: %+v, want %+v", tc.name, h, want)
			}
			if i.Outcome != tlsmeta.Completed || !tc.set(&i) || i.Undecryptable+i.Cut+i.Duplicates+i.Malformed+i.Dropped != 0 {
				t.Errorf("%s: %+v", tc.name, i)
			}
		}
	}
}

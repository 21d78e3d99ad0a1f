package tlsmeta

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"mirrorscope/internal/needs"
)

// datagram is the payload of one, and which end sent it.
type datagram struct {
	dir  int
	data []byte
}

// feed gives datagrams to a DTLS, one a microsecond.
func feed(d *DTLS, list []datagram) {
	for i, g := range list {
		d.Datagram(g.dir, g.data, int64(1000*(i+1)))
	}
}

// TestDTLSCapture compares a real flow with what tshark and openssl read, in
// order and shuffled.
func TestDTLSCapture(t *testing.T) {
	root := needs.Captures(t)
	const name = "tls/zeek-dtls1_2.pcap"
	truth := loadTruth(t, root, name)
	flows := readTalks(t, filepath.Join(root, "dev", name))
	if len(flows) != 1 {
		t.Fatalf("%d flows", len(flows))
	}
	var list []datagram
	for _, p := range flows[0].pieces() {
		list = append(list, datagram{p.dir, p.data})
	}
	check := func(t *testing.T, d *DTLS) {
		c := newTally()
		i := d.Info()
		for _, m := range truth {
			where := name + ": " + m.Type
			switch {
			case m.Transport != "dtls":
			case m.Type == "client_hello" && m.Random != "":
				c.compare(where, "offered", i.Offered, versionNumber(m.LegacyVersion))
				c.compare(where, "ja3", i.JA3, m.JA3)
				c.compare(where, "ja4", i.JA4, m.JA4)
			case m.Type == "server_hello":
				c.compare(where, "version", i.Version, versionNumber(m.Version))
				c.compare(where, "cipher", fmt.Sprintf("%04x", i.Cipher), m.Cipher)
				c.compare(where, "ja3s", i.JA3S, m.JA3S)
			case m.Type == "certificate" && len(m.Certificates) > 0:
				c.compare(where, "certificates", len(i.Certificates), len(m.Certificates))
				for k := range i.Certificates {
					c.compare(where, "sha256", hex.EncodeToString(i.Certificates[k].SHA256[:]), m.Certificates[k].SHA256)
					c.certificate(where, &i.Certificates[k], &m.Certificates[k])
				}
			}
		}
		c.report(t)
		if i.Outcome != Completed || d.Client() != 0 || !d.Verified || i.Group != 23 || i.Resumed || !i.ClientCertificateKnown || i.ClientCertificate || d.Other != 0 {
			t.Errorf("outcome %s, client %d, verified %v, group %d, resumed %v, client certificate %v %v, %d others",
				i.Outcome, d.Client(), d.Verified, i.Group, i.Resumed, i.ClientCertificate, i.ClientCertificateKnown, d.Other)
		}
	}
	t.Run("in order", func(t *testing.T) {
		var d DTLS
		feed(&d, list)
		check(t, &d)
		if d.Start != 1000 || d.End != 15000 || d.Records != [2]uint64{8, 14} {
			t.Errorf("start %d, end %d, records %v", d.Start, d.End, d.Records)
		}
		if d.Held() != 0 {
			t.Errorf("%d octets are kept behind the end", d.Held())
		}
	})
	for seed := range uint64(20) {
		// Datagrams 6 to 12 of the file are the server's flight: hello, certificate
		// in five parts, key and done.
		shuffled := slices.Clone(list)
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(6, func(i, j int) { shuffled[6+i], shuffled[6+j] = shuffled[6+j], shuffled[6+i] })
		for i := range 11 { // each of the first eleven comes twice
			shuffled = slices.Insert(shuffled, 2*i, shuffled[2*i])
		}
		t.Run(fmt.Sprintf("shuffled %d", seed), func(t *testing.T) {
			var d DTLS
			feed(&d, shuffled)
			check(t, &d)
		})
	}
	t.Run("a part is missing", func(t *testing.T) {
		var d DTLS
		feed(&d, slices.Delete(slices.Clone(list), 7, 8))
		i := d.Info()
		if i.Outcome != Completed || len(i.Certificates) != 0 || i.Cipher == 0 || i.Group != 23 || i.Resumed {
			t.Errorf("%+v", i)
		}
	})
	for _, g := range list {
		if !IsDTLS(g.data) {
			t.Errorf("not recognised: %x", g.data)
		}
	}
}

// writePEM writes a certificate and its key for openssl.
func writePEM(t *testing.T) (cert, key string) {
	t.Helper()
	c := certificate(t)
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "EC PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// relay passes datagrams between one client and a server and keeps them.
type relay struct {
	lock sync.Mutex
	list []datagram
}

// run forwards from the address it gives to a server, until the test ends.
func (r *relay) run(t *testing.T, server string) string {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close(); back.Close() })
	var client net.Addr
	keep := func(dir int, b []byte) {
		r.lock.Lock()
		r.list = append(r.list, datagram{dir, slices.Clone(b)})
		r.lock.Unlock()
	}
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFrom(b)
			if err != nil {
				return
			}
			keep(0, b[:n])
			r.lock.Lock()
			client = from
			r.lock.Unlock()
			back.Write(b[:n])
		}
	}()
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			keep(1, b[:n])
			r.lock.Lock()
			to := client
			r.lock.Unlock()
			front.WriteTo(b[:n], to)
		}
	}()
	return front.LocalAddr().String()
}

// quiet waits until something has passed and then nothing for a while, the
// limit at most.
func (r *relay) quiet(while, limit time.Duration) {
	for begun, last, since := time.Now(), 0, time.Now(); time.Since(begun) < limit; time.Sleep(while / 10) {
		r.lock.Lock()
		n := len(r.list)
		r.lock.Unlock()
		if n != last {
			last, since = n, time.Now()
		} else if n > 0 && time.Since(since) > while {
			return
		}
	}
}

// openssl runs s_server and s_client over a relay and gives the datagrams.
func openssl(t *testing.T, serverArgs, clientArgs []string) []datagram {
	t.Helper()
	program := needs.Tool(t, "openssl")
	cert, key := writePEM(t)
	probe, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.LocalAddr().String()
	probe.Close()
	_, port, _ := net.SplitHostPort(address)

	server := exec.Command(program, append([]string{"s_server", "-accept", "127.0.0.1:" + port, "-cert", cert, "-key", key}, serverArgs...)...)
	hold, _ := server.StdinPipe()
	defer hold.Close()
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	ready := make([]byte, 4096) // it says ACCEPT when it listens
	for text := ""; !strings.Contains(text, "ACCEPT"); {
		n, err := out.Read(ready)
		if err != nil {
			t.Fatalf("s_server: %v", err)
		}
		text += string(ready[:n])
	}
	go io.Copy(io.Discard, out)

	var r relay
	front := r.run(t, address)
	client := exec.Command(program, append([]string{"s_client", "-connect", front}, clientArgs...)...)
	stdin, _ := client.StdinPipe()
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.quiet(100*time.Millisecond, 5*time.Second)
		stdin.Write([]byte("hello\nQ\n"))
		stdin.Close()
	}()
	done := make(chan error, 1)
	go func() { done <- client.Wait() }()
	select {
	case <-done: // its status tells of the certificate, too
	case <-time.After(20 * time.Second):
		client.Process.Kill()
		t.Fatal("s_client did not end")
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	return slices.Clone(r.list)
}

// TestDTLSOpenSSL follows handshakes of OpenSSL over loopback.
func TestDTLSOpenSSL(t *testing.T) {
	needs.Tool(t, "openssl")
	cert, key := writePEM(t)
	session := filepath.Join(t.TempDir(), "session")
	for _, tc := range []struct {
		name           string
		server, client []string
		check          func(d *DTLS, i *Info) bool
	}{
		{"1.2", []string{"-dtls1_2"}, []string{"-dtls1_2", "-servername", "api.example.org", "-alpn", "h2,http/1.1"}, func(d *DTLS, i *Info) bool {
			return i.Outcome == Completed && i.Version == 0xfefd && i.SNI == "api.example.org" && slices.Equal(i.ALPNOffered, []string{"h2", "http/1.1"}) &&
				len(i.Certificates) == 1 && i.Certificates[0].SAN[0] == "api.example.org" && strings.HasPrefix(i.JA4, "dd2d") && GroupName(i.Group) == "x25519" &&
				strings.HasPrefix(CipherName(i.Cipher), "TLS_ECDHE_ECDSA_WITH") && i.ClientCertificateKnown && !i.ClientCertificate && !i.Resumed
		}},
		{"1.2 in small datagrams, with a cookie", []string{"-dtls1_2", "-mtu", "256", "-listen"}, []string{"-dtls1_2", "-mtu", "256", "-servername", "api.example.org"}, func(d *DTLS, i *Info) bool {
			return i.Outcome == Completed && d.Verified && i.SNI == "api.example.org" && len(i.Certificates) == 1 && i.Group == 29
		}},
		{"1.0", []string{"-dtls1", "-cipher", "ALL@SECLEVEL=0"}, []string{"-dtls1", "-cipher", "ALL@SECLEVEL=0"}, func(d *DTLS, i *Info) bool {
			return i.Outcome == Completed && i.Version == 0xfeff && VersionName(i.Version) == "dtls1.0" && i.SNI == ""
		}},
		{"client certificate", []string{"-dtls1_2", "-verify", "1"}, []string{"-dtls1_2", "-cert", cert, "-key", key}, func(d *DTLS, i *Info) bool {
			return i.Outcome == Completed && i.ClientCertificateKnown && i.ClientCertificate && len(i.ClientCertificates) == 1
		}},
		{"no common suite", []string{"-dtls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"}, []string{"-dtls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"}, func(d *DTLS, i *Info) bool {
			return i.Outcome == Failed && i.Alert != nil && !i.Alert.Client && AlertName(i.Alert.Description) == "handshake_failure" && i.Version == 0
		}},
		{"session", []string{"-dtls1_2"}, []string{"-dtls1_2", "-sess_out", session}, func(d *DTLS, i *Info) bool {
			return i.Outcome == Completed && !i.Resumed && !i.Refused
		}},
		{"session that another server does not know", []string{"-dtls1_2"}, []string{"-dtls1_2", "-sess_in", session}, func(d *DTLS, i *Info) bool {
			return i.Outcome == Completed && !i.Resumed && i.Refused && len(i.Certificates) == 1
		}},
		{"no server", []string{"-dtls1_2"}, []string{"-dtls1_2"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list := openssl(t, tc.server, tc.client)
			var d DTLS
			if tc.check == nil { // only the client's side was recorded
				list = slices.DeleteFunc(list, func(g datagram) bool { return g.dir == 1 })
				feed(&d, list)
				if i := d.Info(); i.Outcome != Incomplete || i.Offered != 0xfefd || d.Start != 1000 || d.End != 0 {
					t.Errorf("%+v", i)
				}
				return
			}
			feed(&d, list)
			if i := d.Info(); !tc.check(&d, i) || d.Client() != 0 || d.Other != 0 {
				t.Errorf("client %d, verified %v, %d others, %+v", d.Client(), d.Verified, d.Other, *i)
			}
			for _, g := range list {
				if !IsDTLS(g.data) {
					t.Errorf("not recognised: %x", g.data)
				}
			}
		})
	}
}

// TestDTLSResumed has a server resume a session: s_client asks twice.
func TestDTLSResumed(t *testing.T) {
	list := openssl(t, []string{"-dtls1_2"}, []string{"-dtls1_2", "-reconnect"})
	// Each handshake of -reconnect comes from a port of its own in truth; the
	// relay joins them. Cut where a hello begins a handshake anew.
	var flows [][]datagram
	for _, g := range list {
		r, _, ok := nextDTLS(g.data, -1)
		if f, _, ok2 := nextFragment(r.body); ok && ok2 && r.epoch == 0 && f.typ == msgClientHello && f.seq == 0 && g.dir == 0 {
			flows = append(flows, nil)
		}
		if len(flows) > 0 {
			flows[len(flows)-1] = append(flows[len(flows)-1], g)
		}
	}
	resumed := 0
	for _, f := range flows {
		var d DTLS
		feed(&d, f)
		if i := d.Info(); i.Outcome == Completed && i.Resumed && !i.Refused && i.SessionEchoed() && len(i.Certificates) == 0 {
			resumed++
		}
	}
	if len(flows) < 2 || resumed == 0 {
		t.Errorf("%d handshakes, %d resumed", len(flows), resumed)
	}
}

// dtlsHandshake makes a record with one whole handshake message.
func dtlsHandshake(typ uint8, seq uint16, body []byte) []byte {
	var b cryptobyte.Builder
	b.AddUint8(typeHandshake)
	b.AddUint16(0xfefd)
	b.AddUint64(uint64(seq)) // epoch 0 and sequence number
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(typ)
		b.AddUint24(uint32(len(body)))
		b.AddUint16(seq)
		b.AddUint24(0)
		b.AddUint24(uint32(len(body)))
		b.AddBytes(body)
	})
	return b.BytesOrPanic()
}

// dtls13 are the datagrams of a handshake of DTLS 1.3 (RFC 9147 section 5), with
// connection ids of 2 octets to the client and 1 to the server.
func dtls13() []datagram {
	var ch cryptobyte.Builder
	ch.AddUint16(0xfefd)
	ch.AddBytes(make([]byte, 32))
	ch.AddUint8(0)                              // session id
	ch.AddUint8(0)                              // cookie
	ch.AddBytes([]byte{0, 2, 0x13, 0x01, 1, 0}) // suites, compression
	ch.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddBytes([]byte{0, extSupportedVersions, 0, 5, 4, 0xfe, 0xfc, 0xfe, 0xfd})
		b.AddBytes([]byte{0, extConnectionID, 0, 3, 2, 0xaa, 0xbb})
		b.AddBytes([]byte{0, extServerName, 0, 6, 0, 4, 0, 0, 1, 'a'})
	})
	var sh cryptobyte.Builder
	sh.AddUint16(0xfefd)
	sh.AddBytes(make([]byte, 32))
	sh.AddBytes([]byte{0, 0x13, 0x01, 0})
	sh.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddBytes([]byte{0, extSupportedVersions, 0, 2, 0xfe, 0xfc})
		b.AddBytes([]byte{0, extConnectionID, 0, 2, 1, 0xcc})
		b.AddBytes([]byte{0, extKeyShare, 0, 5, 0, 29, 0, 1, 9})
	})
	flight := append(dtlsHandshake(msgServerHello, 0, sh.BytesOrPanic()), 0x3e, 0xaa, 0xbb, 0, 1, 0, 3, 1, 2, 3) // CID, 16-bit number, length, epoch 2
	flight = append(flight, 0x2a, 0, 2, 4, 5, 6)                                                                 // to the end
	return []datagram{
		{0, dtlsHandshake(msgClientHello, 0, ch.BytesOrPanic())},
		{1, flight},
		{0, []byte{0x36, 0xcc, 0, 0, 2, 8, 9}},
		{1, []byte{0x2f, 0, 1, 0, 1, 0}},
	}
}

func TestDTLS13(t *testing.T) {
	var d DTLS
	list := dtls13()
	feed(&d, list)
	i := d.Info()
	if i.Outcome != Completed || VersionName(i.Version) != "dtls1.3" || VersionName(i.Offered) != "dtls1.3" || i.Group != 29 || i.SNI != "a" ||
		d.Start != 1000 || d.End != 3000 || d.Records != [2]uint64{2, 4} || d.Other != 0 || !strings.HasPrefix(i.JA4, "dd3d0103") {
		t.Errorf("%+v\n%+v", i, d.Records)
	}
	if !IsDTLS(list[0].data) || !IsDTLS(list[1].data) || IsDTLS(list[2].data) {
		t.Error("IsDTLS")
	}
	d = DTLS{}
	feed(&d, list[:2])
	if i := d.Info(); i.Outcome != Abandoned || d.End != 0 {
		t.Errorf("without the client's Finished: %s", i.Outcome)
	}
}

func TestIsDTLS(t *testing.T) {
	for name, tc := range map[string]struct {
		hex  string
		want bool
	}{
		"empty":                     {"", false},
		"data":                      {"17 fefd 0001 000000000001 0003 010203", true},
		"data in the clear":         {"17 fefd 0000 000000000001 0003 010203", false},
		"data, cut":                 {"17 fefd 0001 000000000001 0004 010203", false},
		"data with an octet behind": {"17 fefd 0001 000000000001 0003 010203 00", false},
		"TLS":                       {"17 0303 0001 000000000001 0003 010203", false},
		"alert":                     {"15 fefd 0000 000000000001 0002 0228", true},
		"alert of no level":         {"15 fefd 0000 000000000001 0002 0928", false},
		"two records":               {"14 fefd 0000 000000000001 0001 01 16 fefd 0001 000000000000 0004 01020304", true},
		"fragment beyond its end":   {"16 fefd 0000 000000000000 000e 01 000010 0000 00000f 000002 aabb", false},
		"fragment":                  {"16 fefd 0000 000000000000 000e 01 000010 0000 00000e 000002 aabb", true},
		"STUN":                      {"0001 0000 2112a442 000000000000000000000000", false},
		"RTP":                       {"8060 0001 00000001 00000001 01020304", false},
		"empty record":              {"17 fefd 0001 000000000001 0000", false},
	} {
		if got := IsDTLS(unhex(t, tc.hex)); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestDTLSBounded sends parts of messages that never become complete.
func TestDTLSBounded(t *testing.T) {
	var d DTLS
	for seq := range 60 {
		for offset := 1; offset < maxDTLSMessage; offset += 200 {
			for dir := range 2 {
				d.Datagram(dir, slices.Concat(
					[]byte{typeHandshake, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, msgCertificate, 0, maxDTLSMessage >> 8, 0, 0, byte(seq)},
					[]byte{0, byte(offset >> 8), byte(offset), 0, 0, 1, 7}), 1)
			}
		}
		if d.Held() > 2*maxAssemblies*maxDTLSMessage {
			t.Fatalf("%d octets are kept", d.Held())
		}
	}
	if d.Held() == 0 {
		t.Error("nothing was kept: the parts were not understood")
	}
}

func TestDTLSAllocs(t *testing.T) {
	var d DTLS
	feed(&d, dtls13())
	data := unhex(t, "17 fefd 0001 000000000001 0003 010203")
	if n := testing.AllocsPerRun(100, func() {
		if !IsDTLS(data) || !d.Datagram(0, data, 1) {
			t.Error("not recognised")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzDTLS(f *testing.F) {
	pack := func(list []datagram) (b []byte) {
		for _, g := range list {
			b = append(append(b, byte(g.dir), byte(len(g.data)>>8), byte(len(g.data))), g.data...)
		}
		return b
	}
	f.Add(pack(dtls13()))
	path := filepath.Join(needs.Repository(f), "..", "shared", "pcaps", "dev", "tls", "zeek-dtls1_2.pcap")
	if _, err := os.Stat(path); err == nil {
		var list []datagram
		for _, p := range readTalks(f, path)[0].pieces() {
			list = append(list, datagram{p.dir, p.data})
		}
		f.Add(pack(list))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d DTLS
		var records uint64
		for at := int64(1); len(b) >= 3; at++ {
			n := min(3+int(b[1])<<8+int(b[2]), len(b))
			data := b[3:n:n]
			dir := int(b[0] & 1)
			unknown := d.sides[dir].cid == 0 // where it is known, a record may be too short for it
			found := d.Datagram(dir, data, at)
			if IsDTLS(data) && unknown && !found {
				t.Errorf("IsDTLS is true, Datagram is false: %x", data)
			}
			if now := d.Records[0] + d.Records[1]; found != (now > records) {
				t.Errorf("found %v, records %d, then %d", found, records, now)
			} else {
				records = now
			}
			if d.Held() > 2*maxAssemblies*maxDTLSMessage {
				t.Errorf("%d octets are kept", d.Held())
			}
			b = b[n:]
		}
		if i := d.Info(); i.Outcome == Completed && (d.End == 0 || d.Client() < 0) || i.Outcome == OutcomeNone {
			t.Errorf("outcome %s, end %d, client %d", i.Outcome, d.End, d.Client())
		}
	})
}

package tlsmeta

import (
	"bytes"
	"crypto/tls"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// TestNames has one line for each kind of name.
func TestNames(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{VersionName(0), ""},
		{VersionName(0x0002), "ssl2"},
		{VersionName(0x0300), "ssl3"},
		{VersionName(0x0301), "1.0"},
		{VersionName(0x0302), "1.1"},
		{VersionName(0x0303), "1.2"},
		{VersionName(0x0304), "1.3"},
		{VersionName(0x7f17), "1.3-draft23"},
		{VersionName(0xfeff), "dtls1.0"},
		{VersionName(0xfefd), "dtls1.2"},
		{VersionName(0xfefc), "dtls1.3"},
		{VersionName(0x0305), "0x0305"},

		{CipherName(0x0000), "TLS_NULL_WITH_NULL_NULL"},
		{CipherName(0x1301), "TLS_AES_128_GCM_SHA256"},
		{CipherName(0x1306), "TLS_AEGIS_256_SHA512"},
		{CipherName(0xc0b4), "TLS_SHA256_SHA256"},
		{CipherName(0x00c6), "TLS_SM4_GCM_SM3"},
		{CipherName(0x5600), "TLS_FALLBACK_SCSV"},
		{CipherName(0x0a0a), "0x0a0a"},
		{CipherName(0x1234), "0x1234"},

		{GroupName(0), ""},
		{GroupName(29), "x25519"},
		{GroupName(23), "secp256r1"},
		{GroupName(28), "brainpoolP512r1"},
		{GroupName(257), "ffdhe3072"},
		{GroupName(4587), "SecP256r1MLKEM768"},
		{GroupName(4588), "X25519MLKEM768"},
		{GroupName(4589), "SecP384r1MLKEM1024"},
		{GroupName(0x6399), "X25519Kyber768Draft00"},
		{GroupName(0x2a2a), "0x2a2a"},

		{AlertName(0), "close_notify"},
		{AlertName(40), "handshake_failure"},
		{AlertName(41), "no_certificate"},
		{AlertName(116), "certificate_required"},
		{AlertName(121), "ech_required"},
		{AlertName(200), "200"},
		{AlertLevelName(1), "warning"},
		{AlertLevelName(2), "fatal"},
		{AlertLevelName(3), "3"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// TestNameTables fails on a table that is not sorted, for it is searched.
func TestNameTables(t *testing.T) {
	for name, table := range map[string][]named{"ciphers": cipherNames[:], "groups": groupNames[:], "alerts": alertNames[:], "versions": versionNames[:]} {
		if !slices.IsSortedFunc(table, func(a, b named) int { return int(a.number) - int(b.number) }) {
			t.Errorf("%s are not sorted", name)
		}
		for i, e := range table {
			if e.name == "" || IsGREASE(e.number) || i > 0 && table[i-1].number == e.number {
				t.Errorf("%s: %#04x %q", name, e.number, e.name)
			}
		}
	}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := CipherName(s.ID); got != s.Name {
			t.Errorf("%#04x: %s, crypto/tls has %s", s.ID, got, s.Name)
		}
	}
	for _, c := range []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519, tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024} {
		want := strings.NewReplacer("CurveP256", "secp256r1", "CurveP384", "secp384r1", "CurveP521", "secp521r1").Replace(c.String())
		if !strings.EqualFold(GroupName(uint16(c)), want) {
			t.Errorf("%d: %s, crypto/tls has %s", c, GroupName(uint16(c)), c)
		}
	}
}

// TestNamesTShark compares the tables with those of tshark.
func TestNamesTShark(t *testing.T) {
	out, err := exec.Command(needs.Tool(t, "tshark"), "-G", "values").Output()
	if err != nil {
		t.Fatal(err)
	}
	compared := map[string]int{}
	for line := range bytes.Lines(out) {
		f := strings.Split(strings.TrimSpace(string(line)), "\t")
		if len(f) != 4 || f[0] != "V" || strings.Contains(f[3], "GREASE") {
			continue
		}
		v, err := strconv.ParseUint(f[2], 0, 16)
		if err != nil {
			continue
		}
		n := uint16(v)
		got, want := "", f[3]
		switch f[1] {
		case "tls.handshake.ciphersuite":
			if n >= 0xe000 && n <= 0xe4ff {
				continue // drafts that came to nothing
			}
			got = strings.TrimPrefix(CipherName(n), "OLD_")
		case "tls.handshake.extensions_supported_group":
			if n >= 0x0200 && n < 0xff00 {
				continue // experiments of one library
			}
			got = GroupName(n)
		case "tls.alert_message.desc":
			got, want = AlertName(uint8(n)), strings.ToLower(strings.ReplaceAll(want, " ", "_"))
		default:
			continue
		}
		compared[f[1]]++
		if got != want {
			t.Errorf("%s %#x: %s, tshark has %s", f[1], n, got, want)
		}
	}
	t.Log(compared)
	if compared["tls.handshake.ciphersuite"] < 300 || compared["tls.handshake.extensions_supported_group"] < 30 || compared["tls.alert_message.desc"] < 30 {
		t.Error("too little was compared")
	}
}

func TestCipherSizes(t *testing.T) {
	for _, tc := range []struct {
		cipher    uint16
		hash, tag int
	}{
		{0x1301, 32, 16}, {0x1302, 48, 16}, {0x1303, 32, 16}, {0x1304, 32, 16}, {0x1305, 32, 8}, {0x1306, 64, 16}, {0x1307, 32, 16},
		{0x00c6, 32, 16}, {0xc0b4, 32, 32}, {0xc0b5, 48, 48}, {0x4711, 32, 16},
	} {
		if h, tag := CipherHash(tc.cipher), CipherTag(tc.cipher); h != tc.hash || tag != tc.tag {
			t.Errorf("%s: hash %d, tag %d, want %d, %d", CipherName(tc.cipher), h, tag, tc.hash, tc.tag)
		}
	}
}

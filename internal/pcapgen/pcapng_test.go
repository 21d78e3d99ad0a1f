package pcapgen

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPcapng(t *testing.T) {
	frame := Build(ether, ip4, UDP{SrcPort: 1, DstPort: 2}, Payload("odd"))
	for _, big := range []bool{false, true} {
		t.Run(fmt.Sprintf("big=%v", big), func(t *testing.T) {
			var buf bytes.Buffer
			w := NewPcapngWriter(&buf, big)
			w.Interface(NgInterface{Link: LinkEthernet, Name: "eth0", Resolution: 9})
			w.Interface(NgInterface{Link: LinkEthernet, Name: "eth1", SnapLen: 30})
			w.Interface(NgInterface{Link: LinkEthernet, Name: "eth2", Resolution: 0x80 | 20, Offset: 1000})
			w.Write(Frame{Time: t0, Data: frame})
			w.WriteBlock(0x0bad, []byte("five!")) // unknown: readers step over it
			w.Write(Frame{Time: t0, Data: frame, Interface: 1})
			w.WriteObsolete(Frame{Time: t0, Data: frame, Interface: 2})
			w.Section(!big)
			w.Interface(NgInterface{Link: LinkEthernet, Name: "eth0"}) // tshark 4.0 takes the name from the first section
			w.Write(Frame{Time: t0, Data: frame, WireLen: 1514})
			w.WriteSimple(Frame{Data: frame})
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			got := tshark(t, buf.Bytes(), "frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_name", "udp.dstport")
			n := len(frame)
			got = slices.DeleteFunc(got, func(l string) bool { return strings.HasSuffix(l, "\t4\t4\t\t") }) // how it shows the unknown block
			equalLines(t, got, []string{
				fmt.Sprintf("1763632800.123456789\t%d\t%d\teth0\t2", n, n),
				fmt.Sprintf("1763632800.123456000\t30\t%d\teth1\t", n),
				fmt.Sprintf("1763632800.123456001\t%d\t%d\teth2\t2", n, n), // 2⁻²⁰ s is 954 ns
				fmt.Sprintf("1763632800.123456000\t%d\t1514\teth0\t2", n),
				fmt.Sprintf("\t%d\t%d\teth0\t2", n, n),
			})
			if err := w.Write(Frame{Interface: 1}); err == nil {
				t.Error("a frame of an interface that the section has not: no error")
			}
		})
	}
}

func TestNgUnits(t *testing.T) {
	for _, tt := range []struct {
		i    NgInterface
		want uint64
	}{
		{NgInterface{}, t0 / 1000},
		{NgInterface{Resolution: 9}, t0},
		{NgInterface{Resolution: 3, Offset: 1_763_632_800}, 123},
		{NgInterface{Resolution: 10}, t0 * 10},
		{NgInterface{Resolution: 0x81, Offset: 1_763_632_799}, 2},
	} {
		if got := tt.i.units(t0); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.i, got, tt.want)
		}
	}
}

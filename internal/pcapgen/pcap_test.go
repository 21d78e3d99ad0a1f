package pcapgen

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

const t0 = 1_763_632_800_123_456_789 // 2025-11-20T10:00:00.123456789Z

// readPcap takes a little-endian pcap file of nanoseconds apart.
func readPcap(t *testing.T, file []byte) (link uint32, frames []Frame) {
	t.Helper()
	le := binary.LittleEndian
	if len(file) < 24 || le.Uint32(file) != 0xa1b23c4d {
		t.Fatalf("not a little-endian pcap file of nanoseconds: % x", file[:min(24, len(file))])
	}
	link = le.Uint32(file[20:])
	for b := file[24:]; len(b) > 0; {
		n := int(le.Uint32(b[8:]))
		frames = append(frames, Frame{
			Time:    int64(le.Uint32(b))*1e9 + int64(le.Uint32(b[4:])),
			Data:    b[16 : 16+n],
			WireLen: int(le.Uint32(b[12:])),
		})
		b = b[16+n:]
	}
	return link, frames
}

func TestPcapForms(t *testing.T) {
	frame := Build(ether, ip4, tcpSeg, data)
	for _, c := range []PcapConfig{{}, {Nano: true}, {BigEndian: true}, {BigEndian: true, Nano: true}} {
		c.Link = LinkEthernet
		t.Run(fmt.Sprintf("big=%v,nano=%v", c.BigEndian, c.Nano), func(t *testing.T) {
			var buf bytes.Buffer
			w := NewPcapWriter(&buf, c)
			w.Write(Frame{Time: t0, Data: frame})
			w.Write(Frame{Time: t0 + 1e9, Data: frame[:60], WireLen: 1514})
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			frac := "123456000"
			if c.Nano {
				frac = "123456789"
			}
			got := tshark(t, buf.Bytes(), "frame.time_epoch", "frame.cap_len", "frame.len", "tcp.srcport")
			want := []string{
				fmt.Sprintf("1763632800.%s\t%d\t%d\t51234", frac, len(frame), len(frame)),
				fmt.Sprintf("1763632801.%s\t60\t1514\t51234", frac),
			}
			equalLines(t, got, want)
		})
	}
}

func TestPcapSnapLen(t *testing.T) {
	var buf bytes.Buffer
	w := NewPcapWriter(&buf, PcapConfig{Link: LinkEthernet, Nano: true, SnapLen: 64})
	w.Write(Frame{Time: t0, Data: make([]byte, 100)})
	w.Flush()
	if got := binary.LittleEndian.Uint32(buf.Bytes()[16:]); got != 64 {
		t.Errorf("snap length in the file header %d, want 64", got)
	}
	_, frames := readPcap(t, buf.Bytes())
	if len(frames) != 1 || len(frames[0].Data) != 64 || frames[0].WireLen != 100 || frames[0].Time != t0 {
		t.Errorf("read %+v", frames)
	}
}

type brokenDisk struct{}

func (brokenDisk) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

func TestWritersReportErrors(t *testing.T) {
	ng := NewPcapngWriter(brokenDisk{}, false)
	ng.Interface(NgInterface{Link: LinkEthernet})
	for _, w := range []Writer{NewPcapWriter(brokenDisk{}, PcapConfig{}), ng} {
		if err := w.Write(Frame{Data: make([]byte, bufferSize)}); err == nil {
			t.Errorf("%T: Write to a full disk gave no error", w)
		}
		if err := w.Flush(); err == nil {
			t.Errorf("%T: Flush to a full disk gave no error", w)
		}
	}
}

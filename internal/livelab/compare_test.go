//go:build linux

package livelab

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
)

// replay gives the records of frames, whose interface gets a name.
func replay(t *testing.T, name string, frames []capture.Frame) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "frames.pcap")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pcapgen.NewPcapWriter(file, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true})
	for _, f := range frames {
		w.Write(pcapgen.Frame{Time: f.Time, Data: f.Data})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(Build(t, "mirrorscope/cmd/sensor"), "replay", "--format", "json", "--point", name+"="+path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// shop is the capture of the repository.
func shop(t *testing.T) []capture.Frame {
	t.Helper()
	frames, err := Frames(filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	return frames
}

// TestCompare: the records of a capture agree with those of the same frames
// under another interface and stamped a little otherwise, and every change that
// is more than that is told.
func TestCompare(t *testing.T) {
	frames := shop(t)
	want := replay(t, "0", frames)
	r := rand.New(rand.NewPCG(1, 2))
	var last int64
	for i := range frames {
		// Never before the frame in front: a live run would not have that.
		last = max(last+1, frames[i].Time+r.Int64N(8000))
		frames[i].Time = last
	}
	live := replay(t, "cap0", frames)
	running := append([]byte("{\"type\":\"capture\",\"at\":\"2026-03-02T09:00:10.000000000Z\",\"packets\":1}\n"), live...)
	for _, d := range Compare(running, want, 8*time.Microsecond) {
		t.Error(d)
	}
	if t.Failed() {
		t.FailNow()
	}
	if d := Compare(live, want, time.Microsecond); len(d) < 100 {
		t.Errorf("within a microsecond there are %d differences", len(d))
	}

	replaced := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	for _, tc := range []struct {
		name   string
		change func(string) string // of the live run
		want   string              // in one of the differences
	}{
		{"a count", replaced(`"syn_packets":1,`, `"syn_packets":2,`), "handshake.syn_packets: live 2, replay 1"},
		{"a state", replaced(`"direction":{"source":"syn","state":"measured"}`, `"direction":{"source":"syn","state":"ambiguous"}`), `direction.state: live "ambiguous", replay "measured"`},
		{"a truth value", replaced(`"sack":true`, `"sack":false`), "sack: live false, replay true"},
		{"a field missing", replaced(`"dsack_unmatched":0,`, ``), "dsack_unmatched: absent live, replay 0"},
		{"a field too many", replaced(`"inferred_packets":0,`, `"inferred_packets":0,"guessed":3,`), "guessed: live 3, absent in the replay"},
		{"a time", replaced(`"start":"2026-03-02T09:00:00.763`, `"start":"2026-03-02T09:00:00.764`), "start: live"},
		{"a duration", replaced(`"rtt_us":2`, `"rtt_us":92`), "handshake.rtt_us: live 92"},
		{"a point", replaced(`"name":"cap0 vxlan 4101`, `"name":"cap1 vxlan 4101`), "only in the live run"},
		{"an end", replaced(`"client":{"ip":"10.20.1.11"`, `"client":{"ip":"10.20.1.19"`), "only in the replay ("},
		{"a list", replaced(`"tunnels":["vxlan"]`, `"tunnels":["vxlan","gre"]`), `tunnels: live ["vxlan","gre"], replay ["vxlan"]`},
		{"the capture", replaced(`"type":"capture","packets":2`, `"type":"capture","packets":1`), "capture: packets: live 1941, replay 2941"},
		{"a point of the capture", replaced(`"missed_bytes":0,"loss_ratio":0`, `"missed_bytes":1,"loss_ratio":0`), "missed_bytes: live 1, replay 0"},
		{"which connection", func(s string) string {
			i := strings.Index(s, `"primary":{"client":"`) + len(`"primary":{"client":"`)
			j := strings.Index(s[i:], `"server":"`) + i + len(`"server":"`)
			k := strings.LastIndex(s, `"primary":{"client":"`) + len(`"primary":{"client":"`)
			return s[:j] + s[k:k+16] + s[j+16:]
		}, "primary.server: live"},
		{"a connection missing", func(s string) string { return s[strings.Index(s, "\n")+1:] }, "only in the replay ("},
		{"a connection twice", func(s string) string { return s[:strings.Index(s, "\n")+1] + s }, "(no. 2): only in the live run ("},
		{"no path", func(s string) string { return strings.ReplaceAll(s, `"type":"path"`, `"type":"other"`) }, ": only in the replay ("},
		{"no JSON", func(s string) string { return "x" + s }, "live: line 1 is no record"},
		{"nothing", func(string) string { return "" }, "only in the replay ("},
	} {
		t.Run(tc.name, func(t *testing.T) {
			changed := tc.change(string(live))
			if changed == string(live) {
				t.Fatal("nothing is changed")
			}
			all := Compare([]byte(changed), want, 8*time.Microsecond)
			if !strings.Contains(strings.Join(all, "\n"), tc.want) {
				t.Errorf("no difference has %q:\n%s", tc.want, strings.Join(all, "\n"))
			}
		})
	}
	if d := Compare(live, nil, time.Second); len(d) == 0 || !strings.Contains(strings.Join(d, "\n"), "nothing to compare") {
		t.Errorf("against nothing: %q", d)
	}
}

// TestCompareLoss: a single frame that one of the runs did not get shows.
func TestCompareLoss(t *testing.T) {
	frames := shop(t)
	want := replay(t, "0", frames)
	for _, i := range []int{0, len(frames) / 2, len(frames) - 1} {
		without := append(append([]capture.Frame{}, frames[:i]...), frames[i+1:]...)
		if d := Compare(replay(t, "0", without), want, time.Millisecond); len(d) == 0 {
			t.Errorf("without frame %d there is no difference", i+1)
		}
	}
}

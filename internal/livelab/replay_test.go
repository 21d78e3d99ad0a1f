//go:build linux

package livelab

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/safchain/ethtool"

	"mirrorscope/capture"
)

// TestReplay: frames arrive all, in their order, and as they were, whichever
// queues they take.
func TestReplay(t *testing.T) {
	for _, queues := range []int{1, 4} {
		l := New(t, Config{Queues: queues})
		want := shop(t)
		arrivals := filepath.Join(t.TempDir(), "arrived.pcap")
		r, err := l.RecordArrivals(arrivals)
		if err != nil {
			t.Fatal(err)
		}
		var s Sent
		left := recorded(t, l, func() {
			if s, err = l.Replay(want, Pace{}); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		came, err := Frames(arrivals)
		if err != nil {
			t.Fatal(err)
		}
		if s.Frames != uint64(len(want)) || s.Dropped != 0 || len(left) != len(want) || len(came) != len(want) {
			t.Fatalf("%d queues: of %d frames %d left, %d came, sent %+v", queues, len(want), len(left), len(came), s)
		}
		all := map[string]int{}
		for i := range want {
			if string(left[i].Data) != string(want[i].Data) {
				t.Fatalf("%d queues: frame %d left otherwise", queues, i+1)
			}
			if queues == 1 && string(came[i].Data) != string(want[i].Data) {
				t.Fatalf("frame %d came otherwise", i+1)
			}
			all[string(want[i].Data)]++
			all[string(came[i].Data)]--
		}
		for data, n := range all {
			if n != 0 {
				t.Fatalf("%d queues: % x came %d times too often", queues, data, -n)
			}
		}
	}
}

// TestReplayQueues: flows spread over all queues of cap0.
func TestReplayQueues(t *testing.T) {
	l := New(t, Config{Queues: 4})
	attach(t, l, link.XDPDriverMode, 0)
	if _, err := l.Replay(shop(t), Pace{}); err != nil {
		t.Fatal(err)
	}
	var stats map[string]uint64
	err := l.Sensor.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer tool.Close()
		stats, err = tool.Stats(CaptureName)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"0", "1", "2", "3"} {
		if stats["rx_queue_"+q+"_xdp_packets"] == 0 {
			t.Errorf("queue %s is empty: %v", q, stats)
		}
	}
}

// TestReplayPace: the recorded time between frames is kept, and so is a gap.
func TestReplayPace(t *testing.T) {
	l := New(t, Config{})
	frames := shop(t)[:40]
	for i := range frames {
		frames[i].Time = int64(i) * 5e6 / 2
	}
	for _, pace := range []Pace{{AsRecorded: true}, {Gap: 2500 * time.Microsecond}} {
		var begun int64
		left := recorded(t, l, func() {
			begun = time.Now().UnixNano()
			s, err := l.Replay(frames, pace)
			if err != nil {
				t.Fatal(err)
			}
			if s.Took < 97*time.Millisecond {
				t.Errorf("%+v: sent %+v", pace, s)
			}
		})
		// Never early; how late depends on the machine.
		for i := range left {
			if since := left[i].Time - begun; since < frames[i].Time {
				t.Errorf("%+v: frame %d left after %d ns, want %d", pace, i+1, since, frames[i].Time)
			}
		}
	}
}

// TestReplayRefuses: what the link cannot carry as it is is not sent.
func TestReplayRefuses(t *testing.T) {
	l := New(t, Config{})
	good := capture.Frame{Data: make([]byte, 60), WireLen: 60, Link: capture.LinkEthernet}
	for _, tc := range []struct {
		why string
		bad capture.Frame
	}{
		{"no link header", capture.Frame{Data: make([]byte, 60), WireLen: 60, Link: capture.LinkRaw}},
		{"cut", capture.Frame{Data: make([]byte, 60), WireLen: 61, Link: capture.LinkEthernet}},
		{"short", capture.Frame{Data: make([]byte, 13), WireLen: 13, Link: capture.LinkEthernet}},
		{"long", capture.Frame{Data: make([]byte, 1615), WireLen: 1615, Link: capture.LinkEthernet}},
	} {
		if s, err := l.Replay([]capture.Frame{good, tc.bad}, Pace{}); err == nil || s.Frames != 0 {
			t.Errorf("%s: sent %+v, %v", tc.why, s, err)
		}
	}
	// The largest ones, without and with a tag.
	tagged := make([]byte, 1618)
	tagged[12] = 0x81
	largest := []capture.Frame{
		{Data: make([]byte, 1614), WireLen: 1614, Link: capture.LinkEthernet},
		{Data: tagged, WireLen: 1618, Link: capture.LinkEthernet},
	}
	frames := recorded(t, l, func() {
		if _, err := l.Replay(largest, Pace{}); err != nil {
			t.Error(err)
		}
	})
	if len(frames) != 2 || string(frames[1].Data) != string(tagged) {
		t.Errorf("%d frames left", len(frames))
	}
}

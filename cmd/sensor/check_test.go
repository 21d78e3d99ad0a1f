package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"mirrorscope/daemon"
	"mirrorscope/nic"
)

// TestUseOf: what an interface is for depends on the mode, and in mode auto on
// the driver.
func TestUseOf(t *testing.T) {
	can := &nic.Facts{XDP: nic.XDP{Native: nic.Yes, ZeroCopy: nic.Yes}}
	cannot := &nic.Facts{XDP: nic.XDP{Native: nic.Yes}}
	for _, tc := range []struct {
		name        string
		mode        daemon.Mode
		attach      string
		promiscuous [2]bool // of AF_PACKET, of AF_XDP
		facts       *nic.Facts
		want        nic.Use
	}{
		{"afpacket", daemon.ModeAFPacket, "auto", [2]bool{true, false}, can, nic.Use{Promiscuous: true}},
		{"afpacket, not promiscuous", daemon.ModeAFPacket, "auto", [2]bool{false, true}, can, nic.Use{}},
		{"afxdp", daemon.ModeAFXDP, "auto", [2]bool{false, true}, cannot, nic.Use{AFXDP: true, Promiscuous: true}},
		{"afxdp, not promiscuous", daemon.ModeAFXDP, "auto", [2]bool{true, false}, cannot, nic.Use{AFXDP: true}},
		{"afxdp in the driver", daemon.ModeAFXDP, "native", [2]bool{false, true}, cannot, nic.Use{AFXDP: true, Native: true, Promiscuous: true}},
		{"auto that can", daemon.ModeAuto, "auto", [2]bool{false, true}, can, nic.Use{AFXDP: true, Promiscuous: true}},
		{"auto that cannot", daemon.ModeAuto, "auto", [2]bool{true, false}, cannot, nic.Use{Promiscuous: true}},
	} {
		p := checkPlan{capture: daemon.DefaultConfig().Capture}
		p.capture.Mode, p.capture.AFXDP.Attach = tc.mode, tc.attach
		p.capture.AFPacket.Promiscuous, p.capture.AFXDP.Promiscuous = tc.promiscuous[0], tc.promiscuous[1]
		if got := p.useOf(tc.facts); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// someReport has a finding of each level.
func someReport() *checkReport {
	r := &checkReport{Host: report{Name: "host"}, Interfaces: []report{{Name: "eth1\x1b[2J"}}}
	r.Host.add(nic.Finding{About: "kernel", Found: "6.18"}, nic.Finding{Level: nic.Note, About: "btf", Found: "none", Why: "tools want it"})
	r.Interfaces[0].add(
		nic.Finding{Level: nic.Warning, About: "ring", Found: "256 of 4096 descriptors", Why: "bursts are lost before anybody sees them", Mend: "ethtool -G eth1 rx 4096"},
		nic.Finding{Level: nic.Error, About: "link", Found: "is down", Why: "nothing\narrives"},
	)
	r.Level = nic.Error
	return r
}

func TestWriteCheck(t *testing.T) {
	for _, tc := range []struct {
		name    string
		all     bool
		width   int
		colours bool
		want    string
	}{
		{name: "as it is", want: `host
  note     btf     none
                   why:  tools want it
  ok               1 more (--all lists them)

eth1�[2J
  warning  ring    256 of 4096 descriptors
                   why:  bursts are lost before anybody sees them
                   mend: ethtool -G eth1 rx 4096
  error    link    is down
                   why:  nothing
                         arrives

Capture does not work like this. 1 error, 1 warning, 1 note.
`},
		{name: "all, narrow", all: true, width: 46, want: `host
  ok       kernel  6.18
  note     btf     none
                   why:  tools want it

eth1�[2J
  warning  ring    256 of 4096 descriptors
                   why:  bursts are lost
                         before anybody sees
                         them
                   mend: ethtool -G eth1 rx
                         4096
  error    link    is down
                   why:  nothing
                         arrives

Capture does not work like this. 1 error, 1 warning, 1 note.
`},
	} {
		var b bytes.Buffer
		if err := writeCheck(&b, someReport(), tc.all, tc.width, tc.colours); err != nil {
			t.Fatal(err)
		}
		if b.String() != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", tc.name, b.String(), tc.want)
		}
	}
	var b bytes.Buffer
	if err := writeCheck(&b, someReport(), false, 0, true); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[33mwarning\x1b[0m  ring"; !strings.Contains(b.String(), want) {
		t.Errorf("%q lacks %q", b.String(), want)
	}
}

func TestConclusion(t *testing.T) {
	for want, counts := range map[string][nic.Error + 1]int{
		"Capture works.":          {nic.OK: 9},
		"Capture works. 2 notes.": {nic.Note: 2},
		"Capture works, and could work better. 2 warnings, 1 note.": {nic.Warning: 2, nic.Note: 1},
		"Capture does not work like this. 2 errors, 1 warning.":     {nic.Error: 2, nic.Warning: 1},
	} {
		worst := nic.OK
		for l, n := range counts {
			if n > 0 {
				worst = nic.Level(l)
			}
		}
		if got := conclusion(worst, counts); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestCheckJSON is one object with words for levels.
func TestCheckJSON(t *testing.T) {
	var b bytes.Buffer
	if err := writeCheckJSON(&b, someReport()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Level      string
		Host       struct{ Level string }
		Interfaces []struct {
			Name     string
			Findings []struct{ Level, About, Found, Why, Mend string }
		}
	}
	d := json.NewDecoder(&b)
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	f := got.Interfaces[0].Findings
	if got.Level != "error" || got.Host.Level != "note" || len(f) != 2 || f[0].Level != "warning" || f[0].Mend != "ethtool -G eth1 rx 4096" {
		t.Errorf("%+v", got)
	}
	if d.More() {
		t.Error("more than one object")
	}
}

package edge

import (
	"fmt"
	"strings"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/httpmeta"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// hung is a connection with a request in HTTP that had no response within 5 s.
func hung(clientPort uint16) flow.Record {
	r := record(clientPort, 0, 5*second)
	r.HasTCP, r.HTTP, r.Outcome = true, &httpmeta.Info{}, flow.Established
	r.HTTP.Add(&httpmeta.Exchange{Method: "GET", Host: "a", Path: "/x", GRPC: -1, Requested: true}, tcp.Absent)
	r.Sent[flow.Server].PayloadBytes = 0
	r.Phases = &session.Phases{TCP: 2e6, Close: 4998e6}
	return r
}

// raw is a connection of an unknown protocol whose server says nothing for 5 s.
func raw(clientPort uint16) flow.Record {
	r := hung(clientPort)
	r.HTTP = nil
	return r
}

func TestUnanswered(t *testing.T) {
	fin := func(r *flow.Record) { r.FINs[flow.Client], r.EndReason = 1, flow.EndForced }
	later := record(99, 60*second, 65*second) // the capture goes on
	later.Ends[flow.Server].Port, later.Sent = 1, [2]flow.Volume{}
	for _, test := range []struct {
		name    string
		record  func(uint16) flow.Record
		change  func(*flow.Record)
		who     Who
		want    string
		errors  int64
		unknown int64
		rate    string
	}{
		{"the client closes", hung, fin, Server, "10 of 10 requests had no response when the client gave up, after 5.0", 10, 0, "1 true"},
		{"the client resets", hung, func(r *flow.Record) { r.Outcome, r.ResetBy = flow.Reset, flow.Client }, Server, "10 of 10 requests had no response when the client gave up, after 5.0", 10, 0, "1 true"},
		{"the client resets, and was not heard", hung, func(r *flow.Record) { r.Outcome, r.ResetBy, r.ResetUnacked = flow.Reset, flow.Client, true }, Network, "not even acknowledged", 10, 0, "1 true"},
		{"the client resets at once", hung, func(r *flow.Record) { r.Outcome, r.ResetBy, r.Phases.Close = flow.Reset, flow.Client, 3e6 }, Client, "reset by the client", 10, 0, "1 true"},
		{"the server closes", hung, func(r *flow.Record) { r.Outcome, r.FINs = flow.Closed, [2]int64{1, 1} }, Server, "had no response when the connection ended, after 5.0", 10, 0, "1 true"},
		{"the capture ends", hung, func(r *flow.Record) { r.EndReason = flow.EndForced }, Server, "10 of 10 requests had no response yet when the capture ended, the oldest after 65.0 s", 0, 10, "0 false"},
		{"the client closes behind the request, and the capture ends", hung, func(r *flow.Record) { fin(r); r.Phases.Close = 2e6; r.End = 64999e6 }, Nobody, "too little to judge: of 10 requests it is not known", 0, 10, "0 false"},
		{"the memory ends", hung, func(r *flow.Record) { r.EndReason = flow.EndLackOfResources }, Nobody, "too little to judge: of 10 requests it is not known", 0, 10, "0 false"},
		{"one direction", hung, func(r *flow.Record) { fin(r); r.Sent[flow.Server] = flow.Volume{} }, Nobody, "one direction alone was recorded", 0, 10, "0 false"},

		{"an unknown protocol", raw, fin, Server, "10 of 10 connections had data from the client, and not a word back until it gave up, after 5.0", 0, 0, "0 false"},
		{"an unknown protocol, at once", raw, func(r *flow.Record) { fin(r); r.Phases.Close = 2e6 }, Nobody, "nothing stands out", 0, 0, "0 false"},
		{"an unknown protocol, lost responses", raw, func(r *flow.Record) { fin(r); r.TCP.Sides[flow.Server].Missed = 1 }, Capture, "the capture missed", 0, 0, "0 false"},
	} {
		t.Run(test.name, func(t *testing.T) {
			records := []flow.Record{later}
			for port := range uint16(10) {
				r := test.record(port + 1)
				test.change(&r)
				records = append(records, r)
			}
			c := fold(DefaultConfig(), records...).Conversation(1)
			v := c.Verdict()
			if v.Who != test.who || !strings.Contains(v.Text, test.want) {
				t.Errorf("%v: %q, want %v: %q", v.Who, v.Text, test.who, test.want)
			}
			rate, ok := c.ErrorRate()
			if got := fmt.Sprint(rate, ok); c.RequestErrors() != test.errors || c.UnknownRequests() != test.unknown || got != test.rate {
				t.Errorf("%d errors, %d unknown, rate %s; want %d, %d, %s", c.RequestErrors(), c.UnknownRequests(), got, test.errors, test.unknown, test.rate)
			}
		})
	}
}

// Where the server answers others, a connection without an answer is a request
// that failed.
func TestMute(t *testing.T) {
	quiet, good := raw(1), raw(2)
	quiet.FINs[flow.Client] = 1
	good.Sent[flow.Server].PayloadBytes, good.TCP.Response = 100, tcp.Response{State: tcp.Measured, Turns: 3, Measured: 3}
	c := one(t, fold(DefaultConfig(), quiet, good))
	if c.Requests() != 4 || c.RequestErrors() != 1 {
		t.Errorf("%d requests, %d errors; want 4, 1", c.Requests(), c.RequestErrors())
	}
	if v := c.Verdict(); !strings.Contains(v.Text, "1 of 4 requests had no response when the client gave up") {
		t.Error(v.Text)
	}
}

// What came before the capture, and what was asked and not read, is no failure
// before the first request.
func TestUnasked(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(*flow.Record)
		unasked int64
		errors  int64 // of connections
	}{
		{"reset before anything was said", func(r *flow.Record) { r.Sent[0].PayloadBytes, r.Sent[1].PayloadBytes = 0, 0 }, 1, 1},
		{"reset behind what may be requests", func(*flow.Record) {}, 0, 1},
		{"left over from before the capture", func(r *flow.Record) {
			r.Sent, r.Direction = [2]flow.Volume{{Packets: 1}, {Packets: 1}}, flow.DirListener
		}, 0, 0},
		{"one direction", func(r *flow.Record) { r.Sent[0].PayloadBytes, r.Sent[1] = 0, flow.Volume{} }, 0, 1},
		{"refused", func(r *flow.Record) { r.Outcome = flow.Refused }, 1, 1},
	} {
		r := record(1, 0, second)
		r.Outcome, r.ResetBy = flow.Reset, flow.Client
		test.change(&r)
		c := one(t, fold(DefaultConfig(), r))
		if c.Unasked != test.unasked || c.Errors() != test.errors {
			t.Errorf("%s: %d unasked, %d failed; want %d, %d", test.name, c.Unasked, c.Errors(), test.unasked, test.errors)
		}
	}
}

// A conversation that came in two parts tells what one would.
func TestUnansweredMerges(t *testing.T) {
	var records []flow.Record
	for port := range uint16(9) {
		r := hung(port)
		switch r.End += int64(port) * second; port % 3 {
		case 0:
			r.FINs[flow.Client] = 1
		case 1:
			r.EndReason = flow.EndForced
		case 2:
			r.Outcome, r.ResetBy = flow.Reset, flow.Client
		}
		records = append(records, r)
	}
	whole := one(t, fold(DefaultConfig(), records...))
	parts := one(t, fold(DefaultConfig(), records[:4]...))
	parts.merge(one(t, fold(DefaultConfig(), records[4:]...)))
	if a, b := fmt.Sprintf("%+v", *whole.Unanswered), fmt.Sprintf("%+v", *parts.Unanswered); a != b {
		t.Errorf("merged\n%s\none\n%s", b, a)
	}
	if mean, longest := whole.Unanswered.OpenWait(); whole.Unanswered.Open != 3 || longest < mean || mean == 0 {
		t.Errorf("%d open for %d, at most %d", whole.Unanswered.Open, mean, longest)
	}
}

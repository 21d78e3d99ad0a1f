package tcp

import (
	"testing"

	"mirrorscope/packet"
)

// How a connection ends. The client has sent up to position
// firstByte, and so has the server; windows are 65535.
func TestRuleResets(t *testing.T) {
	const rst = packet.RST | ack
	type end struct {
		reset             bool
		by                int
		afterFIN, unacked bool
	}
	tests := []struct {
		name    string
		scene   scene
		packets []pk
		want    end
	}{
		{"at the next octet", scene{}, []pk{{at: 10_000, flags: rst}}, end{true, 0, false, false}},
		{"by the server", scene{}, []pk{{at: 10_000, dir: 1, flags: rst}}, end{true, 1, false, false}},
		{"without ACK", scene{}, []pk{{at: 10_000, flags: packet.RST}}, end{true, 0, false, false}},
		{"within the window", scene{}, []pk{{at: 10_000, flags: rst, seq: firstByte + 65535}}, end{true, 0, false, false}},
		{"behind the window: nothing", scene{}, []pk{{at: 10_000, flags: rst, seq: firstByte + 65536}}, end{}},
		{"before the window: nothing", scene{}, []pk{{at: 10_000, flags: rst, seq: firstByte - 1}}, end{}},
		{"half the sequence space away: nothing", scene{}, []pk{{at: 10_000, flags: rst, seq: firstByte + 1<<31}}, end{}},
		{"while the client's data is not acknowledged", scene{}, []pk{data(10_000, 0), {at: 10_500, dir: 1, flags: rst}}, end{true, 1, false, true}},
		{"while its own data is not acknowledged", scene{}, []pk{data(10_000, 0), {at: 10_500, flags: rst}}, end{true, 0, false, true}},
		{"behind a FIN", scene{}, []pk{
			{at: 10_000, flags: packet.FIN | ack}, {at: 10_500, dir: 1, ack: firstByte + 1}, {at: 11_000, dir: 1, flags: rst},
		}, end{true, 1, true, false}},
		{"the first one counts", scene{}, []pk{{at: 10_000, flags: rst}, {at: 10_500, dir: 1, flags: rst}}, end{true, 0, false, false}},
		{"within a scaled window", scene{scaled: true}, []pk{{at: 10_000, flags: rst, seq: firstByte + 65535*128}}, end{true, 0, false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.scene.play(tt.packets...)
			var got end
			got.reset, got.by, got.afterFIN, got.unacked = p.c.Reset()
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if p.c.Ended() != tt.want.reset {
				t.Errorf("ended: %v", p.c.Ended())
			}
		})
	}
}

// An RST is the refusal of a SYN only if it acknowledges that SYN.
func TestRuleRefused(t *testing.T) {
	const rst = packet.RST | ack
	for _, tt := range []struct {
		name    string
		packets []pk
		want    bool
	}{
		{"of the SYN", []pk{{flags: syn}, {at: 500, dir: 1, flags: rst, ack: 1}}, true},
		{"of a repeated SYN", []pk{{flags: syn}, {at: 1_000_000, flags: syn}, {at: 1_000_500, dir: 1, flags: rst, ack: 1}}, true},
		{"of Fast Open data", []pk{{flags: syn, n: 50}, {at: 500, dir: 1, flags: rst, ack: 51}}, true},
		{"of nothing that was sent", []pk{{flags: syn}, {at: 500, dir: 1, flags: rst, ack: 2}}, false},
		{"without an ACK", []pk{{flags: syn}, {at: 500, dir: 1, flags: packet.RST}}, false},
		{"after the SYN-ACK it is a reset", []pk{{flags: syn}, {at: 500, dir: 1, flags: synack, ack: 1}, {at: 900, dir: 1, flags: rst, seq: 1, ack: 1}}, false},
	} {
		if got := (scene{bare: true}).play(tt.packets...).c.Refused(); got != tt.want {
			t.Errorf("%s: refused %v", tt.name, got)
		}
	}
}

// FINs of both sides close; one alone does not, and data behind it is legal.
func TestRuleClosed(t *testing.T) {
	half := []pk{{at: 10_000, flags: packet.FIN | ack}, {at: 10_500, dir: 1, ack: firstByte + 1}, {at: 20_000, dir: 1, n: 700}, {at: 20_300}}
	p := (scene{}).play(half...)
	if p.c.Closed() || p.c.Ended() {
		t.Error("closed by one FIN")
	}
	if s := told(&p.report(30_000).Sides[1]); s != "" {
		t.Errorf("data of the open half: %s", s)
	}
	p = (scene{}).play(append(half, pk{at: 30_000, dir: 1, flags: packet.FIN | ack}, pk{at: 30_300})...)
	if !p.c.Closed() || !p.c.Ended() {
		t.Error("not closed by both FINs")
	}
}

// What cannot be one stream begins a new count, and is no hole; one packet of it
// may be foreign, a second one behind it is not.
func TestRuleResync(t *testing.T) {
	far := uint32(1<<30 + 70_000)
	p := (scene{}).play(data(10_000, 0), acks(10_500, 1), pk{at: 20_000, seq: far, n: 1000}, pk{at: 20_500, dir: 1, ack: far + 1000}, pk{at: 900_000, seq: far + 1000, n: 1000}, pk{at: 900_500, dir: 1, ack: far + 2000})
	r := p.report(1_000_000)
	sound(t, r)
	if s := told(&r.Sides[0]); s != "strays 1" {
		t.Errorf("told: %s", s)
	}
	if got := r.Sides[0].Recorded; got < 2*fullLen+2*segLen || got > 2*fullLen+2*segLen+1 {
		t.Errorf("%d octets recorded, want %d and perhaps the SYN", got, 2*fullLen+2*segLen)
	}
}

// A cut header, or one that contradicts its length, is no evidence.
func TestRuleBadHeaders(t *testing.T) {
	p := (scene{}).play(data(10_000, 0), acks(10_500, 1))
	want := *p.report(20_000)
	for _, f := range []packet.Flags{packet.HeaderCut, packet.BadHeader} {
		k := packet.Packet{Time: epoch + 15e6, PayloadLen: 1000, Proto: packet.ProtoTCP, Version: 4, Flags: f}
		k.TCP = packet.TCP{Flags: packet.RST | ack, Seq: ruleISN[0] + firstByte + 99, Ack: ruleISN[1] + 99}
		p.c.follow(p.st, &k, 0, 0, &p.o, false)
	}
	if got := *p.report(20_000); got != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if p.c.Ended() {
		t.Error("reset by it")
	}
}

// An RST of another TTL than the host's other packets hints at a middlebox.
func TestRuleForeignRST(t *testing.T) {
	for _, tt := range []struct {
		ttl  uint8
		want bool
	}{{64, false}, {63, false}, {50, true}} {
		p := (scene{}).play()
		k := packet.Packet{Time: epoch + 15e6, Proto: packet.ProtoTCP, Version: 4, TTL: tt.ttl, Position: 1}
		k.TCP = packet.TCP{Flags: packet.RST | ack, Seq: ruleISN[1] + firstByte, Ack: ruleISN[0] + firstByte, Window: 1}
		p.c.follow(p.st, &k, 1, 0, &p.o, false)
		if p.c.RSTForeign() != tt.want {
			t.Errorf("TTL %d: %v", tt.ttl, p.c.RSTForeign())
		}
	}
}

// One packet far beyond the window is foreign: what follows it in order is not
// what fills a hole. Nor may a SACK block lie there.
func TestRuleBeyondTheWindow(t *testing.T) {
	for name, foreign := range map[string]pk{
		"data":     {at: 10_600, seq: pos(1) + 200_000_000, n: 100},
		"bare ACK": {at: 10_600, seq: pos(1) + 200_000_000},
	} {
		p := (scene{}).play(data(10_000, 0), acks(10_500, 1), foreign, data(20_000, 1), acks(20_500, 2), data(30_000, 2), acks(30_500, 3))
		x := p.report(1_000_000).Sides[0]
		if x.Retransmits.Packets != 0 || x.Missed != 0 || x.OutOfOrder.Packets != 0 {
			t.Errorf("%s: %+v", name, x)
		}
	}
	sack := acks(10_500, 0, 100_000, 100_001)
	p := (scene{}).play(data(10_000, 0), sack, acks(10_600, 1), data(20_000, 1), acks(20_500, 2))
	if x := p.report(1_000_000).Sides[0]; x.Retransmits.Packets != 0 || x.Missed != 0 {
		t.Errorf("SACK block: %+v", x)
	}
}

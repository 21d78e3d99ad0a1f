package edge

import (
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
)

// A key has all of what makes a conversation, and nothing of what it was before.
func TestKeyOf(t *testing.T) {
	ends := [2]flow.Endpoint{
		flow.Client: {Addr: packet.Addr{15: 1}, Port: 40_000, HasPort: true},
		flow.Server: {Addr: packet.Addr{15: 2}, Port: 443, HasPort: true},
	}
	k := Key{Network: 9, Client: packet.Addr{1}, Server: packet.Addr{2}, Port: 9, HasPort: false, Proto: 9}
	k.of(3, packet.ProtoTCP, &ends)
	if want := (Key{Network: 3, Client: ends[0].Addr, Server: ends[1].Addr, Port: 443, HasPort: true, Proto: packet.ProtoTCP}); k != want {
		t.Errorf("%+v, want %+v", k, want)
	}
	ends[flow.Server].Port, ends[flow.Server].HasPort = 0, false
	k.of(0, packet.ProtoICMP, &ends)
	if want := (Key{Client: ends[0].Addr, Server: ends[1].Addr, Proto: packet.ProtoICMP}); k != want {
		t.Errorf("%+v, want %+v", k, want)
	}
}

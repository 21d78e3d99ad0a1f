package pcapgen

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// DeployAt is when the order service gets its new version in the capture of Deploy,
// ns since the Unix epoch: 2026-03-03T10:15:00Z.
const DeployAt = 1_772_532_900_000_000_000

// deployAround is how long the capture lasts before the deploy, and after it.
const deployAround = 2 * time.Minute

// Deploy gives four minutes of a few services as the mirror target receives them, and
// the truth about it. In the middle, at DeployAt, order-service gets a new version: it
// takes some 180 ms for what took 12 ms, and answers one request in twelve with 503.
// The same seed gives the same octets.
//
// The gateway calls user-service, which calls order-service and inventory; order-service
// asks PostgreSQL, whose times do not change. All over HTTP/1.1 on connections that are
// kept open, but for the gateway's. The interfaces of the gateway, of order-service and
// of PostgreSQL are mirrored.
func Deploy(seed uint64) ([]Frame, MirrorTruth) {
	host := func(name, ip string, n byte, vni uint32) *Host {
		return &Host{Name: name, IP: IP(ip), MAC: MAC{2, 0, 0, 0x30, 0, n}, VNI: vni, Latency: time.Duration(30+5*int(n)) * time.Microsecond}
	}
	d := &shop{
		Mirror: Mirror{Target: Host{IP: IP("10.30.9.9"), MAC: MAC{2, 0, 0, 0x30, 0, 0x99}}},
		r:      rand.New(rand.NewPCG(seed, 2)), ports: map[netip.Addr]uint16{},
	}
	gateway, orders, postgres := host("gateway", "10.30.0.5", 1, 5101), host("order-1", "10.30.2.21", 2, 5102), host("postgres", "10.30.3.31", 3, 5103)
	users := [2]*Host{host("user-1", "10.30.1.11", 4, 0), host("user-2", "10.30.1.12", 5, 0)}
	inventory := host("inventory", "10.30.2.41", 6, 5104)

	steady := func(low, high time.Duration) func(bool) time.Duration {
		return func(bool) time.Duration { return d.between(low, high) }
	}
	changed := func(after bool) time.Duration {
		if after {
			return d.between(150*time.Millisecond, 210*time.Millisecond)
		}
		return d.between(9*time.Millisecond, 15*time.Millisecond)
	}
	for i, user := range users {
		d.keep(user, orders, 8080, "order-service:8080", 6*time.Second, i, changed, true)
		d.keep(user, inventory, 8080, "inventory:8080", 14*time.Second, i, steady(2*time.Millisecond, 6*time.Millisecond), false)
	}
	for start := DeployAt - deployAround.Nanoseconds() + 1e9; start < DeployAt+deployAround.Nanoseconds()-2e9; start += 4e9 {
		now := start + d.between(0, 900*time.Millisecond).Nanoseconds()
		user := users[d.r.IntN(len(users))]
		c := d.conn(now, gateway, user, 8080, d.localDelay())
		c.Turns = []Turn{{Request: httpGet("user-service:8080", fmt.Sprintf("/users/%d", d.r.IntN(1e5))), Think: changed(now >= DeployAt) + d.between(3*time.Millisecond, 8*time.Millisecond), Response: httpResponse(200, 300)}}
		d.call("gateway to user-service, a connection each", gateway, user, c)
	}
	c := d.conn(DeployAt-deployAround.Nanoseconds()+5e8, orders, postgres, 5432, d.localDelay())
	c.Turns = []Turn{{Request: pgStartup("orders", "order"), Think: 2 * time.Millisecond, Response: pgReady()}}
	for range 80 {
		c.Turns = append(c.Turns, Turn{Pause: d.between(2400*time.Millisecond, 3200*time.Millisecond),
			Request: pgQuery(fmt.Sprintf("SELECT id, total FROM orders WHERE customer = %d", d.r.IntN(1e5))), Think: d.between(time.Millisecond, 4*time.Millisecond), Response: pgRows(2)})
	}
	c.Finish = LeaveOpen
	d.call("pooled PostgreSQL connection", orders, postgres, c)
	return d.Frames()
}

// keep is a connection that is kept open through the deploy, with a request each
// period on the average.
func (s *shop) keep(client, server *Host, port uint16, name string, period time.Duration, i int, think func(after bool) time.Duration, fails bool) {
	c := s.conn(DeployAt-deployAround.Nanoseconds()+int64(i+1)*300e6, client, server, port, s.localDelay())
	end := DeployAt + deployAround.Nanoseconds() - 3e9
	for now := c.Start; ; {
		pause := s.between(period/2/3, period/2)
		if now += pause.Nanoseconds(); now > end {
			break
		}
		after := now >= DeployAt
		t := Turn{Pause: pause, Request: httpGet(name, fmt.Sprintf("/v1/customers/%d", s.r.IntN(1e5))), Think: think(after), Response: httpResponse(200, 150+s.r.IntN(300))}
		if after && fails && s.r.IntN(12) == 0 {
			t.Response = httpResponse(503, 60)
		}
		now += t.Think.Nanoseconds()
		c.Turns = append(c.Turns, t)
	}
	c.Finish = FINByClient
	s.call("HTTP/1.1 on a connection that is kept open", client, server, c)
}

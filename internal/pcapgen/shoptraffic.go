package pcapgen

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// pools are the connections that services keep open to their stores for the
// whole minute.
func (s *shop) pools() {
	for i, client := range []*Host{s.catalogue, s.catalogue, s.payments} {
		c := s.conn(at(time.Duration(100+30*i)*time.Millisecond), client, s.postgres, 5432, s.localDelay())
		c.Turns = []Turn{{Request: pgStartup("shop", client.Name), Think: s.between(time.Millisecond, 3*time.Millisecond), Response: pgReady()}}
		for range 18 {
			c.Turns = append(c.Turns, Turn{Pause: s.between(1500*time.Millisecond, 3500*time.Millisecond),
				Request: pgQuery(fmt.Sprintf("SELECT id, name, price FROM items WHERE category = %d LIMIT 20", s.r.IntN(40))),
				Think:   s.between(400*time.Microsecond, 6*time.Millisecond), Response: pgRows(3 + s.r.IntN(12))})
		}
		c.Finish = FINByClient
		note := "pooled PostgreSQL connection"
		if i == 1 {
			c.Finish, note = LeaveOpen, "pooled PostgreSQL connection that is still open at the end"
		}
		s.call(note, client, s.postgres, c)
	}
	c := s.conn(at(150*time.Millisecond), s.cart, s.redis, 6379, s.localDelay())
	for i := range 40 {
		key := fmt.Sprintf("cart:%06d", s.r.IntN(1e6))
		c.Turns = append(c.Turns, Turn{Pause: s.between(600*time.Millisecond, 1700*time.Millisecond), Request: respCommand("GET", key),
			Think: s.between(20*time.Microsecond, 200*time.Microsecond), Response: respBulk(fmt.Sprintf(`{"items":%d}`, i%7))})
	}
	s.call("redis, mirrored at the client only", s.cart, s.redis, c)
}

// shoppers come one after the other, and each makes the web servers call the
// services.
func (s *shop) shoppers() {
	for i := range 22 {
		start := at(time.Duration(i)*2650*time.Millisecond + s.between(0, 900*time.Millisecond))
		shopper := &Host{Name: "shopper", IP: netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + s.r.IntN(40))}), MAC: routerMAC}
		web := s.web[i%2]
		s.shopper(i, start, shopper, web)
		now := start + s.between(120*time.Millisecond, 200*time.Millisecond).Nanoseconds()
		if i%2 == 0 {
			s.lookup(now, web, "catalogue.shop.internal", s.catalogue.IP)
		}
		now = s.browse(i, now, web)
		now = s.fill(i, now, web)
		if i%3 == 0 {
			s.pay(now, web)
		}
	}
}

// shopper is the connection from outside, mirrored at the web server.
func (s *shop) shopper(i int, start int64, shopper, web *Host) {
	c := s.conn(start, shopper, web, 443, s.between(8*time.Millisecond, 45*time.Millisecond))
	h, note := s.tls[0], "shopper, TLS 1.3"
	if i%7 == 3 {
		h, note = s.tls[2], "shopper, TLS 1.3 with a HelloRetryRequest"
	}
	c.Turns = h.Turns(s.r, s.between(300*time.Microsecond, 900*time.Microsecond))
	for range 2 + i%2 {
		c.Turns = append(c.Turns, Turn{Pause: s.between(5*time.Millisecond, 300*time.Millisecond), Request: TLSData(s.r, 250+s.r.IntN(300)),
			Think: s.between(15*time.Millisecond, 60*time.Millisecond), Response: TLSData(s.r, 2000+s.r.IntN(9000))})
	}
	c.Linger = s.between(50*time.Millisecond, 800*time.Millisecond)
	switch i {
	case 4:
		c.Fates, note = []Fate{{From: Server, Kind: DataPacket, N: 5, Where: 0}}, note+", a segment of the server lost on the way to the shopper"
	case 9:
		c.Fates, note = []Fate{{From: Client, Kind: DataPacket, N: 3, Where: 0}}, note+", a segment of the shopper lost on the way to the web server"
	case 13:
		c.Finish, note = RSTByClient, note+", reset by the shopper"
	}
	s.record(note, shopper, web, c, h)
}

// record adds a connection with the truth about its TLS handshake.
func (s *shop) record(note string, client, server *Host, c Conn, h Handshake) int64 {
	rec := c.Record()
	for i := range rec.Truths {
		rec.Truths[i].TLS = &TLSTruth{Version: h.Version, SNI: h.SNI, ALPN: h.ALPN}
	}
	s.Add(note, client, server, rec)
	return rec.Packets[len(rec.Packets)-1].Time
}

// browse calls the catalogue, and sometimes the catalogue the reviews.
func (s *shop) browse(i int, now int64, web *Host) int64 {
	c := s.conn(now, web, s.catalogue, 8080, s.localDelay())
	note := "catalogue over HTTP/1.1, mirrored at both ends"
	for page := range 2 {
		c.Turns = append(c.Turns, Turn{Pause: s.between(0, 2*time.Millisecond), Request: httpGet("catalogue.shop.internal:8080", fmt.Sprintf("/items?page=%d", page+1)),
			Think: s.between(3*time.Millisecond, 12*time.Millisecond), Response: httpResponse(200, 1500+s.r.IntN(5000))})
	}
	switch i {
	case 6:
		c.Fates, note = []Fate{{From: Server, Kind: DataPacket, N: 1, Where: 1}}, note+", a segment of the catalogue lost between the two points"
	case 11:
		c.Fates, note = []Fate{{From: Client, Kind: SYNPacket, N: 0, Where: 1}}, note+", the first SYN lost between the two points"
	case 15:
		c.Turns[1].Response, note = httpResponse(503, 60), note+", answered by an error"
	}
	end := s.call(note, web, s.catalogue, c)
	if i%5 == 2 {
		v6 := s.conn(now+(2*time.Millisecond).Nanoseconds(), s.catalogue, s.reviews, 8080, s.localDelay())
		v6.Client, v6.Server = netip.AddrPortFrom(s.catalogue.IPv6, v6.Client.Port()), netip.AddrPortFrom(s.reviews.IPv6, 8080)
		v6.Turns = []Turn{{Request: httpGet("reviews.shop.internal:8080", "/reviews?item=7"), Think: 2 * time.Millisecond, Response: httpResponse(200, 2500)}}
		s.call("reviews over IPv6, mirrored at the client only", s.catalogue, s.reviews, v6)
	}
	return end
}

// fill puts something into the cart.
func (s *shop) fill(i int, now int64, web *Host) int64 {
	c := s.conn(now, web, s.cart, 8080, s.localDelay())
	c.Turns = []Turn{{Request: httpPost("cart.shop.internal:8080", "/cart", `{"item":7,"count":1}`), Think: s.between(time.Millisecond, 4*time.Millisecond), Response: httpResponse(201, 80)}}
	note := "cart over HTTP/1.1, mirrored at both ends"
	if i == 8 {
		c.Finish, c.Turns[0].Response, note = RSTByServer, nil, note+", reset by the cart instead of an answer"
	}
	return s.call(note, web, s.cart, c)
}

// payThink is what payments takes: the slow service of the shop.
const payThink = 800 * time.Millisecond

func (s *shop) pay(now int64, web *Host) {
	c := s.conn(now, web, s.payments, 8443, s.localDelay())
	h := s.tls[1]
	c.Turns = append(h.Turns(s.r, s.between(900*time.Microsecond, 2*time.Millisecond)),
		Turn{Request: TLSData(s.r, 600), Think: payThink, Response: TLSData(s.r, 400)})
	s.record("payments over TLS 1.2, slow to answer, mirrored at both ends", web, s.payments, c, h)
}

// lookup asks the resolver.
func (s *shop) lookup(now int64, client *Host, name string, answer netip.Addr) {
	q := DNSQuery(uint16(s.r.Uint32()), name, TypeA)
	d := s.datagrams(now, client, s.dns, 53, Turn{Request: q, Think: s.between(100*time.Microsecond, 2*time.Millisecond), Response: DNSResponse(q, 0, 5, answer)})
	s.Add("DNS", client, s.dns, d.Record())
}

func (s *shop) datagrams(start int64, client, server *Host, port uint16, turns ...Turn) Datagrams {
	return Datagrams{
		Client: netip.AddrPortFrom(client.IP, s.port(client.IP)), Server: netip.AddrPortFrom(server.IP, port), Start: start,
		Path: s.Path(client, server, s.localDelay()), IPID: [2]uint16{uint16(s.r.Uint32()), uint16(s.r.Uint32())}, Turns: turns,
	}
}

// troubles are the connections that go wrong.
func (s *shop) troubles() {
	metrics := func(client *Host, start time.Duration) Conn {
		c := s.conn(at(start), client, s.catalogue, 9090, s.localDelay())
		c.Service = Refusing
		return c
	}
	s.call("refused: nothing listens on the port", s.cart, s.catalogue, metrics(s.cart, 12*time.Second))
	s.call("refused: nothing listens on the port", s.cart, s.catalogue, metrics(s.cart, 27*time.Second))

	silent := s.conn(at(20*time.Second), s.web[0], s.nobody, 8443, s.localDelay())
	silent.Service = Silent
	s.call("blackholed: no answer to any SYN", s.web[0], s.nobody, silent)

	lost := s.conn(at(31*time.Second), s.web[1], &Host{Name: "retired", IP: IP("10.20.8.8")}, 80, s.localDelay())
	lost.Service, lost.Router = NoRouteBack, IP("10.20.1.1")
	s.call("unreachable: a router says so", s.web[1], s.nobody, lost)

	late := s.conn(at(37*time.Second), s.web[0], s.cart, 8080, s.localDelay())
	late.Turns = []Turn{{Request: httpGet("cart.shop.internal:8080", "/health"), Think: time.Millisecond, Response: httpResponse(200, 20)}}
	late.Fates = []Fate{{From: Server, Kind: SYNPacket, N: 0, Where: 1}}
	s.call("the first SYN-ACK lost between the two points", s.web[0], s.cart, late)
}

// noise is what else a mirror target gets.
func (s *shop) noise() {
	texts := make([]string, 9)
	for i := range texts {
		texts[i] = fmt.Sprintf("v=key%d; p=%s", i, strings.Repeat("MIGf", 48))
	}
	for i := range 2 {
		q := DNSQuery(uint16(s.r.Uint32()), "keys.shop.example", TypeTXT)
		d := s.datagrams(at(time.Duration(9+20*i)*time.Second), s.payments, s.dns, 53, Turn{Request: q, Think: 3 * time.Millisecond, Response: DNSText(q, 300, texts...)})
		d.MTU = 1500
		s.Add("DNS answer in IP fragments", s.payments, s.dns, d.Record())
	}
	syslog := s.datagrams(at(44*time.Second), s.cart, s.catalogue, 514, Turn{Request: []byte("<13>cart: 3 items left")})
	syslog.Refused = true
	s.Add("syslog to a port where nothing listens", s.cart, s.catalogue, syslog.Record())

	ping := Pings{Client: s.web[0].IP, Server: s.cart.IP, Start: at(5 * time.Second), ID: 77, Count: 10, Interval: 5 * time.Second, Size: 56, Path: s.Path(s.web[0], s.cart, s.localDelay())}
	s.Add("ping, mirrored at both ends", s.web[0], s.cart, ping.Record())

	for i := range 6 {
		s.AddFrame(at(time.Duration(10*i)*time.Second+77*time.Millisecond), Build(
			Ethernet{Src: routerMAC, Dst: MAC{255, 255, 255, 255, 255, 255}, Pad: true}, ARP{SenderMAC: routerMAC, Sender: IP("10.20.9.1"), Target: s.Target.IP}))
	}
}

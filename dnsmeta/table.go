package dnsmeta

import (
	"bytes"
	"cmp"
	"slices"

	"mirrorscope/histogram"
	"mirrorscope/packet"
)

// Bounds of a Table, where its maker names none.
const (
	MaxRows    = 1 << 14
	MaxServers = 1 << 12
)

// Table sums what many flows told, by server, query name and type. It is owned
// by one goroutine.
type Table struct {
	NoRow    int64 // names of an Info that found no row: their counts are in Other of their server
	NoServer int64 // Infos whose server found no place: nothing of them but Other is kept
	Other    Counts

	maxRows, maxServers int
	rows                map[rowKey]*Row
	servers             map[serverKey]*Server
}

type serverKey struct {
	server  packet.Addr
	network packet.NetworkID
	proto   Protocol
}

type rowKey struct {
	serverKey
	name string
	typ  uint16
}

// Row is one query name and type at one server.
type Row struct {
	Server   packet.Addr
	Network  packet.NetworkID
	Protocol Protocol
	Name
}

// Server is all that one server got.
type Server struct {
	Server  packet.Addr
	Network packet.NetworkID
	Info    // without Names; Other holds what no row has
}

// NewTable makes a table with bounds; 0 is MaxRows and MaxServers.
func NewTable(rows, servers int) *Table {
	if rows <= 0 {
		rows = MaxRows
	}
	if servers <= 0 {
		servers = MaxServers
	}
	return &Table{maxRows: rows, maxServers: servers, rows: make(map[rowKey]*Row), servers: make(map[serverKey]*Server)}
}

// Add takes what a flow with a server told.
func (t *Table) Add(server packet.Addr, network packet.NetworkID, i *Info) {
	key := serverKey{server, network, i.Protocol}
	s := t.servers[key]
	if s == nil {
		if len(t.servers) >= t.maxServers {
			t.NoServer++
			t.Other.add(&i.Counts)
			return
		}
		s = &Server{Server: server, Network: network}
		t.servers[key] = s
	}
	sums := *i // shares the buckets, which Merge only reads
	sums.Names = nil
	s.Merge(&sums)
	for k := range i.Names {
		n := &i.Names[k]
		r := t.row(key, n.Name, n.Type)
		if r == nil {
			t.NoRow++
			s.Other.add(&n.Counts)
			continue
		}
		r.Counts.add(&n.Counts)
		merge(&r.Time, &n.Time, maxNameBuckets)
	}
}

// row gives the row of a name, nil where there is no room.
func (t *Table) row(s serverKey, name string, typ uint16) *Row {
	key := rowKey{s, name, typ}
	r := t.rows[key]
	if r == nil && len(t.rows) < t.maxRows {
		r = &Row{Server: s.server, Network: s.network, Protocol: s.proto, Name: Name{Name: name, Type: typ}}
		t.rows[key] = r
	}
	return r
}

// Rows lends all rows, those with the most queries first, until the next Add.
func (t *Table) Rows() []*Row {
	rows := make([]*Row, 0, len(t.rows))
	for _, r := range t.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *Row) int {
		return cmp.Or(
			cmp.Compare(b.Queries, a.Queries),
			bytes.Compare(a.Server[:], b.Server[:]),
			cmp.Compare(a.Network, b.Network),
			cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.Name.Name, b.Name.Name),
			cmp.Compare(a.Type, b.Type),
		)
	})
	return rows
}

// Servers lends the sums of all servers, those with the most queries first,
// until the next Add.
func (t *Table) Servers() []*Server {
	servers := make([]*Server, 0, len(t.servers))
	for _, s := range t.servers {
		servers = append(servers, s)
	}
	slices.SortFunc(servers, func(a, b *Server) int {
		return cmp.Or(
			cmp.Compare(b.Queries, a.Queries),
			bytes.Compare(a.Server[:], b.Server[:]),
			cmp.Compare(a.Network, b.Network),
			cmp.Compare(a.Protocol, b.Protocol),
		)
	})
	return servers
}

// Reset empties the table.
func (t *Table) Reset() {
	clear(t.rows)
	clear(t.servers)
	t.NoRow, t.NoServer, t.Other = 0, 0, Counts{}
}

// Times gives the median and the 95th percentile of response times, ns. ok is
// false when there is none.
func Times(h *histogram.Histogram) (p50, p95 float64, ok bool) {
	p50, ok = h.Quantile(0.5)
	p95, _ = h.Quantile(0.95)
	return p50, p95, ok
}

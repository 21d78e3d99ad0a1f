package nic

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Guard is an interface kept silent, see GuardConfig.
type Guard struct {
	ifname string
	kept   bool     // there was a guard before, which stays
	before *Applied // IPv6
	egress bool
}

// InstallGuard makes the table of GuardScript, and switches IPv6 off unless the
// interface is shared. It needs CAP_NET_ADMIN. Until the interface vanishes the
// guard stays, whatever becomes of the process, or until Close. A guard that is
// there already is replaced without a gap, and Close then leaves one behind.
//
// The error wraps ErrReachable if this machine is reached by an interface that
// is not shared, as CanSilence tells.
func InstallGuard(ifname string, c GuardConfig) (*Guard, error) {
	g := &Guard{ifname: ifname}
	if err := g.install(c); err != nil {
		return nil, fmt.Errorf("guard of %s: %w", ifname, err)
	}
	return g, nil
}

func (g *Guard) install(c GuardConfig) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := CanSilence(g.ifname, c); err != nil {
		return err
	}
	kernel, err := Kernel()
	if err != nil {
		return err
	}
	g.egress = HasEgress(kernel)
	if !c.Shared {
		on := Change{Setting: SetIPv6, From: "on", To: "off", Interface: g.ifname}
		if off, err := readSwitch("ipv6", g.ifname, "disable_ipv6"); err == nil && !off {
			if g.before, err = Apply([]Change{on}); err != nil {
				return err
			}
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := g.makeTable(c); err != nil {
		return errors.Join(err, g.restore())
	}
	return nil
}

// CanSilence tells whether the interface may be given that guard. The error
// wraps unix.ENODEV, ErrReachable with what would be cut off, or what kept it
// from finding out. Where a guard drops everything already, as far as this
// process may look, another one cuts nothing off.
func CanSilence(ifname string, c GuardConfig) error {
	f, err := Inspect(ifname)
	if err != nil {
		return err
	}
	if c.Shared {
		return nil
	}
	why := f.reachedBy()
	unknown := f.unknownReach()
	if why == "" && unknown == "" {
		return nil
	}
	if g, err := readGuard(ifname); err == nil && g.whole {
		return nil
	}
	if why != "" {
		return fmt.Errorf("%w: %s", ErrReachable, why)
	}
	return errors.New(unknown)
}

// makeTable sends one transaction: the table is there as a whole or not at all.
func (g *Guard) makeTable(c GuardConfig) error {
	nft, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	if g.kept, err = hasTable(nft, g.ifname); err != nil {
		return err
	}
	table := guardTable(g.ifname)
	nft.AddTable(table)
	nft.DelTable(table)
	nft.AddTable(table)
	in := nft.AddChain(g.chain(table, "in", nftables.ChainHookIngress))
	if c.Shared {
		for _, port := range c.Ports {
			nft.AddRule(&nftables.Rule{Table: table, Chain: in, Exprs: dropTransport(unix.IPPROTO_UDP, port)})
		}
		for _, protocol := range greMirrors {
			nft.AddRule(&nftables.Rule{Table: table, Chain: in, Exprs: dropTransport(unix.IPPROTO_GRE, protocol)})
		}
	} else {
		nft.AddRule(&nftables.Rule{Table: table, Chain: in, Exprs: dropAll()})
		if g.egress {
			out := nft.AddChain(g.chain(table, "out", nftables.ChainHookEgress))
			nft.AddRule(&nftables.Rule{Table: table, Chain: out, Exprs: dropAll()})
		}
	}
	if err := nft.Flush(); err != nil {
		return fmt.Errorf("make table %s: %w", table.Name, err)
	}
	return nil
}

func guardTable(ifname string) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyNetdev, Name: tableName(ifname)}
}

func (g *Guard) chain(t *nftables.Table, name string, hook *nftables.ChainHook) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook,
		Priority: nftables.ChainPriorityFilter, Device: g.ifname, Policy: &accept,
	}
}

func dropAll() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

// dropTransport drops packets of a protocol, IPv4 and IPv6, whose third and
// fourth octet are value: the destination port of UDP, the protocol of GRE.
func dropTransport(protocol byte, value uint16) []expr.Any {
	return append([]expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(value)},
	}, dropAll()...)
}

func hasTable(nft *nftables.Conn, ifname string) (bool, error) {
	tables, err := nft.ListTablesOfFamily(nftables.TableFamilyNetdev)
	if err != nil {
		return false, fmt.Errorf("list tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == tableName(ifname) {
			return true, nil
		}
	}
	return false, nil
}

// Interface is its name.
func (g *Guard) Interface() string { return g.ifname }

// Egress tells whether what is sent is dropped as well: the kernel is 5.16 or
// later.
func (g *Guard) Egress() bool { return g.egress }

// Close takes the guard away, and puts IPv6 back, unless it was there before.
// It needs CAP_NET_ADMIN: a process that has dropped it gets unix.EPERM and
// leaves the interface silent.
func (g *Guard) Close() error {
	if g.kept {
		return nil
	}
	if err := RemoveGuard(g.ifname); err != nil {
		return err
	}
	if err := g.restore(); err != nil {
		return fmt.Errorf("guard of %s: %w", g.ifname, err)
	}
	return nil
}

func (g *Guard) restore() error {
	if g.before == nil {
		return nil
	}
	err := g.before.Restore()
	if errors.Is(err, unix.ENODEV) {
		return nil // the interface has gone, and its settings with it
	}
	return err
}

// RemoveGuard takes a guard away, whoever installed it.
func RemoveGuard(ifname string) error {
	nft, err := nftables.New()
	if err != nil {
		return fmt.Errorf("guard of %s: nftables: %w", ifname, err)
	}
	there, err := hasTable(nft, ifname)
	if err != nil {
		return fmt.Errorf("guard of %s: %w", ifname, err)
	}
	if !there {
		return nil
	}
	nft.DelTable(guardTable(ifname))
	if err := nft.Flush(); err != nil {
		return fmt.Errorf("guard of %s: delete table %s: %w", ifname, tableName(ifname), err)
	}
	return nil
}

func readGuard(ifname string) (g inPlace, err error) {
	nft, err := nftables.New()
	if err != nil {
		return g, fmt.Errorf("nftables: %w", err)
	}
	if there, err := hasTable(nft, ifname); err != nil || !there {
		return g, err
	}
	chains, err := nft.ListChainsOfTableFamily(nftables.TableFamilyNetdev)
	if err != nil {
		return g, fmt.Errorf("list chains: %w", err)
	}
	// Before kernel 6.16 the chains go with the interface, and the table stays.
	for _, chain := range chains {
		if chain.Table.Name != tableName(ifname) {
			continue
		}
		rules, err := nft.GetRules(guardTable(ifname), chain)
		if err != nil {
			return g, fmt.Errorf("list rules: %w", err)
		}
		for _, rule := range rules {
			for _, e := range rule.Exprs {
				c, ok := e.(*expr.Counter)
				switch {
				case !ok:
				case chain.Name == "in":
					g.drops.In, g.there = g.drops.In+c.Packets, true
					g.whole = g.whole || len(rule.Exprs) == len(dropAll())
				case chain.Name == "out":
					g.drops.Out += c.Packets
				}
			}
		}
	}
	return g, nil
}

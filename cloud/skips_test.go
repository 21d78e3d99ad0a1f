package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// metering is a Source that tells what mirrors left out.
type metering struct {
	scripted
	mu    sync.Mutex
	asked [][]string
	skips func(ids []string, from, to time.Time) ([]Skip, error)
}

func (m *metering) Skips(_ context.Context, ids []string, from, to time.Time) ([]Skip, error) {
	m.mu.Lock()
	m.asked = append(m.asked, ids)
	m.mu.Unlock()
	return m.skips(ids, from, to)
}

// questions gives what was asked so far.
func (m *metering) questions() [][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

var (
	senderA = netip.MustParseAddr("10.0.0.1")
	senderB = netip.MustParseAddr("10.0.0.2")
	sensor  = netip.MustParseAddr("10.0.9.9")
)

// machines are two that send mirrored packets, each with a secondary address.
func twoMachines() *Snapshot {
	return &Snapshot{Interfaces: []Interface{
		{ID: "eni-a", Instance: "i-a", Network: Named{ID: "vpc"}, Addresses: []netip.Addr{senderA, netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("2001:db8::1")}},
		{ID: "eni-b", Instance: "i-b", Network: Named{ID: "vpc"}, Addresses: []netip.Addr{senderB}},
		{ID: "eni-lb", Kind: KindLoadBalancer, Network: Named{ID: "vpc"}, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.3")}},
	}}
}

func known(n uint64) Count { return Count{n, true} }

// TestSkips: only instances that are seen are asked for; each period counts once,
// however often it is told, and what is told late fills its gap.
func TestSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().UTC() // midnight, as synctest begins
		late := start.Add(10 * time.Minute)
		m := &metering{scripted: scripted{name: "aws/1/eu", fetch: func(context.Context) (*Snapshot, error) { return twoMachines(), nil }}}
		m.skips = func(ids []string, from, to time.Time) (list []Skip, _ error) {
			if from.Before(start) || from.Unix()%300 != 0 || to.After(time.Now().Add(-settled)) {
				t.Errorf("asked for %v to %v", from, to)
			}
			for at := from; at.Before(to); at = at.Add(SkipPeriod) {
				if at.Equal(late) && time.Now().Before(late.Add(26*time.Minute)) {
					continue
				}
				for _, id := range ids {
					list = append(list, Skip{Instance: id, From: at, Packets: known(3), Bytes: known(1000)})
				}
			}
			return append(list, Skip{Instance: "i-unknown", From: from, Packets: known(1)}, Skip{Instance: "i-a", From: from.Add(-SkipPeriod), Packets: known(99)}), nil
		}
		k, _, _, stop := keeper(t, config(""), m)
		defer stop()
		synctest.Wait()
		if _, ok := k.Skipped(senderA, sensor); ok {
			t.Error("known before it was asked for")
		}
		for range 35 {
			time.Sleep(time.Minute)
			k.Skipped(senderA, sensor)
		}
		got, ok := k.Skipped(senderA, sensor)
		// The latest question is up to five and a half minutes old, the periods that it asked for as
		// much older as they need to settle, and of four one has no answer yet.
		periods := uint64(got.To.Sub(got.From)/SkipPeriod) - uint64(got.Gaps/SkipPeriod)
		if !ok || got.Instance != "i-a" || got.From != start || got.Packets != known(3*periods) || got.Bytes != known(1000*periods) || got.Gaps != SkipPeriod || periods < 3 {
			t.Errorf("%+v, %v: %d periods", got, ok, periods)
		}
		for range 25 {
			time.Sleep(time.Minute)
			k.Skipped(sensor, senderA)
		}
		got, _ = k.Skipped(sensor, senderA)
		periods = uint64(got.To.Sub(got.From) / SkipPeriod)
		if got.Gaps != 0 || got.Packets != known(3*periods) || periods < 9 {
			t.Errorf("%+v: %d periods", got, periods)
		}
		for _, ids := range m.questions() {
			if len(ids) != 1 || ids[0] != "i-a" {
				t.Errorf("asked for %v, and only i-a is seen", ids)
			}
		}
		if list, errs := k.AllSkipped(); len(list) != 1 || list[0] != got || len(errs) != 0 {
			t.Errorf("%+v, %v", list, errs)
		}
		// Nobody wants to know any more: it is forgotten.
		asked := len(m.questions())
		time.Sleep(3 * time.Hour)
		if list, _ := k.AllSkipped(); len(list) != 0 || len(m.questions()) > asked+14 {
			t.Errorf("%+v after %d further questions", list, len(m.questions())-asked)
		}
	})
}

// TestSkipsUnknown: what is not known is not 0, and whose it is must be certain.
func TestSkipsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Pointer[Trouble] // nil: it goes well
		one := &metering{scripted: scripted{name: "aws/1/eu", fetch: func(context.Context) (*Snapshot, error) { return twoMachines(), nil }}}
		one.skips = func(ids []string, from, _ time.Time) (list []Skip, _ error) {
			for _, id := range ids {
				if id == "i-a" {
					list = append(list, Skip{Instance: id, From: from, Bytes: known(0)}) // packets are not told
				} else {
					list = append(list, Skip{Instance: id, From: from}) // nothing is
				}
			}
			if f := fail.Load(); f != nil {
				return list, f
			}
			return list, nil
		}
		// Another network with the address of i-b.
		two := &metering{scripted: scripted{name: "aws/2/eu", fetch: func(context.Context) (*Snapshot, error) {
			return &Snapshot{Interfaces: []Interface{{ID: "x", Instance: "i-x", Addresses: []netip.Addr{senderB}}}}, nil
		}}, skips: one.skips}
		k, _, log, stop := keeper(t, config(""), one, two)
		defer stop()
		look := func(a, b netip.Addr) (Skipped, bool) {
			for range 20 {
				time.Sleep(time.Minute)
				k.Skipped(a, b)
			}
			return k.Skipped(a, b)
		}
		if got, ok := look(netip.AddrFrom16(senderA.As16()), sensor); !ok || got.Packets.Known || got.Bytes != known(0) {
			t.Errorf("bytes alone: %+v, %v", got, ok)
		}
		if got, ok := look(netip.MustParseAddr("2001:db8::1"), sensor); !ok || got.Instance != "i-a" {
			t.Errorf("primary IPv6 address: %+v, %v", got, ok)
		}
		for _, a := range []string{"10.0.0.2", "10.0.0.11", "10.0.0.3", "192.0.2.1"} {
			if got, ok := look(netip.MustParseAddr(a), sensor); ok {
				t.Errorf("%s (of two, secondary, of no instance, of nobody) gives %+v", a, got)
			}
		}
		if got, ok := look(sensor, senderA); !ok || got.Instance != "i-a" {
			t.Errorf("swapped: %+v, %v", got, ok)
		}
		fail.Store(&Trouble{Doing: "read metrics", Err: errors.New("not authorized"), Mend: "allow cloudwatch:GetMetricData"})
		if got, ok := look(senderA, sensor); !ok || got.Instance != "i-a" {
			t.Errorf("what was known went with an error: %+v, %v", got, ok)
		}
		if _, errs := k.AllSkipped(); errs["aws/1/eu"] == nil || log.count("cannot be read") != 1 {
			t.Errorf("%v; the log: %q", errs, log.lines)
		}
	})
}

// TestSkipsBounded: more senders than are asked for.
func TestSkipsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		snap := &Snapshot{}
		for i := range maxMetered + 50 {
			snap.Interfaces = append(snap.Interfaces, Interface{ID: fmt.Sprint(i), Instance: fmt.Sprint("i-", i), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}})
		}
		m := &metering{scripted: scripted{name: "aws/1/eu", fetch: func(context.Context) (*Snapshot, error) { return snap, nil }}}
		m.skips = func([]string, time.Time, time.Time) ([]Skip, error) { return nil, nil }
		k, _, log, stop := keeper(t, config(""), m)
		defer stop()
		synctest.Wait()
		for i := range snap.Interfaces {
			k.Skipped(snap.Interfaces[i].Addresses[0], sensor)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if len(m.questions()) == 0 || len(m.questions()[0]) != maxMetered || log.count("more instances") != 1 {
			t.Errorf("%d questions; the log: %q", len(m.questions()), log.lines)
		}
	})
}

package nic

import (
	"fmt"
	"slices"
	"strings"
)

// Examine judges an interface for its use: a Finding for each thing that
// matters, in the order in which a frame meets it. A Mend that Apply can make
// is the Command of a Change of Plan.
func Examine(f *Facts, u Use) []Finding {
	e := examiner{f: f, u: u, plan: Plan(f, u)}
	e.link()
	if f.Kind == loopback {
		e.add(Warning, "driver", "is the loopback device", "no mirror sends there, and each packet is seen twice", "name the interface that the mirror sends to")
		return e.findings
	}
	e.driver()
	e.mtu()
	e.promiscuous()
	e.offloads()
	e.ring()
	e.queues()
	e.hash()
	e.xdp()
	e.timestamps()
	e.silence()
	e.forwarding()
	return e.findings
}

type examiner struct {
	f        *Facts
	u        Use
	plan     []Change
	findings []Finding
}

func (e *examiner) add(l Level, about, found, why, mend string) {
	e.findings = append(e.findings, Finding{Level: l, About: about, Found: found, Why: why, Mend: mend})
}

// change gives the planned change of a setting.
func (e *examiner) change(s Setting) (Change, bool) {
	i := slices.IndexFunc(e.plan, func(c Change) bool { return c.Setting == s })
	if i < 0 {
		return Change{}, false
	}
	return e.plan[i], true
}

// planned adds a finding for a change that is planned, else one that all is
// well.
func (e *examiner) planned(l Level, s Setting, bad, good string) {
	if c, ok := e.change(s); ok {
		e.add(l, string(s), bad, c.Why, c.Command())
	} else if good != "" {
		e.add(OK, string(s), good, "", "")
	}
}

func (e *examiner) unknown(subject, found, why string) bool {
	reason, unknown := e.f.Unknown[subject]
	if unknown {
		e.add(Note, subject, found+" ("+reason+")", why, "")
	}
	return unknown
}

func (e *examiner) link() {
	f := e.f
	switch {
	case !f.Up:
		e.add(Error, "link", "is down", "nothing arrives", fmt.Sprintf("ip link set %s up", f.Name))
	case !f.Carrier:
		e.add(Error, "link", "is up and has no carrier", "nothing can arrive", "connect the cable or the virtual NIC, or set up the other end")
	default:
		e.add(OK, "link", "is up", "", "")
	}
}

func (e *examiner) driver() {
	f := e.f
	if e.unknown("driver", "the driver does not tell its name", "what it loses and what XDP it runs is then not known") {
		return
	}
	text := f.Driver
	if f.DriverVersion != "" {
		text += " " + f.DriverVersion
	}
	switch {
	case f.Driver == "hv_netvsc" && len(f.Slaves) > 0:
		e.add(Note, "driver", fmt.Sprintf("%s over %s", text, strings.Join(f.Slaves, ", ")),
			"AF_PACKET sees all frames here; AF_XDP sees those of the virtual function only on that interface, which the cloud takes away for maintenance", "")
	case f.Master != "":
		e.add(Warning, "driver", fmt.Sprintf("%s, part of %s", text, f.Master), "frames may come in by the other parts as well", "capture on "+f.Master)
	case f.Kind == "bond" || f.Kind == "team":
		e.add(Note, "driver", fmt.Sprintf("%s over %s", f.Kind, strings.Join(f.Slaves, ", ")), "offloads and rings are those of its parts: check them, too", "")
	default:
		e.add(OK, "driver", fmt.Sprintf("%s (%s)", text, f.Kind), "", "")
	}
}

func (e *examiner) mtu() {
	f, u := e.f, e.u
	whole := f.MTU - overheadIPv4
	tunnelled := fmt.Sprintf("%d: mirrored packets of up to %d octets fit with a tunnel around them (%d over IPv6)", f.MTU, whole, f.MTU-overheadIPv6)
	why := "AWS cuts what is longer, and others drop it or send it in fragments"
	switch c, ok := e.change(SetMTU); {
	case ok:
		e.add(Warning, "mtu", tunnelled, c.Why+"; "+why, c.Command())
	case u.Mirror == MirrorPort:
		e.add(OK, "mtu", fmt.Sprintf("%d: mirrored packets of up to that arrive", f.MTU), "", "")
	case u.SourceMTU > f.MTU-overheadIPv6:
		e.add(Warning, "mtu", tunnelled, fmt.Sprintf("the sources have %d, and the driver takes no more than %d; %s", u.SourceMTU, f.MaxMTU, why), "lower the MTU of the sources")
	case u.Mirror == MirrorTunnel && whole < 1500:
		mtu := 9001
		if f.MaxMTU > 0 {
			mtu = min(mtu, f.MaxMTU)
		}
		e.add(Warning, "mtu", tunnelled, "packets of 1500 octets are the least that any source sends; "+why, fmt.Sprintf("ip link set %s mtu %d", f.Name, mtu))
	default:
		e.add(OK, "mtu", tunnelled, "", "")
	}
	if x := f.XDP; u.AFXDP && x.Native == Yes && x.MultiBuffer != Yes && x.MaxMTU > 0 && f.MTU > x.MaxMTU {
		level := Warning
		if u.Native {
			level = Error
		}
		e.add(level, "mtu_xdp", fmt.Sprintf("%d, and XDP in this driver takes up to %d", f.MTU, x.MaxMTU),
			"the driver refuses the program: AF_XDP is then the generic one, or AF_PACKET takes over", fmt.Sprintf("ip link set %s mtu %d, if the sources' packets fit; else capture with AF_PACKET", f.Name, x.MaxMTU))
	}
}

func (e *examiner) promiscuous() {
	switch {
	case e.u.Mirror == MirrorTunnel:
		e.add(OK, "promiscuous", onOff(e.f.Promiscuous)+": not needed, mirrored frames bear this interface's address", "", "")
	case e.u.Promiscuous && !e.f.Promiscuous:
		e.add(OK, "promiscuous", "off: the capture switches it on while it runs", "", "")
	case e.u.Mirror == MirrorPort:
		e.planned(Warning, SetPromiscuous, "off", "on")
	case !e.f.Promiscuous:
		e.add(Note, "promiscuous", "off", "a SPAN port's frames bear the addresses of others and are seen only when it is on; tunnels do not need it", fmt.Sprintf("ip link set %s promisc on", e.f.Name))
	default:
		e.add(OK, "promiscuous", "on", "", "")
	}
}

func (e *examiner) offloads() {
	if e.unknown("features", "the offloads are not told", "merged segments and hidden VLAN tags would be taken for what was on the wire") {
		return
	}
	for _, o := range offloads {
		feature, known := e.f.Features[o.feature]
		if !known {
			continue
		}
		matters := e.u.AFXDP || o.setting != SetVLAN && o.setting != SetSVLAN
		switch {
		case !feature.On:
			e.add(OK, string(o.setting), "off", "", "")
		case !matters:
			e.add(OK, string(o.setting), "on: AF_PACKET puts the tag back", "", "")
		case feature.Fixed:
			e.add(Note, string(o.setting), "on, and this driver does not let it be switched off", "frames may be longer than any packet was", "")
		default:
			e.planned(Warning, o.setting, "on", "")
		}
	}
}

func (e *examiner) ring() {
	if e.unknown("ring", "its size is not told", "a burst that fills the NIC's ring is lost before anybody sees it") {
		return
	}
	if r := e.f.Ring; r != nil {
		e.planned(Warning, SetRing, fmt.Sprintf("%d of %d descriptors a queue", r.RX, r.MaxRX), fmt.Sprintf("%d descriptors a queue, the most there are", r.RX))
	}
}

func (e *examiner) queues() {
	q := e.f.Queues
	text := fmt.Sprintf("%d of %d receive queues in use", q.RX, q.MaxRX)
	e.planned(Warning, SetQueues, text, text)
	e.planned(Warning, SetReportStats, "off", "")
}

func (e *examiner) hash() {
	f := e.f
	if f.Queues.RX <= 1 || e.u.Mirror == MirrorPort || e.unknown("udp_hash", "how UDP is spread over the queues is not told", "all mirrored packets of a tunnel may come in by one queue") {
		return
	}
	words := make([]string, len(f.UDPHash))
	for i, h := range f.UDPHash {
		words[i] = strings.ReplaceAll(string(h), "_", " ")
	}
	text := "UDP goes to a queue by " + strings.Join(words, ", ")
	e.planned(Warning, SetUDPHash, text, text)
}

func (e *examiner) xdp() {
	x := e.f.XDP
	if x.Attached != "" {
		level, why := Warning, "it is in front of the capture: what it drops or redirects does not arrive"
		switch {
		case e.u.AFXDP:
			level, why = Error, "AF_XDP needs a program of its own, and cannot attach it beside this one: the sensor does not start"
		case e.u.DriverFilter:
			level, why = Error, "a filter in the driver is a program, too, and cannot be attached beside this one: the sensor does not start"
		}
		e.add(level, "xdp_program", "attached already: "+x.XDPProgram.String(), why, x.mend(e.f.Name, e.f.Unknown["xdp_program"]))
	}
	by := map[string]string{"kernel": "the kernel says so", "driver": "known of this driver", "tried": "tried"}[x.Source]
	level, mend := Note, ""
	if e.u.AFXDP {
		level, mend = Warning, "capture with AF_PACKET, or on a NIC whose driver runs XDP"
		if e.u.Native {
			level = Error
		}
	}
	switch x.Native {
	case Yes:
		text := "in the driver"
		if x.MultiBuffer == Yes {
			text += ", frames of any length"
		} else if x.MaxMTU > 0 {
			text += fmt.Sprintf(", up to an MTU of %d", x.MaxMTU)
		}
		e.add(OK, "xdp", text+"; zero copy: "+x.ZeroCopy.String()+" ("+by+")", "", "")
	case No:
		e.add(level, "xdp", "not in the driver ("+by+")", "only generic XDP works, which is no faster than AF_PACKET", mend)
	default:
		e.add(Note, "xdp", "not known ("+e.f.Unknown["xdp"]+")", "", fmt.Sprintf("sensor check --interface %s --try-xdp", e.f.Name))
	}
}

func (e *examiner) timestamps() {
	switch t := e.f.Time; {
	case e.f.Unknown["timestamping"] != "":
		e.unknown("timestamping", "not told", "")
	case t.Hardware:
		e.add(OK, "timestamping", fmt.Sprintf("the NIC stamps every frame (clock /dev/ptp%d)", t.Clock), "", "")
	case t.Clock >= 0:
		e.add(Note, "timestamping", "the kernel's; the NIC's clock stamps only some frames", "times are of when the kernel took the frame: right to some 10 µs when it is not busy", "")
	default:
		e.add(OK, "timestamping", "the kernel's", "", "")
	}
}

const ownInterface = "give the sensor an interface of its own, or say that this one is shared (--shared)"

// silence: what makes an interface send.
func (e *examiner) silence() {
	f, u := e.f, e.u
	reached := f.reachedBy()
	if u.Shared {
		e.add(Note, "silence", "shared with this machine's own traffic", "the kernel answers mirrored UDP with ICMP port unreachable unless it is dropped after capture",
			fmt.Sprintf("sensor guard --shared %s | nft -f -", f.Name))
		return
	}
	switch {
	case e.unknown("ipv6", "whether IPv6 is on is not told", ""):
	case f.IPv6 && reached != "":
		e.add(Warning, "ipv6", "IPv6 is on, and "+reached, whyIPv6, ownInterface)
	case f.IPv6:
		e.add(Warning, "ipv6", "IPv6 is on", whyIPv6, Change{Setting: SetIPv6, To: "off", Interface: f.Name}.Command())
	default:
		e.add(OK, "ipv6", "IPv6 is off", "", "")
	}
	v4 := own4(f)
	switch {
	case len(v4) == 0:
		e.add(OK, "addresses", "no IPv4 address: the kernel answers nobody", "", "")
	case reached != "":
		e.add(Warning, "addresses", formatPrefixes(v4)+", and "+reached, "it carries this machine's own traffic as well, which mixes with the mirror's",
			ownInterface)
	case u.Mirror == MirrorTunnel:
		e.add(Note, "addresses", formatPrefixes(v4), "the mirror sends to it; the kernel would answer ARP, ICMP, TCP and UDP without a guard. A guarded interface does not answer ARP either: on your own network give the sender a static neighbour entry, clouds need none",
			fmt.Sprintf("sensor guard %s | nft -f -", f.Name))
	default:
		mend := fmt.Sprintf("sensor guard %s | nft -f -", f.Name)
		why := "the kernel answers ARP, ICMP, TCP and UDP to it"
		if c, ok := e.change(SetAddresses); ok {
			why, mend = c.Why, c.Command()
		}
		e.add(Warning, "addresses", formatPrefixes(v4), why, mend)
	}
	if len(v4) == 0 {
		e.planned(Note, SetARP, "on", "off")
	}
}

func (e *examiner) forwarding() {
	const why = "the kernel would route mirrored packets on, to where they were sent"
	switch {
	case e.f.Forwarding4 && !e.u.Shared:
		e.planned(Warning, SetForwarding, "on", "")
	case e.f.Forwarding4:
		e.add(Warning, "forwarding", "on", why, fmt.Sprintf("sysctl -w net.ipv4.conf.%s.forwarding=0, if this machine is no router", sysctlName(e.f.Name)))
	case e.f.Forwarding6:
		e.add(Warning, "forwarding", "on for IPv6, on all interfaces", why, "sysctl -w net.ipv6.conf.all.forwarding=0, if this machine is no router")
	default:
		e.add(OK, "forwarding", "off", "", "")
	}
}

// ExamineGuard looks for the guard of an interface. installs says that the
// sensor installs it when it starts.
func ExamineGuard(f *Facts, u Use, installs bool) Finding {
	finding := Finding{Level: OK, About: "guard"}
	g, err := readGuard(f.Name)
	reached := ""
	if !u.Shared {
		reached = f.reachedBy()
	}
	switch {
	case installs && reached != "" && !g.whole:
		finding.Level = Error
		finding.Found = "cannot be installed: " + reached
		finding.Why = "silenced, this machine could not be reached by it any more, so the sensor does not start"
		finding.Mend = ReachableMends(f.Name)
	case err != nil:
		finding.Level, finding.Found = Note, "whether there is one is not known ("+err.Error()+")"
	case g.there && g.drops.Out > 0:
		finding.Level = Note
		finding.Found = fmt.Sprintf("in place; it has kept %d frames of this machine from being sent", g.drops.Out)
		finding.Why = "some program here sends on the capture interface: a DHCP or LLDP client, or the kernel before IPv6 was off"
	case g.there:
		finding.Found = "in place"
	case installs:
		finding.Found = "not in place; the sensor installs it when it starts, and it stays"
	case f.Kind == loopback:
		finding.Found = "none, and the loopback device needs none"
	default:
		finding.Level, finding.Found = Warning, "not in place"
		finding.Why = "without it nothing keeps this machine from answering what the mirror sends"
		finding.Mend = fmt.Sprintf("sensor guard %s | nft -f -", f.Name)
		if u.Shared || reached != "" {
			finding.Mend = fmt.Sprintf("sensor guard --shared %s | nft -f -", f.Name)
		}
	}
	return finding
}

// ExamineCounters tells which losses on the way in will not be seen.
func ExamineCounters(ifname string) []Finding {
	c, err := OpenCounters(ifname)
	if err != nil {
		return []Finding{{Level: Warning, About: "losses", Found: err.Error(), Why: "what is lost before the capture would go unnoticed", Mend: "look with ethtool -S " + ifname}}
	}
	defer func() { _ = c.Close() }() // only read from
	counts, err := c.Read()
	if err != nil {
		return []Finding{{Level: Warning, About: "losses", Found: err.Error(), Why: "what is lost before the capture would go unnoticed", Mend: "look with ethtool -S " + ifname}}
	}
	var told []string
	for _, l := range counts.Losses {
		told = append(told, l.Place)
	}
	findings := []Finding{{Level: OK, About: "losses", Found: "counted as " + strings.Join(told, ", ")}}
	for _, u := range counts.Unknown {
		findings = append(findings, Finding{Level: Note, About: "losses", Found: u.Place + " is not told: " + u.Why, Why: "what is lost there cannot be counted"})
	}
	return findings
}

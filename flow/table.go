package flow

import (
	"math"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// Partitions is how many tables there always are, whatever the number of
// goroutines: what one table does depends only on its own packets and on what
// all of them have learned by the last whole second. One reader cannot keep as many
// shards busy; and what there is once for each table has to stay in the caches.
const Partitions = 16

// Partition is the table that a packet, or a quoted tuple, belongs to.
func Partition(hash uint64) int { return int(hash >> 60) }

// Table is the flow table of one partition. One goroutine owns it between two
// barriers.
type Table struct {
	// What each packet touches comes first, close together: there are many tables.
	now       int64  // highest record time of the input at the latest packet
	fresh     int64  // lively, or 0: ask again
	brisk     int64  // no flow of TCP is due, ns after its latest packet, before that
	packets   uint64 // taken so far
	unchecked int64  // packets that came since heldThen
	index     index
	copies    copies
	report    report // what this table has to tell at the next barrier
	flows     slab
	tcp       *tcp.Store
	sessions  *session.Store
	watcher   Watcher
	segment   tcp.Segment // scratch of follow
	openings  pool.Pool[tcp.Opening]
	rare      pool.Pool[rare]

	cfg       Config
	names     *packet.Names
	learned   *Learned // shared; written only at a barrier
	secret    *secret  // of the index
	wheels    [numClasses]wheel
	maxFlows  int
	perFlow   int64 // octets, with all that is there for each
	markRoom  int   // octets that are left free in logs of youths
	jotted    [stepMask + 1]uint16
	crowded   bool  // there may be more than there is room for
	fullGrown bool  // no seeds and no embryos, for comparison
	ageless   bool  // embryos have no youth, for comparison
	unhurried bool  // no packet runs, for comparison
	reliving  bool  // whoever ends young is relived, for comparison
	maxStore  int64 // octets that connections may hold in the tcp.Store

	heldThen int64 // held at the latest look

	unpaired index  // embryos that are, by the hash of their 5-tuple
	telling  uint32 // the flow whose packets the watcher is told of late, + 1; 0 none
	clock    int64  // t.now then

	bed        bed
	candidates map[uint32]packet.Packet // by flow: a SYN that may open a new generation
	earlier    map[uint32]earlier       // by flow: the sequence space of the generation before
	hatched    packet.Packet            // scratch of hatch
	brief      tcp.Brief                // scratch of sumUp
	soFar      soFar                    // likewise
	briefs     uint64                   // records that it told, for tests
	retold     Record                   // scratch of retell
	snapshots  pool.Pool[snapshot]

	serial   uint64   // of the latest record
	due0     []uint32 // scratch of planSoon
	plan     plan
	plans    pool.Memory            // of its list
	expected [2 * nextEnds]expected // of the plan
	cut      Mark                   // Take gives the records up to here
	tie      int64                  // the moment of the latest Collect whose records were not taken; 0 none
	second   int64                  // the latest barrier, ns; noSecond before the first
	out      Records
	// So many of them were there before the plan that is being done, at most: those may belong
	// behind the cut.
	looseWhole, looseLone int

	active       []uint32             // flows with packets in the running interval; may name one twice, and others
	intervals    Records              // of the running interval, of flows that ended in it
	gone         []uint32             // young, that ended in it
	goneNames    map[uint32][2]string // names of their ends, by place in gone
	toldBefore   int64                // of seeds that came before, ns, an interval has told
	maxIntervals int                  // that are kept
	heard        map[uint32]heard     // by flow: of those that have ended and wait for the interval's close
	ids          ids
}

// tables are those of all Partitions, one behind the other. Packets go to them in turn,
// and touch the same fields of each: were all at the same place of a page, as objects of
// that length are, the first cache would have room for those of half of them.
type tables [Partitions]struct {
	Table
	_ [(page + stagger - unsafe.Sizeof(Table{})%page) % page]byte
}

const (
	page    = 4096
	stagger = page / Partitions
)

// NewTables makes the table of each of the Partitions, with its share of cfg.Memory.
func NewTables(cfg Config, learned *Learned, names *packet.Names) []*Table {
	var all tables
	list := make([]*Table, Partitions)
	for i := range list {
		list[i] = &all[i].Table
		list[i].init(cfg, learned, names)
	}
	return list
}

// NewTable makes the table of one of the Partitions, with its share of
// cfg.Memory.
func NewTable(cfg Config, learned *Learned, names *packet.Names) *Table {
	t := new(Table)
	t.init(cfg, learned, names)
	return t
}

func (t *Table) init(cfg Config, learned *Learned, names *packet.Names) {
	*t = Table{cfg: cfg, names: names, learned: learned, tcp: tcp.NewStore(cfg.TCP), flows: newSlab(), secret: &keys, second: noSecond, cut: Last(), looseWhole: math.MaxInt, looseLone: math.MaxInt}
	t.flows.seeds.arena = &t.flows.youths
	if cfg.Sums && !cfg.Quantiles {
		t.tcp.SumsOnly()
	}
	for c, timeout := range cfg.timeouts() {
		t.wheels[c].timeout = timeout
	}
	t.brisk = min(t.wheels[halfOpen].timeout, t.wheels[tcpClass].timeout, t.wheels[closing].timeout, t.wheels[linger].timeout)
	share := cfg.Memory / Partitions
	t.copies.init(share/8, &cfg)
	perFlow := int64(unsafe.Sizeof(Flow{})) + int64(unsafe.Sizeof(link{})) + 24 // and its slot in the index while that grows
	if cfg.Interval > 0 {
		perFlow += int64(unsafe.Sizeof(snapshot{}))
		t.markRoom = markLen
	}
	t.perFlow, t.jotted = perFlow, jotted(t.markRoom)
	t.maxFlows = int(min(max(share*3/8/perFlow, 16), maxNumbers)) // an eighth is left to a Watcher
	t.maxStore = share * 3 / 8
	t.maxIntervals = int(max(share/8/int64(unsafe.Sizeof(Record{})), 16)) // beside the budget, see Beside
	t.sessions = session.NewStore(t.maxStore / 2)
	t.ids = newIDs(names)
	t.candidates = make(map[uint32]packet.Packet)
	t.goneNames = make(map[uint32][2]string)
	t.toldBefore = noTelling
	t.earlier = make(map[uint32]earlier)
	t.heard = make(map[uint32]heard)
	t.plan.second = noSecond
	t.bed.awake, t.bed.idle = fewAwake, longIdle
	t.report.init()
}

// maxRare bounds each map of rare per-flow state.
const maxRare = 4096

// held is what flows hold beside themselves, octets.
func (t *Table) held() int64 {
	return t.tcp.Octets() + t.sessions.Octets() + int64(t.openings.InUse())*int64(unsafe.Sizeof(tcp.Opening{})) + int64(t.rare.InUse())*int64(unsafe.Sizeof(rare{}))
}

// overgrown tells whether flows hold more beside themselves than there is room
// for. It adds that up only when there can have come enough since it last did.
func (t *Table) overgrown() bool {
	const most = 64 << 10 // octets that a packet adds, about
	if t.heldThen+t.unchecked*most <= t.maxStore {
		return false
	}
	t.heldThen, t.unchecked = t.held(), 0
	return t.heldThen > t.maxStore
}

// checkEvery is after how many packets it is looked whether what flows hold
// beside themselves still fits. Those that begin look, too.
const checkEvery = 64

// used is how many octets are reckoned for all flows, without what they hold beside themselves.
func (t *Table) used() int64 {
	s := &t.flows
	return int64(s.live)*t.perFlow + int64(s.embryos.live)*perEmbryo + int64(s.seeds.held)*rowOctets + s.youths.Octets() + s.restOctets()
}

// full tells that there is no room for so many octets of a flow more.
func (t *Table) full(more int64) bool {
	return t.used()+more > int64(t.maxFlows)*t.perFlow || t.flows.all() > 0 && t.overgrown()
}

func (t *Table) makeRoom(octets int64) {
	for t.full(octets) {
		t.evict()
	}
}

// open starts a flow with its first packet, which is not counted yet.
func (t *Table) open(key *Key, h uint64, p *packet.Packet, dir int) uint32 {
	t.makeRoom(t.perFlow)
	n := t.flows.get()
	t.begins(t.flows.at(n), key, p, dir)
	t.index.insert(h, n)
	return n
}

// begins makes f the state of a flow that begins with a packet.
func (t *Table) begins(f *Flow, key *Key, p *packet.Packet, dir int) {
	*f = Flow{}
	f.key, f.start, f.last, f.seen, f.path, f.version, f.class = *key, p.Time, p.Time, t.now, p.Path, p.Version, numClasses
	f.tcp.Init()
	if p.Weight != 0 || p.ICMPType|p.ICMPCode != 0 {
		r := t.rareOf(f)
		r.weight, r.icmpType, r.icmpCode = p.Weight, p.ICMPType, p.ICMPCode
	}
	if p.Flags&packet.OuterSwapped != 0 {
		f.flags |= outerSwapped
	}
	if p.Flags&packet.PortsUnknown == 0 {
		f.flags |= portsKnown
	}
	if dir == 0 {
		f.flags |= gaveOrder0
	}
	if t.cfg.Interval > 0 {
		f.snapshot = t.snapshots.GetZero() | unlisted
	}
}

// update counts a packet into its flow.
func (t *Table) update(n uint32, f *Flow, p *packet.Packet, dir int, like likeness) {
	t.activate(n, f)
	if t.watcher != nil {
		t.watcher.Packet(n, p, dir)
	}
	t.absorb(f, p, dir, like)
	if c := f.classOf(); c != f.class {
		if f.class != numClasses {
			t.wheels[f.class].remove(n, &t.flows)
		}
		f.class = c
		t.wheels[c].add(n, &t.flows)
	}
}

// absorb is update, but for what others see of the flow at once.
func (t *Table) absorb(f *Flow, p *packet.Packet, dir int, like likeness) {
	t.count(f, dir, p)
	f.start = min(f.start, p.Time)
	f.last = max(f.last, p.Time)
	f.seen = t.now
	f.tcp.Cut += uint32(cut(p.Flags))
	if p.Flags&packet.BadHeader != 0 {
		t.rareOf(f).malformed++
	}
	if p.TOS&3 == 3 {
		t.rareOf(f).ce[dir]++
	}
	t.noteID(f, p, dir)
	if f.key.Proto == packet.ProtoTCP {
		t.updateTCP(f, p, dir, like)
	}
	if f.key.Proto == packet.ProtoUDP {
		t.datagram(f, p, dir)
	}
	t.direct(f, p, dir)
	t.teach(f)
}

func (t *Table) updateTCP(f *Flow, p *packet.Packet, dir int, like likeness) {
	if p.Flags&(packet.HeaderCut|packet.BadHeader) == 0 {
		if p.TCP.Flags&packet.RST != 0 {
			t.count8(f, &f.rsts[dir], func(r *rare) *uint32 { return &r.rsts[dir] })
		}
		if p.TCP.Flags&packet.FIN != 0 {
			t.count8(f, &f.fins[dir], func(r *rare) *uint32 { return &r.fins[dir] })
		}
		if p.TCP.Flags&packet.SYN != 0 && f.flags&decided == 0 && f.opening == 0 {
			f.opening = t.openings.GetZero()
		}
	}
	if like == candidateSYN {
		return
	}
	o := t.opening(f)
	var g tcp.Segment
	f.tcp.AddTo(t.tcp, &g, p, dir, o, like == networkCopy)
	t.talk(f, p, &g, dir)
	if o != nil {
		t.answered(f, o, p.Time)
	}
}

// answered decides the handshake, if that can be done at a time: a mirror's copy
// of its last packet may still correct the times.
func (t *Table) answered(f *Flow, o *tcp.Opening, now int64) {
	if o.Answered() != 0 && now-o.Answered() > int64(t.cfg.DupWindow) && o.Decided(&f.tcp) {
		t.decide(f)
	}
}

// decide ends the handshake's own state and keeps its figures.
func (t *Table) decide(f *Flow) {
	o := t.opening(f)
	if o == nil {
		return
	}
	f.handshake = o.Result(t.tcp, &f.tcp)
	o.Release(t.tcp)
	f.flags |= decided
	t.openings.Put(f.opening)
	f.opening = 0
}

func (t *Table) opening(f *Flow) *tcp.Opening {
	if f.opening == 0 {
		return nil
	}
	return t.openings.At(f.opening)
}

// due is when a flow is released, unless a packet comes before.
func (t *Table) due(f *Flow) int64 { return t.wheels[f.class].due(f.seen) }

// dueOf is due of a flow or embryo.
func (t *Table) dueOf(n uint32) int64 { return t.wheels[t.flows.class(n)].due(t.flows.seen(n)) }

// NextDue is the first whole second, ns, at which Expire or Learned.Merge has
// something to do; ok is false when there is nothing. It may be early, never
// late.
func (t *Table) NextDue() (due int64, ok bool) {
	due = math.MaxInt64
	for c := range t.wheels {
		if w := &t.wheels[c]; w.n > 0 {
			due = min(due, w.base+int64(w.nextUsed()))
		}
	}
	if n := t.flows.seeds.first(); n != noFlow {
		due = min(due, t.wheels[halfOpen].dueSecond(t.flows.seen(n)))
	}
	if ok = due < math.MaxInt64/1_000_000_000; ok { // hostile times are due beyond the end of time
		due *= 1e9
	}
	if length := int64(t.cfg.Interval); length > 0 && t.second != noSecond && t.toTell() {
		due, ok = min(due, t.second-t.second%length+length), true
	}
	if t.report.pending() {
		due, ok = math.MinInt64, true
	}
	return due, ok
}

// PlanExpire plans to end every flow that is due by now, a whole second of the
// input's clock. No second before it may be left out in which something was due.
// Where an interval Closes now, PlanIntervals must follow.
func (t *Table) PlanExpire(now int64) {
	closing := t.Closes(now)
	t.now = max(t.now, now)
	if t.second != noSecond {
		t.second = max(t.second, now-1e9) // what ends now belongs to the second before
	}
	p := plan{closing: closing, second: now}
	if closing {
		p.second = noSecond
	}
	t.begin(p, 0)
	t.planDue(now / 1e9)
	t.planSeeds(t.sown(now), t.sown(now))
	t.sort()
}

// planDue plans the end of the flows that are due by a second.
func (t *Table) planDue(second int64) {
	for c := range t.wheels {
		for {
			n := t.wheels[c].earliest(second, &t.flows)
			if n == noFlow {
				break
			}
			t.planEnd(n, t.dueOf(n))
		}
	}
}

// DueIn is how many flows may end in the second that follows now, a whole one.
func (t *Table) DueIn(now int64) (n int) {
	for c := range t.wheels {
		n += t.wheels[c].heldIn(now/1e9 + 1)
	}
	if first := t.flows.seeds.first(); first != noFlow && t.dueOf(first) <= now+1e9 {
		n += t.flows.seeds.until(t.sown(now + 1e9))
	}
	return n
}

// PlanCollect plans to end the flows that are due before now, within a second:
// what a record says, and its place in the order, do not depend on it.
func (t *Table) PlanCollect(now int64) {
	t.begin(plan{second: noSecond, tie: now}, 0)
	last := now - 1
	t.planDue(last / 1e9)
	for c := range numClasses {
		t.planSoon(c, last/1e9+1, last)
	}
	t.planSeeds(t.sown(last), t.sown(last))
	t.sort()
	t.expectFirst()
}

// PlanFlush plans to end all flows at the end of the input, whose clock stands
// at now. With intervals, PlanIntervals(EndOfInput) must follow if it Closes.
func (t *Table) PlanFlush(now int64) {
	t.now = max(t.now, now)
	if t.watcher != nil {
		t.watcher.Drain(now)
	}
	t.index.drop()
	t.unpaired.drop()
	t.copies.empty() // there will be no packet to compare
	closing, room := t.Closes(EndOfInput), t.flows.all()
	if !closing {
		room -= t.flows.seeds.live
	}
	t.begin(plan{second: noSecond, closing: closing}, room)
	t.planAll(now)
	if t.plan.closing {
		t.planSeedsOne(now)
	} else {
		t.planSeeds(math.MaxInt64, t.sown(now))
	}
	t.sort()
	t.condense()
}

// noSecond stands for the time before the first barrier.
const noSecond = math.MinInt64

// EndOfInput as a release time: the flow was open when the input ended.
const EndOfInput = math.MaxInt64

// evict makes room: half-open flows leave first, then the one that has been
// silent for longest.
func (t *Table) evict() { t.end(t.victim(), t.now, EndLackOfResources) }

func (t *Table) victim() uint32 {
	n := t.wheels[halfOpen].earliest(anySecond, &t.flows)
	if first := t.flows.seeds.first(); first != noFlow && (n == noFlow || t.flows.seen(first) <= t.flows.seen(n)) {
		return first
	}
	if n == noFlow {
		for c := halfOpen + 1; c < numClasses; c++ {
			if m := t.wheels[c].earliest(anySecond, &t.flows); m != noFlow && (n == noFlow || t.flows.seen(m) < t.flows.seen(n)) {
				n = m
			}
		}
	}
	return n
}

// Take hands over the records that are ready, in no order, in exchange for a
// list that is used up.
func (t *Table) Take(to *Records) {
	to.Reset()
	t.out, *to = *to, t.out
	tie := t.tie
	t.tie = 0
	if tie != 0 {
		// More may end at the moment of Collect: what has waits for its place among
		// them, unless the clock seems to stand still.
		ties := 0
		for i := range to.Len() {
			if to.At(i).Release == tie {
				ties++
			}
		}
		for i := range to.Lones() {
			if to.Lone(i).release == tie {
				ties++
			}
		}
		if ties == 0 || ties > maxTies {
			tie = 0
		}
	}
	looseWhole, looseLone := min(t.looseWhole, to.Len()), min(t.looseLone, to.Lones())
	t.looseWhole, t.looseLone = math.MaxInt, math.MaxInt
	if tie == 0 && t.cut == Last() {
		return
	}
	if tie != 0 || t.cfg.Interval > 0 {
		looseWhole, looseLone = to.Len(), to.Lones()
	}
	k := 0
	for i := range looseWhole {
		r := to.At(i)
		if tie != 0 && r.Release == tie || t.cut.before(r) {
			x := t.out.Add()
			if *x = *r; t.cfg.Lends && !x.Joined {
				t.out.room().Move(&x.Report)
			}
			continue
		}
		if k != i {
			*to.At(k) = *r
		}
		k++
	}
	if k < looseWhole {
		for i := looseWhole; i < to.Len(); i++ {
			*to.At(k) = *to.At(i)
			k++
		}
		to.truncate(k)
	}
	k = 0
	for i := range looseLone {
		l := to.Lone(i)
		if tie != 0 && l.release == tie || l.behind(&t.cut) {
			*t.out.addLone() = *l
			continue
		}
		if k != i {
			*to.Lone(k) = *l
		}
		k++
	}
	if k < looseLone {
		for i := looseLone; i < to.Lones(); i++ {
			*to.Lone(k) = *to.Lone(i)
			k++
		}
		to.lones = k
	}
}

// maxTies is how many records of one moment wait for each other.
const maxTies = 1024

// HOT PATH

package trace

import (
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
)

// ringShardsMax bounds the shards. Messages are spread over them so that loops do not wait for
// one another; ids are counted up: their lowest bits spread evenly. There are no more than
// there are processors, or up to twice as many, because each is written from its begin to its
// end, which a processor sees coming only of a few.
const ringShardsMax = 32

// deviceBytesMax is how much of a device's name is remembered; cut says that there is more.
const (
	deviceBytesMax = 46
	cut            = "…"
)

// Ring is the last events of a node. Any goroutine may call any method. A nil Ring
// remembers nothing.
type Ring struct {
	mode   string
	nowUS  func() int64
	export Exporter // nil: there is none
	shards []shard  // a power of two
}

// Exporter is told of the events of traced messages as well; package otlp's is one. Note is
// called by whoever notes an event, with locks held: it must not block nor call back. The
// strings of e are borrowed.
type Exporter interface {
	Note(e Event)
}

// AttachExporter has x told of events. Call it once, before the first Note. A nil Ring
// tells nobody.
func (r *Ring) AttachExporter(x Exporter) {
	if r != nil {
		r.export = x
	}
}

// shard has the events of some messages, all that there are of each.
type shard struct {
	mu    sync.Mutex
	slots []slot
	noted uint64 // events ever
	next  int    // slot of the next event: noted modulo len(slots)
	_     [16]byte
}

// slot is one event. It holds no pointer, so that the collector has nothing to look at.
// What a note writes is far away from the processor, as the ring is larger than its caches:
// so the names stand one behind the other, and those of usual length are in the first of
// the slot's two cache lines.
type slot struct {
	atUS    int64
	number  session.MessageID
	epoch   uint64
	devices uint32

	step                        session.Step
	outcome                     session.Outcome
	nodeLen, peerLen, deviceLen uint8
	deviceIsCut                 bool

	names [2*session.NodeBytesMax + deviceBytesMax]byte // node, peer, device
}

// node returns the name of the message's origin; borrowed, as peer and device.
func (s *slot) node() []byte { return s.names[:s.nodeLen] }

func (s *slot) peer() []byte { return s.names[s.nodeLen:][:s.peerLen] }

func (s *slot) device() []byte { return s.names[s.nodeLen+s.peerLen:][:s.deviceLen] }

// New returns a ring of valid configuration; nil when that is off. All of its memory is
// taken at once. nowUS is the node's clock in Unix microseconds, and most of what a note
// costs; any goroutine may call it.
func New(cfg Config, nowUS func() int64) *Ring {
	if cfg.Mode == ModeOff {
		return nil
	}
	n := 1
	for n < min(runtime.GOMAXPROCS(0), ringShardsMax) {
		n *= 2
	}
	return newRing(cfg, nowUS, n)
}

func newRing(cfg Config, nowUS func() int64, n int) *Ring {
	r := &Ring{mode: cfg.Mode, nowUS: nowUS, shards: make([]shard, n)}
	for i := range r.shards {
		r.shards[i].slots = make([]slot, (cfg.Events+n-1)/n)
	}
	return r
}

// shard returns the shard of a message.
func (r *Ring) shard(n session.MessageID) *shard {
	return &r.shards[int(n)&(len(r.shards)-1)]
}

// NowUS is the clock of the events, Unix microseconds. The ring is not nil.
func (r *Ring) NowUS() int64 { return r.nowUS() }

// Note remembers an event, as of now. It copies what it keeps, blocks for no more than
// another Note and allocates nothing.
func (r *Ring) Note(e session.Event) {
	if r == nil || r.mode == ModeTraced && !e.Traced {
		return
	}
	atUS := r.nowUS()
	sh := r.shard(e.ID.Number)
	sh.mu.Lock()
	s := &sh.slots[sh.next]
	sh.noted++
	if sh.next++; sh.next == len(sh.slots) {
		sh.next = 0
	}
	s.atUS = atUS
	s.number, s.epoch, s.devices = e.ID.Number, e.ID.Epoch, e.Devices
	s.step, s.outcome = e.Step, e.Outcome
	n := copy(s.names[:session.NodeBytesMax], e.ID.Node)
	s.nodeLen = uint8(n)
	s.peerLen = uint8(copy(s.names[n:n+session.NodeBytesMax], e.Peer))
	n += int(s.peerLen)
	s.deviceLen = uint8(copy(s.names[n:n+deviceBytesMax], e.Device))
	s.deviceIsCut = len(e.Device) > deviceBytesMax
	sh.mu.Unlock()
	if e.Traced && r.export != nil {
		r.export.Note(Event{e, atUS})
	}
}

// Event is an event that was noted. Of Events it owns its strings, and has no Trace.
type Event struct {
	session.Event
	AtUS int64 // Unix microseconds, by this node's clock
}

// lookMax is how many slots are looked at with the lock held that notes wait for, some ten
// microseconds.
const lookMax = 2048

// Events returns what is remembered of a message, in the order in which it was noted. It
// looks through a whole shard, piece by piece: what is forgotten meanwhile may be missing.
func (r *Ring) Events(id session.ID) []Event {
	if r == nil {
		return nil
	}
	var list []Event
	sh := r.shard(id.Number)
	for i, more := uint64(0), true; more; {
		list, i, more = sh.appendEvents(list, id, i)
	}
	return list
}

// appendEvents looks at the next slots from the i-th event on, and returns which is next, if
// there are more.
func (sh *shard) appendEvents(list []Event, id session.ID, i uint64) (all []Event, next uint64, more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := uint64(len(sh.slots))
	i = max(i, sh.noted-min(sh.noted, n))
	end := min(i+lookMax, sh.noted)
	for ; i < end; i++ {
		s := &sh.slots[i%n]
		if s.number == id.Number && s.epoch == id.Epoch && string(s.node()) == id.Node {
			list = append(list, s.event(id))
		}
	}
	return list, end, end < sh.noted
}

func (s *slot) event(id session.ID) Event {
	device := string(s.device())
	if s.deviceIsCut {
		device = strings.ToValidUTF8(device, "") + cut // names are UTF-8, but for a rune that was cut
	}
	return Event{AtUS: s.atUS, Event: session.Event{
		ID: id, Step: s.step, Outcome: s.outcome, Devices: s.devices, Device: device, Peer: string(s.peer()),
	}}
}

// Stats is what a ring has counted. Each field's metric tag is the name under which it is
// published.
type Stats struct {
	Noted     uint64 `metric:"roost_trace_events_total" doc:"events of messages that were remembered"`
	Forgotten uint64 `metric:"roost_trace_forgotten_total" doc:"of those the ones that newer ones took the place of"`
	ReachMS   int64  `metric:"roost_trace_reach_ms" doc:"how far back all events are remembered, milliseconds; 0 as long as none was forgotten"`
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (r *Ring) Stats() (s Stats) {
	if r == nil {
		return s
	}
	var oldest []int64
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		s.Noted += sh.noted
		if n := uint64(len(sh.slots)); sh.noted > n {
			s.Forgotten += sh.noted - n
			oldest = append(oldest, sh.slots[sh.noted%n].atUS)
		}
		sh.mu.Unlock()
	}
	if len(oldest) > 0 {
		s.ReachMS = (r.nowUS() - slices.Max(oldest)) / 1000
	}
	return s
}

package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// versionMax bounds what is believed of other nodes: the table has 47 bits, and an
// opening must be able to go above whatever is there. As milliseconds it is two
// thousand years ahead.
const versionMax = 1 << 46

// ErrMalformed says that a message breaks a rule no correct node breaks. Its sender is
// not to be trusted with the link.
var ErrMalformed = errors.New("replica: malformed message")

// Replica follows every member's log and keeps the node's own. Any goroutine may call any
// method; none blocks.
type Replica struct {
	cfg  Config
	self session.Origin
	Ports
	own own

	mu        sync.Mutex
	authors   []*author // in the order they joined: their order decides nothing else than which is first
	byNode    map[string]*author
	contests  []*contest
	contested map[uint64]*contest // by address
	collided  map[uint64]uint64   // address -> version of the other device's entry
	transfers []*transfer
	audit     audit
	random    *rand.Rand
	stats     Stats
	headsMS   int64 // of the last comparison
	agedMS    int64 // of the last generation of tombstones

	hidden   hidden
	unhidden atomic.Uint64
	revealed atomic.Uint64

	clock   hybrid
	crowded atomic.Int32                     // authors that are incomplete
	names   atomic.Pointer[[]session.Origin] // by Author; replaced, never changed
	unsent  atomic.Uint64
	lacking atomic.Int64 // members whose log is not live
	ticking sync.Mutex   // held by who sends pieces of transfers, or audits
	effects sync.Pool
}

// New returns the replica of a node that calls itself self, with an empty log and an
// empty own set.
func New(cfg Config, self session.Origin, ports Ports) (*Replica, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := session.CheckNode(self.Node); err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	r := &Replica{
		cfg: cfg, self: self, Ports: ports,
		byNode:    make(map[string]*author),
		contested: make(map[uint64]*contest),
		collided:  make(map[uint64]uint64),
		random:    rand.New(rand.NewPCG(ports.Seed, self.Epoch)),
	}
	r.hidden.noted = make(map[uint64]uint64)
	r.effects.New = func() any { return new(effects) }
	r.own.log.max = cfg.LogChanges
	var err error
	if r.own.set, err = ports.Table.NewOwnSet(); err != nil {
		return nil, fmt.Errorf("replica: own set: %w", err)
	}
	r.names.Store(&[]session.Origin{})
	r.name(r.own.set, self)
	return r, ports.Table.Publish(r.own.set, 0)
}

// Self returns the number of the node's own set.
func (r *Replica) Self() Author { return r.own.set }

// Origin returns whose set a table entry belongs to; false: it was dropped meanwhile.
// It takes no lock and allocates nothing.
func (r *Replica) Origin(a Author) (session.Origin, bool) {
	names := *r.names.Load()
	if int(a) >= len(names) || names[a].Node == "" {
		return session.Origin{}, false
	}
	return names[a], true
}

// Lacking returns how many members there are whose sessions are not in the table yet: an
// address that it does not have may be there. It takes no lock.
func (r *Replica) Lacking() int { return int(r.lacking.Load()) }

// AppendLacking appends the names of those members.
func (r *Replica) AppendLacking(dst []string) []string {
	if r.Lacking() == 0 {
		return dst
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.authors {
		if a.member && a.state != live {
			dst = append(dst, a.origin.Node)
		}
	}
	return dst
}

// countLacking follows each change of a member or of its state. The caller holds mu.
func (r *Replica) countLacking() {
	n := 0
	for _, a := range r.authors {
		if a.member && a.state != live {
			n++
		}
	}
	r.lacking.Store(int64(n))
}

// name notes whose set a is; an empty origin: nobody's any more. Only New and holders
// of mu call it.
func (r *Replica) name(a Author, o session.Origin) {
	old := *r.names.Load()
	names := make([]session.Origin, max(len(old), int(a)+1))
	copy(names, old)
	names[a] = o
	r.names.Store(&names)
}

// Misrouted is told that a node did not hold the device its entry named. The entry is
// closed here if its version is still the one that was used (DESIGN.md decision 5): a
// newer one came while the message was away, and is worth another look. It becomes a
// tombstone instead of going at once, so that other messages wait for the newer entry
// as this one does; a table without any trace of the device would say offline.
func (r *Replica) Misrouted(address, account uint64, used Entry) bool {
	if used.Author == r.own.set {
		return false // our own log is changed by our own sessions only
	}
	version := used.Version
	if !ruleForget {
		version, _, _ = r.Table.Get(used.Author, address)
	}
	forgotten := r.remove(used.Author, address, account, version)
	if forgotten {
		r.hide(address, account)
		r.mu.Lock()
		r.stats.Misrouted++
		r.mu.Unlock()
	}
	return forgotten
}

// Receive takes one message from a linked node: *wire.Delta, *wire.Heads,
// *wire.LogRequest, *wire.SnapshotChunk, *wire.Question or *wire.Answer, borrowed. An
// error is ErrMalformed; everything else that does not fit is counted.
func (r *Replica) Receive(from string, message any, nowMS int64) error {
	fx := r.effects.Get().(*effects)
	err := r.receive(from, message, nowMS, fx)
	r.run(fx)
	if _, ok := message.(*wire.LogRequest); ok {
		r.pump(nowMS)
	}
	return err
}

func (r *Replica) receive(from string, message any, nowMS int64, fx *effects) error {
	if err := r.check(from, message); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch m := message.(type) {
	case *wire.Delta:
		r.delta(m, nowMS, fx)
	case *wire.Heads:
		r.compare(from, m, nowMS, fx)
	case *wire.LogRequest:
		r.request(from, m)
	case *wire.SnapshotChunk:
		r.chunk(from, m, nowMS, fx)
	case *wire.Question:
		r.stats.Answers++
		fx.answer(from, *m)
	case *wire.Answer:
		r.answered(from, m, nowMS, fx)
	}
	return nil
}

// Tick does what is due: pushes, comparisons, repeated requests and questions, transfers,
// the audit, tombstones. Its caller ticks every BatchMS or more often. A tick that
// comes while another runs is left out.
func (r *Replica) Tick(nowMS int64) {
	r.rewind(nowMS)
	r.push(nowMS)
	fx := r.effects.Get().(*effects)
	r.mu.Lock()
	r.timeouts(nowMS, fx)
	r.repeatQuestions(nowMS, fx)
	heads := nowMS-r.headsMS >= int64(r.cfg.HeadsMS)
	if heads {
		r.headsMS = nowMS
	}
	aged := nowMS-r.agedMS >= int64(r.cfg.AgeMS)
	if aged {
		r.agedMS = nowMS
	}
	r.mu.Unlock()
	r.run(fx)
	if heads {
		r.sendHeads(nowMS)
	}
	r.pump(nowMS)
	r.auditStep(nowMS)
	if aged {
		r.Table.Age()
	}
	r.Table.Sweep(r.cfg.SweepStep)
	if aged {
		r.reveal()
	}
}

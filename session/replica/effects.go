package replica

import "github.com/roostpush/roost/session/wire"

// effects are what a call leads to outside, collected under the mutex and run after it
// in the order they were found. They are few for each call: what could be many is a
// transfer, an audit or a push, which have budgets.
type effects struct {
	requests  []request
	questions []contest
	answers   []answer
	heads     []reply
	verdicts  []verdict
	online    []online
	skews     []skew
	outdated  uint64 // the newest epoch of this node that a peer named, if it is newer
}

type request struct {
	wire.LogRequest
	hint string // who else has it
}

type answer struct {
	to string
	wire.Question
}

type reply struct {
	to string
	wire.Heads
}

// skew is news of another node's clock.
type skew struct {
	node    string
	aheadMS int64
	skewed  bool
}

// verdict is what is to become of an own session.
type verdict struct {
	address, account, version uint64
	displace                  bool
}

// online are changes in the table. The slice is borrowed from the caller of Receive or
// given away by the author, so it outlives the mutex.
type online struct {
	node    string
	changes []wire.Change
}

func (fx *effects) answer(to string, q wire.Question) { fx.answers = append(fx.answers, answer{to, q}) }

// run does everything in fx and puts it back into the pool.
func (r *Replica) run(fx *effects) {
	for i := range fx.requests {
		q := &fx.requests[i]
		if !r.send(q.Author.Node, &q.LogRequest) && q.hint != "" {
			r.send(q.hint, &q.LogRequest)
		}
	}
	for i := range fx.verdicts {
		v := &fx.verdicts[i]
		if v.displace {
			r.Owner.Displace(v.address, v.account, v.version)
		} else {
			r.Owner.Reassert(v.address, v.account, v.version)
		}
	}
	for i := range fx.questions {
		r.ask(&fx.questions[i])
	}
	for i := range fx.answers {
		r.reply(&fx.answers[i])
	}
	for i := range fx.heads {
		r.send(fx.heads[i].to, &fx.heads[i].Heads)
	}
	for i := range fx.online {
		r.Online(fx.online[i].node, fx.online[i].changes)
	}
	for _, s := range fx.skews {
		if r.Skewed != nil {
			r.Skewed(s.node, s.aheadMS, s.skewed)
		}
	}
	if fx.outdated != 0 && r.Outdated != nil {
		r.Outdated(fx.outdated)
	}
	clear(fx.requests)
	clear(fx.questions)
	clear(fx.answers)
	clear(fx.heads)
	clear(fx.online)
	*fx = effects{fx.requests[:0], fx.questions[:0], fx.answers[:0], fx.heads[:0], fx.verdicts[:0], fx.online[:0], fx.skews[:0], 0}
	r.effects.Put(fx)
}

// send gives a message to a link and counts what it does not take.
func (r *Replica) send(node string, message any) bool {
	sent := r.Links.Send(node, message)
	if !sent {
		r.unsent.Add(1)
	}
	return sent
}

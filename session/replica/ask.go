package replica

import "github.com/roostpush/roost/session/wire"

// asking is the request for what is lacking of one author's log.
type asking struct {
	hint    string // a peer that has it, should there be no link to the author
	sent    bool   // a request is out, and an answer may come
	whole   bool   // it is for a snapshot
	tries   int    // requests without an answer
	sinceMS int64  // when the request left, or the newest part of its answer came
	waitMS  int64  // how long the rest may take from then on
}

// progress says that an answer is coming: time for the next part of it.
func (q *asking) progress(nowMS int64, waitMS int) {
	q.tries = 0
	if q.sent {
		q.sinceMS, q.waitMS = nowMS, int64(waitMS)
	}
}

// done says that the answer is complete. What is still lacking may be asked for at once.
func (q *asking) done() { *q = asking{hint: q.hint} }

// lacks says whether there is something to ask for.
func (a *author) lacks() bool {
	return a.member && (a.state != live || a.seq < a.known || a.reload)
}

// want asks for what is lacking, unless nothing is, or a request is out that may still be
// answered, or a snapshot is coming. It is called whenever one of these may have changed.
func (r *Replica) want(a *author, nowMS int64, fx *effects) {
	q := &a.asking
	if !a.lacks() {
		q.done()
		return
	}
	if nowMS-q.sinceMS < q.waitMS || a.load.active {
		return
	}
	q.sent, q.whole = true, a.state != live || a.reload
	q.sinceMS, q.waitMS = nowMS, r.backoff(r.cfg.AskMS, q.tries)
	q.tries++
	from := a.seq + 1
	if q.whole {
		from = 0
	}
	r.stats.Asked++
	fx.requests = append(fx.requests, request{wire.LogRequest{Author: a.origin, From: from}, q.hint})
}

// backoff doubles a time with each try, up to AskMaxMS.
func (r *Replica) backoff(ms, tries int) int64 {
	return min(int64(ms)<<min(tries, 20), int64(r.cfg.AskMaxMS))
}

// timeouts gives up snapshots that stopped coming, and asks again for what is lacking.
func (r *Replica) timeouts(nowMS int64, fx *effects) {
	for _, a := range r.authors {
		if a.load.active && nowMS-a.load.lastMS >= int64(r.cfg.LoadMS) {
			r.abandon(a)
		}
		r.want(a, nowMS, fx)
	}
}

package protocol

import (
	"strings"
	"sync/atomic"

	"github.com/roostpush/roost/netpoll"
)

// Get answers the plain requests of the public listener: health, event streams, and a word
// of advice at /ws.
func (g *Gate) Get(req *netpoll.Request) netpoll.Answer {
	switch string(req.Path) {
	case "/sse":
		return netpoll.Answer{Events: true}
	case "/healthz":
		return netpoll.Answer{Status: 200, Body: "ok\n"}
	case "/readyz":
		if reasons := g.Refusals(); len(reasons) > 0 {
			return netpoll.Answer{Status: 503, ContentType: "text/plain; charset=utf-8", Header: "Retry-After: 1\r\n", Body: strings.Join(reasons, "\n") + "\n"}
		}
		return netpoll.Answer{Status: 200, Body: "ready\n"}
	case "/ws":
		v := answer(426, "upgrade_required", "this is a WebSocket: ask with Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
		return *v.Refuse
	}
	v := answer(404, "not_found", "this listener has /ws, /sse, /healthz and /readyz; the API is on the internal one", "")
	return *v.Refuse
}

// counters are the gate's own, since its start.
type counters struct {
	refused, unauthorized, displaced, expired, lifetimes atomic.Uint64
	framesRefused, rateRefused, rateClosed, acksUnknown  atomic.Uint64
}

// Stats are the gate's counters since its start. The metric tag is the name under which
// each is published.
type Stats struct {
	UpgradesRefused uint64 `metric:"roost_upgrades_refused_total" doc:"upgrades and event streams that the gate refused"`
	Unauthorized    uint64 `metric:"roost_unauthorized_total" doc:"tokens refused, at upgrades and in band"`
	Displaced       uint64 `metric:"roost_displaced_total" doc:"sessions closed with 4001 because the device connected again"`
	Expired         uint64 `metric:"roost_expired_total" doc:"sessions closed with 4002 because their token ended"`
	Lifetimes       uint64 `metric:"roost_lifetimes_total" doc:"sessions sent a goaway for their age"`
	FramesRefused   uint64 `metric:"roost_frames_refused_total" doc:"frames from devices answered with error"`
	RateRefused     uint64 `metric:"roost_rate_refused_total" doc:"messages from devices above message_rate"`
	RateClosed      uint64 `metric:"roost_rate_closed_total" doc:"sessions closed with 4006 because they did not heed that"`
	AcksUnknown     uint64 `metric:"roost_acks_unknown_total" doc:"acks from devices that nobody waited for"`
}

// Stats may be called from any goroutine.
func (g *Gate) Stats() Stats {
	c := &g.counters
	return Stats{
		UpgradesRefused: c.refused.Load(), Unauthorized: c.unauthorized.Load(), Displaced: c.displaced.Load(),
		Expired: c.expired.Load(), Lifetimes: c.lifetimes.Load(), FramesRefused: c.framesRefused.Load(),
		RateRefused: c.rateRefused.Load(), RateClosed: c.rateClosed.Load(), AcksUnknown: c.acksUnknown.Load(),
	}
}

package gossip

import "sync/atomic"

// Stats is what was counted since Start. Each field's metric tag is the name under
// which it is published; Refused is one counter for each Refusal, by the label reason.
type Stats struct {
	Members  uint64          `metric:"roost_gossip_members" doc:"members now, this node included"`
	Joins    uint64          `metric:"roost_gossip_joins_total" doc:"members that joined"`
	Leaves   LeavesByReason  `metric:"roost_gossip_leaves_total" label:"reason" doc:"members that went, by reason: dead, left or replaced"`
	Refused  RefusedByReason `metric:"roost_gossip_refused_total" label:"reason" doc:"nodes refused, and refusals by others, by reason"`
	Rejoins  uint64          `metric:"roost_gossip_rejoins_total" doc:"addresses asked that were no live member's"`
	Rejoined uint64          `metric:"roost_gossip_rejoined_total" doc:"exchanges with a node found that way"`
	LeftOut  uint64          `metric:"roost_gossip_addresses_left_out_total" doc:"discovery addresses left out because there are more than addresses_max"`

	Hints          uint64 `metric:"roost_gossip_hints_total" doc:"hints that a link was reset"`
	HintsDropped   uint64 `metric:"roost_gossip_hints_dropped_total" doc:"hints dropped because hints_max were being followed"`
	HintsDead      uint64 `metric:"roost_gossip_hints_dead_total" doc:"hinted members whose process was gone"`
	HintsAlive     uint64 `metric:"roost_gossip_hints_alive_total" doc:"hinted members that answered"`
	HintsUndecided uint64 `metric:"roost_gossip_hints_undecided_total" doc:"hinted members left to the ordinary detection, because nothing came back"`
	HintsRevoked   uint64 `metric:"roost_gossip_hints_revoked_total" doc:"members declared dead by a hint that answered later"`

	PacketsIn      uint64 `metric:"roost_gossip_packets_in_total" doc:"packets received"`
	PacketsOut     uint64 `metric:"roost_gossip_packets_out_total" doc:"packets sent"`
	PacketsForeign uint64 `metric:"roost_gossip_packets_foreign_total" doc:"packets dropped because their label is not this cluster's: garbage, or another cluster"`
	PacketsDropped uint64 `metric:"roost_gossip_packets_dropped_total" doc:"packets dropped because memberlist did not take them"`
	BytesIn        uint64 `metric:"roost_gossip_bytes_in_total" doc:"payload bytes received, packets and streams"`
	BytesOut       uint64 `metric:"roost_gossip_bytes_out_total" doc:"payload bytes sent, packets and streams"`
	Streams        uint64 `metric:"roost_gossip_streams_total" doc:"connections accepted"`
	StreamsDropped uint64 `metric:"roost_gossip_streams_dropped_total" doc:"connections closed at once because streams_max were open"`
	StreamsGarbage uint64 `metric:"roost_gossip_streams_garbage_total" doc:"connections closed because they did not begin with a hello"`
	Complaints     uint64 `metric:"roost_gossip_complaints_total" doc:"errors and warnings of memberlist, logged or not"`
	KeysReloads    uint64 `metric:"roost_gossip_keys_reloads_total" doc:"changed keys files taken over"`
	KeysFailures   uint64 `metric:"roost_gossip_keys_failures_total" doc:"keys files that could not be used"`
}

// LeavesByReason is one counter for each Reason.
type LeavesByReason [reasonCount]uint64

// Label is the value of the label reason for the counter i.
func (LeavesByReason) Label(i int) string { return Reason(i).String() }

// RefusedByReason is one counter for each Refusal.
type RefusedByReason [refusalCount]uint64

// Label is the value of the label reason for the counter i.
func (RefusedByReason) Label(i int) string { return Refusal(i).String() }

type counters struct {
	joins, rejoins, rejoined, leftOut                                              atomic.Uint64
	hints, hintsDropped, hintsDead, hintsAlive, hintsUndecided, hintsRevoked       atomic.Uint64
	packetsIn, packetsOut, packetsForeign, packetsDropped, bytesIn, bytesOut       atomic.Uint64
	streams, streamsDropped, streamsGarbage, complaints, keysReloads, keysFailures atomic.Uint64

	leaves  [reasonCount]atomic.Uint64
	refused [refusalCount]atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (g *Gossip) Stats() Stats {
	c := g.count
	s := Stats{
		Members: uint64(g.roster.size()), Joins: c.joins.Load(),
		Rejoins: c.rejoins.Load(), Rejoined: c.rejoined.Load(), LeftOut: c.leftOut.Load(),
		Hints: c.hints.Load(), HintsDropped: c.hintsDropped.Load(), HintsDead: c.hintsDead.Load(),
		HintsAlive: c.hintsAlive.Load(), HintsUndecided: c.hintsUndecided.Load(), HintsRevoked: c.hintsRevoked.Load(),
		PacketsIn: c.packetsIn.Load(), PacketsOut: c.packetsOut.Load(),
		PacketsForeign: c.packetsForeign.Load(), PacketsDropped: c.packetsDropped.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Streams: c.streams.Load(), StreamsDropped: c.streamsDropped.Load(), StreamsGarbage: c.streamsGarbage.Load(),
		Complaints: c.complaints.Load(), KeysReloads: c.keysReloads.Load(), KeysFailures: c.keysFailures.Load(),
	}
	for i := range s.Leaves {
		s.Leaves[i] = c.leaves[i].Load()
	}
	for i := range s.Refused {
		s.Refused[i] = c.refused[i].Load()
	}
	return s
}

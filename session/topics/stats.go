package topics

import "sync/atomic"

// Stats is what a broker has counted since it was made. Each field's metric tag is the name
// under which it is published.
type Stats struct {
	Subscriptions  uint64 `metric:"roost_topics_subscriptions" doc:"subscriptions of this node's devices now"`
	Topics         uint64 `metric:"roost_topics_subscribed" doc:"topics and patterns with a subscriber on this node"`
	Published      uint64 `metric:"roost_topics_published_total" doc:"messages to topics that this node was given, by services and by other nodes"`
	Forbidden      uint64 `metric:"roost_topics_forbidden_total" doc:"topics of subscribe frames that the token does not permit"`
	Overloaded     uint64 `metric:"roost_topics_overloaded_total" doc:"topics of subscribe frames refused because subscriptions_max, session_subscriptions_max or replays_max was reached"`
	Malformed      uint64 `metric:"roost_topics_since_malformed_total" doc:"subscribe frames whose since is no id"`
	Ended          uint64 `metric:"roost_topics_permission_ended_total" doc:"subscriptions that ended because a new token does not permit them"`
	WindowTopics   uint64 `metric:"roost_topics_window_topics" doc:"topics of which this node keeps messages"`
	WindowMessages uint64 `metric:"roost_topics_window_messages" doc:"messages it keeps"`
	WindowBytes    uint64 `metric:"roost_topics_window_bytes" doc:"memory they take"`
	HeldTopics     uint64 `metric:"roost_topics_inherited_topics" doc:"topics of which it keeps what nodes that have left handed over, counted for each of those"`
	HeldMessages   uint64 `metric:"roost_topics_inherited_messages" doc:"messages it keeps of those"`
	HeldBytes      uint64 `metric:"roost_topics_inherited_bytes" doc:"memory they take"`
	MovesSent      uint64 `metric:"roost_topics_moves_sent_total" doc:"frames of window sent to the homes of now because this node leaves"`
	MovesRefused   uint64 `metric:"roost_topics_moves_refused_total" doc:"of those the ones that a home had no room for; they are sent again"`
	MovesUnsure    uint64 `metric:"roost_topics_moves_unsure_total" doc:"of those the ones not answered within ask_timeout; they are sent again"`
	MovesLate      uint64 `metric:"roost_topics_moves_late_total" doc:"answers that came later"`
	Moved          uint64 `metric:"roost_topics_moved_total" doc:"messages that the homes of now have taken"`
	MovesReceived  uint64 `metric:"roost_topics_moves_received_total" doc:"frames of window that came from nodes which leave"`
	MovesUntaken   uint64 `metric:"roost_topics_moves_untaken_total" doc:"of those the ones that this node had no room for"`
	MovesUnsaid    uint64 `metric:"roost_topics_moves_unanswered_total" doc:"of those the ones whose answer found no room in the link"`
	Inherited      uint64 `metric:"roost_topics_inherited_total" doc:"messages taken from them that were not there"`
	Replays        uint64 `metric:"roost_topics_replays_total" doc:"subscribe frames with since"`
	Replaying      uint64 `metric:"roost_topics_replaying" doc:"subscribe frames that wait for their answer now: those with since, and those whose topics other nodes have to know of first"`
	Replayed       uint64 `metric:"roost_topics_replayed_total" doc:"messages sent again for them, or after they were held back"`
	Incomplete     uint64 `metric:"roost_topics_replays_incomplete_total" doc:"of the frames the ones answered with complete: false"`
	HeldDropped    uint64 `metric:"roost_topics_held_dropped_total" doc:"messages held back for a frame with since that went because they were above replay_messages_max or replay_bytes_max"`
	ReplayLost     uint64 `metric:"roost_topics_replay_lost_total" doc:"messages and results of frames with since that did not get to their connection"`
	InterestNodes  uint64 `metric:"roost_topics_interest_nodes" doc:"other nodes of which is known what they have subscribers of"`
	Interests      uint64 `metric:"roost_topics_interests" doc:"topics and patterns noted of them"`
	Everything     uint64 `metric:"roost_topics_interest_everything" doc:"of those nodes the ones that get everything, because they have more than interests_max"`
}

type counters struct {
	published, forbidden, overloaded, malformed, ended, replays, replayed, incomplete, heldDropped, replayLost atomic.Uint64

	movesSent, movesRefused, movesUnsure, movesLate, moved  atomic.Uint64
	movesReceived, movesUntaken, movesUnanswered, inherited atomic.Uint64

	replaying atomic.Int64
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (b *Broker) Stats() Stats {
	c := &b.count
	s := Stats{
		Published: c.published.Load(), Forbidden: c.forbidden.Load(), Overloaded: c.overloaded.Load(),
		Malformed: c.malformed.Load(), Ended: c.ended.Load(), Replays: c.replays.Load(),
		Replaying: uint64(max(0, c.replaying.Load())), Replayed: c.replayed.Load(), Incomplete: c.incomplete.Load(),
		HeldDropped: c.heldDropped.Load(), ReplayLost: c.replayLost.Load(),
		MovesSent: c.movesSent.Load(), MovesRefused: c.movesRefused.Load(), MovesUnsure: c.movesUnsure.Load(), MovesLate: c.movesLate.Load(), Moved: c.moved.Load(),
		MovesReceived: c.movesReceived.Load(), MovesUntaken: c.movesUntaken.Load(), MovesUnsaid: c.movesUnanswered.Load(), Inherited: c.inherited.Load(),
	}
	b.subs.mu.RLock()
	s.Subscriptions, s.Topics = uint64(b.subs.length), uint64(len(b.subs.entries))
	b.subs.mu.RUnlock()
	b.window.mu.Lock()
	s.WindowTopics, s.WindowMessages, s.WindowBytes = uint64(len(b.window.topics)), uint64(b.window.length), uint64(b.window.size)
	b.window.mu.Unlock()
	for _, k := range b.inherited.appendAll(nil) {
		bytes, topics := k.window.measure()
		s.HeldTopics, s.HeldMessages, s.HeldBytes = s.HeldTopics+uint64(topics), s.HeldMessages+uint64(k.window.len()), s.HeldBytes+uint64(bytes)
	}
	s.InterestNodes, s.Interests, s.Everything = b.interests.count()
	return s
}

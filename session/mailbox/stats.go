package mailbox

import (
	"sync/atomic"

	"github.com/roostpush/roost/session"
)

// Stats is what a mailbox has counted since it was made. Each field's metric tag is the
// name under which it is published. Outcomes is one counter for each outcome, by the label
// outcome: what was settled, and with what.
type Stats struct {
	Kept     uint64                       `metric:"roost_mailbox_kept_total" doc:"messages synced, one for each device"`
	Outcomes [session.OutcomeCount]uint64 `metric:"roost_mailbox_outcomes_total" doc:"kept messages settled by final outcome"`

	Attempts  uint64 `metric:"roost_mailbox_attempts_total" doc:"times a kept message was put on its way to a session"`
	Direct    uint64 `metric:"roost_mailbox_direct_total" doc:"of those the ones sent from memory, because the device was online and nothing else waited for it"`
	Written   uint64 `metric:"roost_mailbox_written_total" doc:"attempts after which the kernel had the bytes"`
	Passed    uint64 `metric:"roost_mailbox_passed_total" doc:"messages that a device had and did not acknowledge for window_patience_ms, so that the window did not count them any more"`
	Late      uint64 `metric:"roost_mailbox_late_total" doc:"outcomes of attempts that changed nothing: the message was settled, or had gone to a newer session"`
	Pauses    uint64 `metric:"roost_mailbox_pauses_total" doc:"times a device was left alone for a while because it could not take a message, or its mailbox could not be read"`
	Turnless  uint64 `metric:"roost_mailbox_turnless_total" doc:"times a device was left alone because too many waited for their turn"`
	Collapsed uint64 `metric:"roost_mailbox_collapsed_total" doc:"messages cancelled because a newer one had their collapse key"`
	Missing   uint64 `metric:"roost_mailbox_missing_total" doc:"messages given up as lost because the store did not have them any more"`

	Refused        uint64 `metric:"roost_mailbox_refused_total" doc:"pushes refused, for whatever reason"`
	RefusedNode    uint64 `metric:"roost_mailbox_refused_node_total" doc:"messages refused by messages_max or bytes_max"`
	RefusedDevice  uint64 `metric:"roost_mailbox_refused_device_total" doc:"messages refused by device_messages_max or device_bytes_max"`
	RefusedAccount uint64 `metric:"roost_mailbox_refused_account_total" doc:"pushes refused by account_devices_max"`
	RefusedPending uint64 `metric:"roost_mailbox_refused_pending_total" doc:"pushes refused by pending_max or pending_bytes_max"`
	Unstored       uint64 `metric:"roost_mailbox_unstored_total" doc:"pushes refused because the store did not take them"`
	Incomplete     uint64 `metric:"roost_mailbox_incomplete_total" doc:"pushes to an account kept although a node is gone that may remember more of its devices: unreachable is among their outcomes"`
	Unlisted       uint64 `metric:"roost_mailbox_unlisted_total" doc:"pushes to an account refused because its devices could not be listed"`

	AcksUnknown  uint64 `metric:"roost_mailbox_acks_unknown_total" doc:"acks for a message that did not wait for the device: another's, unknown or settled already"`
	Through      uint64 `metric:"roost_mailbox_acked_through_total" doc:"messages acknowledged because the client of an event stream had received a later one"`
	Reads        uint64 `metric:"roost_mailbox_reads_total" doc:"pages read from the store"`
	Learned      uint64 `metric:"roost_mailbox_learned_total" doc:"devices whose mailbox of before the start was read"`
	MissedUnread uint64 `metric:"roost_mailbox_missed_unread_total" doc:"devices that came soon after the start and whose messages were not read in time, or because mailbox.missed_max were being read for: their hello says what was known"`
	Unread       uint64 `metric:"roost_mailbox_unread_total" doc:"reads of the store that failed; they are repeated"`

	Waiting      uint64 `metric:"roost_mailbox_waiting" doc:"messages that wait now, or are being stored"`
	WaitingBytes uint64 `metric:"roost_mailbox_waiting_bytes" doc:"their payloads, as far as known"`
	Devices      uint64 `metric:"roost_mailbox_devices" doc:"devices for which something waits now"`
	Pending      uint64 `metric:"roost_mailbox_pending" doc:"pushes that are being stored now, or wait for a list of devices"`
	Watched      uint64 `metric:"roost_mailbox_watched" doc:"messages somebody waits for the outcome of now"`
	Jobs         uint64 `metric:"roost_mailbox_jobs" doc:"reads that wait for a worker now"`
	Listing      uint64 `metric:"roost_mailbox_listing" doc:"lists of an account's devices that are asked for now"`
	Unasked      uint64 `metric:"roost_mailbox_unasked" doc:"accounts whose list waits for its turn, because lists_max are asked for"`
	Indexed      uint64 `metric:"roost_mailbox_indexed" doc:"1 once the pass over the store after the start is through"`
}

type counters struct {
	kept, attempts, direct, written, passed, late, pauses, turnless, collapsed, missing        atomic.Uint64
	refused, refusedNode, refusedDevice, refusedAccount, refusedPending                        atomic.Uint64
	unstored, unlisted, incomplete, acksUnknown, through, reads, learned, unread, missedUnread atomic.Uint64

	outcomes [session.OutcomeCount]atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (m *Mailbox) Stats() Stats {
	c := &m.count
	s := Stats{
		Kept: c.kept.Load(), Attempts: c.attempts.Load(), Direct: c.direct.Load(), Written: c.written.Load(),
		Passed: c.passed.Load(), Late: c.late.Load(), Pauses: c.pauses.Load(), Turnless: c.turnless.Load(),
		Collapsed: c.collapsed.Load(), Missing: c.missing.Load(),
		Refused: c.refused.Load(), RefusedNode: c.refusedNode.Load(), RefusedDevice: c.refusedDevice.Load(),
		RefusedAccount: c.refusedAccount.Load(), RefusedPending: c.refusedPending.Load(),
		Unstored: c.unstored.Load(), Unlisted: c.unlisted.Load(), Incomplete: c.incomplete.Load(), AcksUnknown: c.acksUnknown.Load(), Through: c.through.Load(),
		Reads: c.reads.Load(), Learned: c.learned.Load(), Unread: c.unread.Load(), MissedUnread: c.missedUnread.Load(),
		Waiting: uint64(m.waiting.Load()), WaitingBytes: uint64(m.waitingBytes.Load()),
		Devices: uint64(m.boxes.Load()), Pending: uint64(m.pending.Load()),
		Watched: uint64(m.watches.count()), Jobs: uint64(m.queue.length()),
	}
	listing, unasked := m.listers.count()
	s.Listing, s.Unasked = uint64(listing), uint64(unasked)
	if m.indexed.Load() {
		s.Indexed = 1
	}
	for i := range s.Outcomes {
		s.Outcomes[i] = c.outcomes[i].Load()
	}
	return s
}

package mailbox

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/session"

	"pgregory.net/rapid"
)

// TestModel plays at random what a node may live through, with three devices of an
// account, and compares what the mailbox says with what the store holds. After each crash
// everything begins anew but for the store and the devices. In the end all devices are online and
// acknowledge, and nothing may be left.
func TestModel(t *testing.T) {
	total := map[string]int{}
	missing := func() (names []string) {
		for _, name := range []string{"acked", "expired", "cancelled", "crashes", "refused", "learned"} {
			if total[name] == 0 {
				names = append(names, name)
			}
		}
		return names
	}
	play := func(t *rapid.T) {
		cfg := testConfig()
		cfg.DeviceMessagesMax = rapid.SampledFrom([]int{4, 1000}).Draw(t, "device messages max")
		cfg.WindowMessages = rapid.SampledFrom([]int{1, 3, 128}).Draw(t, "window")
		cfg.EarlyAcksMax = rapid.SampledFrom([]int{1, 1000}).Draw(t, "early acks")
		m := &model{T: t, world: newWorld(cfg), told: map[string][]uint64{}}
		m.devices = []string{"d", "e", "f"}
		for range rapid.IntRange(10, 150).Draw(t, "steps") {
			m.step()
			if len(m.wrong) > 0 {
				t.Fatal(m.wrong)
			}
		}
		m.end()
		for name, n := range m.counts {
			total[name] += n
		}
	}
	// Now and then a few games, as -short has them, lack one thing.
	for games := 0; games == 0 || games < 20 && len(missing()) > 0 && !t.Failed(); games++ {
		rapid.Check(t, play)
	}
	t.Log(total)
	for _, name := range missing() {
		t.Errorf("nothing was %s in all of it", name)
	}
}

// model is a world whose steps are chosen at random.
type model struct {
	*rapid.T
	*world
	told   map[string][]uint64 // sessions the mailbox is yet to be told of
	counts map[string]int
}

func (m *model) count(name string, n int) {
	if m.counts == nil {
		m.counts = map[string]int{}
	}
	m.counts[name] += n
}

func (m *model) step() {
	device := rapid.SampledFrom(m.devices).Draw(m.T, "device")
	switch rapid.SampledFrom([]string{
		"post", "post", "post", "account", "sync", "sync", "work", "work", "work", "connect", "end", "told", "told",
		"arrive", "arrive", "hear", "hear", "ack", "ack", "old ack", "tick", "cancel", "crash", "busy", "fail", "missed", "learn", "learn", "clock",
	}).Draw(m.T, "step") {
	case "post":
		m.postAs(device)
	case "account":
		m.postAs("")
	case "sync":
		m.store.sync()
	case "work":
		m.work()
	case "connect":
		m.told[device] = append(m.told[device], m.connect(device))
	case "end":
		delete(m.online, address(device))
	case "told":
		m.tell(device)
	case "arrive":
		if f := m.flight(false); f != nil {
			m.arrive(f)
		}
	case "hear":
		if f := m.flight(true); f != nil {
			m.hear(f)
		}
	case "ack":
		if len(m.got) > 0 {
			m.ack(rapid.SampledFrom(m.got).Draw(m.T, "receipt"))
		}
	case "old ack":
		m.oldAck(device)
	case "tick":
		m.tick(rapid.Int64Range(1, 5000).Draw(m.T, "pass"))
	case "cancel":
		m.cancel()
	case "crash":
		if rapid.IntRange(0, 4).Draw(m.T, "sure") == 0 {
			m.count("crashes", 1)
			m.crash()
		}
	case "busy":
		m.busy = rapid.IntRange(0, 3).Draw(m.T, "busy")
	case "fail":
		m.store.unread = rapid.SampledFrom([]error{nil, nil, fmt.Errorf("stalled")}).Draw(m.T, "unread")
	case "missed":
		m.checkMissed(device)
	case "learn":
		m.learn(device)
	case "clock":
		m.nowMS += rapid.Int64Range(-20_000, 2000).Draw(m.T, "set by")
	}
}

// learn has what the device has missed read, and compares it when that is known.
func (m *model) learn(device string) {
	unread, run := m.mailbox.Stats().MissedUnread, m.epoch
	m.mailbox.Learn(address(device), func() {
		if m.epoch != run || m.mailbox.Stats().MissedUnread != unread || m.store.unsynced() > 0 {
			return
		}
		m.count("learned", 1)
		if got, want := m.mailbox.Missed(address(device)), m.stored(device); got != want && !m.early(device) {
			m.Fatalf("missed %d once it is learned, the store has %d", got, want)
		}
	})
}

// stored is how many messages the store has for the device.
func (m *model) stored(device string) (n int) {
	for _, k := range m.store.mail {
		if k.Device == device && k.ExpiresMS > m.nowMS {
			n++
		}
	}
	return n
}

func (m *model) postAs(device string) {
	m.post(Push{
		Device:    device,
		Priority:  rapid.SampledFrom([]session.Priority{session.PriorityNormal, session.PriorityHigh, session.PriorityLow}).Draw(m.T, "priority"),
		Collapse:  rapid.SampledFrom([]string{"", "", "", "k", "l"}).Draw(m.T, "collapse"),
		First:     rapid.IntRange(0, 2).Draw(m.T, "first") == 0,
		ExpiresMS: m.nowMS + rapid.SampledFrom([]int64{1, 3000, 3_600_000}).Draw(m.T, "ttl"),
	})
}

// tell tells the mailbox of the device's oldest session that it has not heard of.
func (m *model) tell(device string) {
	if list := m.told[device]; len(list) > 0 {
		m.told[device] = list[1:]
		m.mailbox.Opened(address(device), list[0])
	}
}

func (m *model) flight(arrived bool) *flight {
	var list []*flight
	for _, f := range m.flying {
		if f.arrived == arrived {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return rapid.SampledFrom(list).Draw(m.T, "flight")
}

// oldAck acknowledges something that may be anybody's, and of any run.
func (m *model) oldAck(device string) {
	id := session.ID{Origin: session.Origin{Node: "n1", Epoch: rapid.Uint64Range(1, m.epoch).Draw(m.T, "epoch")}}
	id.Number = session.MessageID(rapid.Uint64Range(1, 12).Draw(m.T, "number"))
	m.ack(receipt{address(device), id})
}

// cancel withdraws some message. What was withdrawn is not sent any more in this run.
func (m *model) cancel() {
	if len(m.store.mail) == 0 {
		return
	}
	id := rapid.SampledFrom(m.store.mail).Draw(m.T, "message").ID
	list, _, _ := m.mailbox.Cancel(id)
	for _, f := range list {
		if f.Outcome == session.Cancelled {
			m.settled[f.Device+" "+id.Text()] = true
		}
	}
}

// checkMissed compares with the store. What is stored and not settled yet counts for one
// side only, so the comparison waits for a moment in which there is nothing of that kind.
func (m *model) checkMissed(device string) {
	if m.store.unsynced() > 0 || !m.mailbox.indexed.Load() {
		return
	}
	if got, want := m.mailbox.Missed(address(device)), m.stored(device); got != want && !m.early(device) {
		m.Fatalf("missed %d, the store has %d", got, want)
	}
}

func (m *model) early(device string) bool {
	b := m.mailbox.shards[0].boxes[address(device)]
	return b != nil && len(b.early()) > 0
}

// end lets everything come to rest.
func (m *model) end() {
	m.busy, m.store.unread, m.got = 0, nil, nil
	for _, device := range m.devices {
		m.told[device] = append(m.told[device], m.connect(device))
	}
	for _, device := range m.devices {
		for len(m.told[device]) > 0 {
			m.tell(device)
		}
	}
	m.settle()
	m.tick(setMS + 2<<tickBits) // a clock set by less than setMS moves no box, and a slot is through a little later
	m.settle()
	if len(m.wrong) > 0 {
		m.Fatal(m.wrong)
	}
	if n := m.store.count(); n != 0 {
		m.Fatalf("%d messages are left: %v", n, m.store.mail)
	}
	s := m.mailbox.Stats()
	if s.Waiting != 0 || s.WaitingBytes != 0 || s.Devices != 0 || s.Pending != 0 || s.Missing != 0 || s.Watched != 0 {
		m.Fatalf("stats: %+v", s)
	}
	for name, n := range m.checkFates() {
		m.count(name, n)
	}
	if len(m.wrong) > 0 {
		m.Fatal(m.wrong)
	}
	m.count("refused", len(m.refused))
}

package mailbox

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// town is a few nodes with a mailbox each, whose links carry real frames when the test says
// so. It belongs to one goroutine.
type town struct {
	nodes map[string]*townNode
	home  string
	now   int64
	queue []func() // frames under way
	down  map[string]bool
	full  bool
	asked []string // nodes that were asked for keys
}

type townNode struct {
	t     *town
	name  string
	store *twin
	box   *Mailbox
	homes *Homes
	next  session.MessageID
	got   []string // "payload id" that the device here was sent
	here  bool     // the device is connected here
}

func newTown(t *testing.T, cfg HomesConfig, names ...string) *town {
	w := &town{nodes: map[string]*townNode{}, down: map[string]bool{}, now: 1_000_000}
	for _, name := range names {
		n := &townNode{t: w, name: name, store: newTwin()}
		n.store.immediate = true
		n.box = New(Default(), Ports{
			Store: n.store, Router: n, Presence: w, Directory: w, Canceller: n,
			NewID: func() session.ID {
				n.next++
				return session.ID{Origin: session.Origin{Node: n.name, Epoch: 1}, Number: n.next}
			},
			Now: func() int64 { return w.now }, Hash: townHash, Keys: n.store,
		})
		n.homes = NewHomes(cfg, n.box, HomesPorts{
			Self: name, Members: w, Links: n, NowMS: func() int64 { return w.now }, SteadyMS: func() int64 { return w.now },
			Ask: func(kind wire.QuestionKind, id session.ID) (list []Fate, found bool, err error) {
				for _, other := range w.nodes {
					if other == n {
						continue
					}
					ask := other.homes.FatesHere
					if kind == wire.QuestionCancel {
						ask = other.homes.CancelHere
					}
					if fates, there, _ := ask(id); there {
						list, found = MergeFates(list, fates), true
					}
				}
				return list, found, nil
			},
			AskKey: func(nodes []string, hash [16]byte) (found []wire.MailKey, storing bool, silent int) {
				for _, name := range nodes {
					w.asked = append(w.asked, name)
					if w.nodes[name] == nil || w.down[name] {
						silent++
						continue
					}
					k, held, storingThere, unread := w.nodes[name].homes.KeyHere(hash)
					switch {
					case held:
						found = append(found, k)
					case unread:
						silent++
					}
					storing = storing || storingThere
				}
				return found, storing, silent
			},
		})
		w.nodes[name] = n
		w.home = name
	}
	w.work()
	return w
}

func townHash(account, device string) (uint64, uint64) {
	return uint64(len(account) + 1000*len(device)), uint64(len(account))
}

func (w *town) Home(string) string     { return w.home }
func (w *town) HomeOf(uint64) string   { return w.home }
func (w *town) Sum() uint64            { return uint64(w.home[0]) }
func (w *town) Knows(node string) bool { return w.nodes[node] != nil }
func (w *town) Devices(_ string, dst []string) ([]string, error) {
	return append(dst, "phone", "tv"), nil
}
func (n *townNode) Cancel(session.Address, []session.ID) {}
func (n *townNode) Speaks(node string, _ wire.LinkType) bool {
	return !n.t.down[node] && !n.t.down[n.name]
}

// Online: the phone is where here says; the tv never is.
func (w *town) Online(a session.Address) (uint64, bool) {
	for _, n := range w.nodes {
		if n.here && a.Device == "phone" {
			return 1, true
		}
	}
	return 0, false
}

// Attempt delivers to whatever node has the device.
func (n *townNode) Attempt(m *session.Kept, _ uint64, heard func(session.Outcome)) {
	for _, to := range n.t.nodes {
		if to.here {
			to.got = append(to.got, fmt.Sprintf("%s %s", m.Payload, m.ID.Text()))
			if to != n {
				to.homes.Sent(n.name, m.ID)
			}
			heard(session.Written)
			return
		}
	}
	heard(session.Offline)
}

// Send parses what the link would carry at the other end.
func (n *townNode) Send(node string, typ wire.LinkType, body []byte) bool {
	if !n.Speaks(node, typ) || n.t.full {
		return false
	}
	body = slices.Clone(body)
	to := n.t.nodes[node].homes
	n.t.queue = append(n.t.queue, func() {
		var err error
		switch typ {
		case wire.LinkTypeMail:
			var m wire.Mail
			if err = wire.ParseMail(body, &m); err == nil {
				to.Take(n.name, &m)
			}
		case wire.LinkTypeMailed:
			var m wire.Mailed
			if err = wire.ParseMailed(body, &m); err == nil {
				to.Mailed(&m)
			}
		case wire.LinkTypeMailFate:
			var m wire.MailFate
			if err = wire.ParseMailFate(body, &m); err == nil {
				to.Fate(&m)
			}
		case wire.LinkTypeMailAck:
			var m wire.MailAck
			if err = wire.ParseMailAck(body, &m); err == nil {
				to.AckedElsewhere(&m)
			}
		case wire.LinkTypeMailMove:
			var m wire.MailMove
			if err = wire.ParseMailMove(body, &m); err == nil {
				to.TakeMove(n.name, &m)
			}
		case wire.LinkTypeMailMoved:
			var m wire.MailMoved
			if err = wire.ParseMailMoved(body, &m); err == nil {
				to.Moved(&m)
			}
		case wire.LinkTypeMailUnwatch:
			var m wire.MailUnwatch
			if err = wire.ParseMailUnwatch(body, &m); err == nil {
				to.Unwatched(n.name, &m)
			}
		case wire.LinkTypeMailKeys:
			var m wire.MailKeys
			if err = wire.ParseMailKeys(body, &m); err == nil {
				to.TakeKeys(n.name, &m)
			}
		case wire.LinkTypeMailFiled:
			var m wire.MailFiled
			if err = wire.ParseMailFiled(body, &m); err == nil {
				to.Filed(&m)
			}
		case wire.LinkTypeMailSettled:
			var m wire.MailSettled
			if err = wire.ParseMailSettled(body, &m); err == nil {
				to.Settled(n.name, &m)
			}
		}
		if err != nil {
			panic(err)
		}
		clear(body) // it was borrowed
	})
	return true
}

// work lets links and mailboxes do what they have to do.
func (w *town) work() {
	for busy := true; busy; {
		busy = len(w.queue) > 0
		for _, f := range w.queue {
			w.queue = w.queue[1:]
			f()
		}
		for _, n := range w.nodes {
			var k worker
			for j := n.box.queue.pop(false); j != nil; j = n.box.queue.pop(false) {
				j.work(&k)
				busy = true
			}
		}
	}
}

// link says that all nodes are linked.
func (w *town) link() {
	for name := range w.nodes {
		for other, n := range w.nodes {
			if other != name {
				n.homes.Linked(name)
			}
		}
	}
}

// settle gives everybody time to file keys.
func (w *town) settle() {
	for range 4 {
		w.now += movePauseMax
		for _, n := range w.nodes {
			n.homes.Tick(w.now)
		}
		w.work()
	}
}

// ear notes what a watcher hears.
type ear struct {
	id   session.ID
	said []string
}

func (e *ear) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	e.id = id
	e.said = append(e.said, fmt.Sprintf("kept %d %v %s", devices, refused, why))
}

func (e *ear) Became(_ session.ID, device string, o session.Outcome) {
	e.said = append(e.said, fmt.Sprintf("%s %v", device, o))
}

func (w *town) push(node string, p Push) *ear {
	e := new(ear)
	p.Account, p.ExpiresMS = "alice", w.now+60_000
	w.nodes[node].homes.Post(&p, e)
	return e
}

var homesTest = HomesConfig{InFlightMax: 2, InFlightBytes: 100, AcksMax: 2, AnswerTimeout: 3e9, MoveMax: 4, MoveBytes: 1 << 10, StraysMax: 2}

var phone = session.Address{Account: "alice", Device: "phone"}

func (e *ear) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(e.said, want) {
		t.Errorf("heard %q, want %q", e.said, want)
	}
}

// TestHomes posts at one node, keeps at the second, and delivers and acknowledges at the third.
func TestHomes(t *testing.T) {
	w := newTown(t, homesTest, "a", "b", "h")
	e := w.push("a", Push{Device: "phone", Payload: []byte("x")})
	e.want(t)
	w.work()
	e.want(t, "kept 1 pending ", "phone queued")
	if e.id.Node != "h" || w.nodes["h"].homes.Missed(phone) != 1 || w.nodes["a"].homes.Missed(phone) != 0 {
		t.Errorf("%v is kept by the wrong node", e.id)
	}
	w.nodes["b"].here = true
	address, account := townHash("alice", "phone")
	w.nodes["h"].homes.Online([]wire.Change{{Address: address, Account: account, Version: 1}})
	w.work()
	e.want(t, "kept 1 pending ", "phone queued", "phone written")
	if got := w.nodes["b"].got; len(got) != 1 || got[0] != "x "+e.id.Text() {
		t.Errorf("the phone got %q", got)
	}
	if !w.nodes["b"].homes.Acked(phone, e.id) {
		t.Error("an ack of a message that another node keeps is refused")
	}
	w.work()
	e.want(t, "kept 1 pending ", "phone queued", "phone written", "phone acked")
	for _, n := range w.nodes {
		list, found, err := n.homes.Fates(e.id)
		if err != nil || !found || len(list) != 1 || list[0].Outcome != session.Acked {
			t.Errorf("%s says %v %v %v", n.name, list, found, err)
		}
	}
	if w.nodes["b"].homes.Acked(phone, session.ID{Origin: session.Origin{Node: "nobody", Epoch: 1}}) {
		t.Error("an ack for a node that nobody knows is taken")
	}
	if n := len(w.nodes["a"].homes.watched); n != 0 {
		t.Errorf("%d messages are still watched", n)
	}
}

func TestHomesUnwatchAndBrief(t *testing.T) {
	w := newTown(t, homesTest, "a", "h")
	brief := w.push("a", Push{Device: "phone", Payload: []byte("x"), Brief: true})
	whole := w.push("a", Push{Device: "tv", Payload: []byte("y")})
	w.work()
	brief.want(t, "kept 1 pending ")
	w.nodes["a"].homes.Unwatch(whole.id, whole)
	if list, _, err := w.nodes["a"].homes.Cancel(whole.id); err != nil || len(list) != 1 || list[0].Outcome != session.Cancelled {
		t.Errorf("%v %v", list, err)
	}
	w.work()
	whole.want(t, "kept 1 pending ", "tv queued")
}

// TestHomesTellsAllWhoWait: two at one node push the same with one key, to another's home. Each hears
// what becomes of the message, until it waits no more.
func TestHomesTellsAllWhoWait(t *testing.T) {
	w := newTown(t, homesTest, "a", "h")
	a, h := w.nodes["a"].homes, w.nodes["h"]
	p := Push{Device: "tv", Payload: []byte("x"), Key: session.NewKey("", "k", &session.Kept{Address: session.Address{Account: "alice", Device: "tv"}, Payload: []byte("x")})}
	wants := func(e *ear, want ...string) {
		t.Helper()
		e.said = slices.Compact(e.said) // what one of them is told because it has come again, all hear
		e.want(t, want...)
	}
	var all []*ear
	for range 3 {
		all = append(all, w.push("a", p))
		w.work()
	}
	for _, e := range all {
		wants(e, "kept 1 pending ", "tv queued")
		if e.id != all[0].id {
			t.Fatalf("ids %s and %s", all[0].id.Text(), e.id.Text())
		}
	}
	for _, e := range all[1:] {
		a.Unwatch(e.id, e)
		w.work()
		if h.box.Stats().Watched != 1 || a.Stats().Watched != 1 {
			t.Error("nobody watches any more")
		}
	}
	all = append(all, w.push("a", p))
	w.work()
	if _, _, err := a.Cancel(all[0].id); err != nil {
		t.Error(err)
	}
	w.work()
	for _, e := range all[1:3] {
		wants(e, "kept 1 pending ", "tv queued")
	}
	for _, e := range []*ear{all[0], all[3]} {
		wants(e, "kept 1 pending ", "tv queued", "tv cancelled")
	}
	if n := a.Stats().Watched; n != 0 {
		t.Errorf("%d are watched", n)
	}
}

// TestHomesStandsIn for a home without a link, one that loses its link, one that is slow, and
// one that takes nothing more. Each message is kept once here, and counted by the reason.
func TestHomesStandsIn(t *testing.T) {
	for _, c := range []struct {
		reason string
		unsure uint64
		spoil  func(w *town)
		later  func(w *town)
	}{
		{"unlinked", 0, func(w *town) { w.down["h"] = true }, func(*town) {}},
		{"queue_full", 0, func(w *town) { w.full = true }, func(*town) {}},
		{"unlinked", 1, func(*town) {}, func(w *town) { w.queue = nil; w.nodes["a"].homes.Unlinked("h") }},
		{"late", 1, func(*town) {}, func(w *town) { w.now += 3000; w.nodes["a"].homes.Tick(w.now) }},
	} {
		w := newTown(t, homesTest, "a", "h")
		c.spoil(w)
		e := w.push("a", Push{Device: "phone", Payload: []byte("x")})
		w.nodes["a"].homes.Tick(w.now + 2999) // not yet
		w.nodes["a"].homes.Unlinked("b")      // somebody else
		c.later(w)
		if len(e.said) == 0 || e.said[0] != "kept 1 pending " || e.id.Node != "a" {
			t.Errorf("%s: %q %v", c.reason, e.said, e.id)
		}
		s := w.nodes["a"].homes.Stats()
		for i, n := range s.StoodIn {
			if (n == 1) != (s.StoodIn.Label(i) == c.reason) {
				t.Errorf("%s: %s is %d", c.reason, s.StoodIn.Label(i), n)
			}
		}
		if s.Unsure != c.unsure || s.InFlight != 0 {
			t.Errorf("%s: %+v", c.reason, s)
		}
		said := len(e.said)
		w.work() // an answer that comes late says nothing more
		if c.reason == "late" && w.nodes["a"].homes.Stats().LateAnswers != 1 {
			t.Error("the late answer is not counted")
		}
		for _, text := range e.said[said:] {
			if text == "kept 1 pending " {
				t.Errorf("%s: kept is said twice", c.reason)
			}
		}
	}
}

func TestHomesLimits(t *testing.T) {
	w := newTown(t, homesTest, "a", "h")
	w.push("a", Push{Device: "phone", Payload: make([]byte, 60)})
	w.push("a", Push{Device: "phone", Payload: make([]byte, 41)}).want(t, "kept 0 overloaded cluster.mail.in_flight_bytes: so many bytes of messages wait for the homes of their accounts already")
	w.push("a", Push{Device: "phone"})
	w.push("a", Push{Device: "phone"}).want(t, "kept 0 overloaded cluster.mail.in_flight_max: so many messages wait for the homes of their accounts already")
	if s := w.nodes["a"].homes.Stats(); s.Overloaded != 2 || s.InFlight != 2 {
		t.Errorf("%+v", s)
	}
	w.work()
	if s := w.nodes["a"].homes.Stats(); s.InFlight != 0 || w.nodes["a"].homes.bytes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestHomesHoldsAcks while there is no link to the keeper, up to a limit.
func TestHomesHoldsAcks(t *testing.T) {
	w := newTown(t, homesTest, "b", "h")
	w.nodes["b"].here = true
	var ids []session.ID
	for range 3 {
		e := w.push("h", Push{Device: "phone", Payload: []byte("x")})
		w.work()
		ids = append(ids, e.id)
	}
	w.down["h"] = true
	for _, id := range ids {
		if !w.nodes["b"].homes.Acked(phone, id) {
			t.Error("refused")
		}
	}
	if s := w.nodes["b"].homes.Stats(); s.AcksHeld != 2 || s.AcksLost != 1 {
		t.Errorf("%+v", s)
	}
	w.down["h"] = false
	w.nodes["b"].homes.Linked("h")
	w.work()
	if n := w.nodes["h"].homes.Missed(phone); n != 1 {
		t.Errorf("%d wait, of which one ack was lost", n)
	}
	if s := w.nodes["b"].homes.Stats(); s.AcksHeld != 0 || s.AcksSent != 2 || w.nodes["h"].homes.Stats().AcksReceived != 2 {
		t.Errorf("%+v", s)
	}
}

// TestHomesDropsAcks for a keeper that is not coming back.
func TestHomesDropsAcks(t *testing.T) {
	w := newTown(t, homesTest, "b", "h")
	w.down["h"] = true
	b := w.nodes["b"].homes
	b.Acked(phone, session.ID{Origin: session.Origin{Node: "h", Epoch: 1}, Number: 1})
	if b.Tick(w.now); b.Stats().AcksHeld != 1 {
		t.Error("dropped although it is a member")
	}
	delete(w.nodes, "h")
	if b.Tick(w.now); b.Stats().AcksHeld != 0 || b.Stats().AcksLost != 1 {
		t.Errorf("%+v", b.Stats())
	}
}

// TestHomesOffersAcksAgain to a link that is up and had no room.
func TestHomesOffersAcksAgain(t *testing.T) {
	w := newTown(t, homesTest, "b", "h")
	w.nodes["b"].here = true
	e := w.push("h", Push{Device: "phone", Payload: []byte("x")})
	w.work()
	w.full = true
	w.nodes["b"].homes.Acked(phone, e.id)
	w.nodes["b"].homes.Tick(w.now)
	w.full = false
	if s := w.nodes["b"].homes.Stats(); s.AcksHeld != 1 {
		t.Errorf("%+v", s)
	}
	w.nodes["b"].homes.Tick(w.now)
	w.work()
	if s := w.nodes["b"].homes.Stats(); s.AcksHeld != 0 || w.nodes["h"].homes.Missed(phone) != 0 {
		t.Errorf("%+v, and %d wait", s, w.nodes["h"].homes.Missed(phone))
	}
}

// TestHomesStandsInInOrder: what was under way when the link ended is kept in the order in
// which it was posted.
func TestHomesStandsInInOrder(t *testing.T) {
	cfg := homesTest
	cfg.InFlightMax, cfg.InFlightBytes = 100, 10_000
	w := newTown(t, cfg, "a", "h")
	var ears []*ear
	for i := range 50 {
		ears = append(ears, w.push("a", Push{Device: "tv", Payload: []byte{byte('0' + i%10)}}))
	}
	w.queue = nil
	w.nodes["a"].homes.Unlinked("h")
	w.work()
	for i := 1; i < len(ears); i++ {
		if ears[i].id.Number != ears[i-1].id.Number+1 {
			t.Fatalf("message %d is number %d, the one before it %d", i, ears[i].id.Number, ears[i-1].id.Number)
		}
	}
}

// TestHomesLooksNowAndThen for devices that came without a word.
func TestHomesLooksNowAndThen(t *testing.T) {
	w := newTown(t, homesTest, "h")
	w.push("h", Push{Device: "phone", Payload: []byte("x")})
	w.work()
	h := w.nodes["h"]
	h.homes.Tick(w.now)
	h.here = true
	for _, c := range []struct {
		later int64
		got   int
	}{{lookEveryMS - 1, 0}, {lookEveryMS, 1}} {
		h.homes.Tick(w.now + c.later)
		w.work()
		if len(h.got) != c.got {
			t.Errorf("after %d ms: %q", c.later, h.got)
		}
	}
}

// TestHomesRefused: what the home says is what the caller hears, and nobody stands in.
func TestHomesRefused(t *testing.T) {
	w := newTown(t, homesTest, "a", "h")
	w.nodes["h"].store.refuse = fmt.Errorf("the disk is full")
	e := w.push("a", Push{Device: "phone", Payload: []byte("x")})
	w.work()
	e.want(t, "kept 0 overloaded it could not be stored: the disk is full")
	if s := w.nodes["a"].homes.Stats(); s.StoodIn != (ByStanding{}) {
		t.Errorf("%+v", s)
	}
}

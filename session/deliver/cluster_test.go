package deliver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// forwarded is one message that a fake cluster was asked to take.
type forwarded struct {
	node string
	f    wire.Forward
	rcpt Answers
	tag  uint64
}

// others is a fake cluster: a table in a map, and links that keep what they are given.
type others struct {
	places map[string]Place
	nodes  []string
	sent   []forwarded
	now    session.Outcome // Pending: keep; else fail at once with it
	forgot []Place
	holds  bool // the own log has whatever hash it is asked for
}

func (o *others) Locate(account, device string) Place { return o.places[account+"/"+device] }

func (o *others) Holds(account, device string) bool {
	return o.holds
}

func (o *others) Forget(p Place) {
	o.forgot = append(o.forgot, p)
	for name, at := range o.places {
		if at == p {
			delete(o.places, name)
		}
	}
}

func (o *others) AppendNodes(dst []string, account string) []string { return append(dst, o.nodes...) }

func (o *others) Forward(node string, f *wire.Forward, rcpt Answers, tag uint64) {
	if o.now != session.Pending {
		rcpt.Failed(tag, o.now)
		return
	}
	kept := *f
	kept.Payload = slices.Clone(f.Payload)
	kept.Account, kept.Device = strings.Clone(f.Account), strings.Clone(f.Device)
	o.sent = append(o.sent, forwarded{node, kept, rcpt, tag})
}

func (o *others) answer(i int, devices ...wire.DeviceOutcome) {
	x := o.sent[i]
	x.rcpt.Answered(x.tag, &wire.Outcomes{Devices: devices, Final: true})
}

func there(node string, version uint64) Place {
	return Place{State: There, Node: node, Author: 7, Address: 1, Version: version}
}

func newClusterNode(places map[string]Place, nodes ...string) (*node, *others) {
	o := &others{places: places, nodes: nodes}
	n := newNode(nil)
	n.Router = NewRouter(Default(), origin, n.reg, n.sockets, o)
	return n, o
}

// said is the outcomes with their nodes.
func said(d *Delivery) string {
	text := ""
	d.Outcomes(func(device, node string, o session.Outcome) { text += fmt.Sprintf("%s@%s:%v ", device, node, o) })
	return strings.TrimSpace(text)
}

func TestToAnotherNode(t *testing.T) {
	n, o := newClusterNode(map[string]Place{"alice/phone": there("b", 5)})
	p := to("alice", "phone", session.WaitAcked)
	p.TimeoutMS = 1234
	id, d := n.deliver(p)
	if len(o.sent) != 1 || isDone(d) {
		t.Fatalf("%d forwarded, done %v", len(o.sent), isDone(d))
	}
	f := o.sent[0].f
	if o.sent[0].node != "b" || f.ID != id || f.Account != "alice" || f.Device != "phone" || f.Wait != session.WaitAcked || f.TimeoutMS != 1234 || string(f.Payload) != `{"a":1}` {
		t.Errorf("forwarded %+v", o.sent[0])
	}
	o.answer(0, wire.DeviceOutcome{Outcome: session.Acked})
	if !isDone(d) || said(d) != "phone@b:acked" {
		t.Errorf("%s", said(d))
	}
	// A second answer says nothing any more.
	o.answer(0, wire.DeviceOutcome{Outcome: session.Lost})
	if said(d) != "phone@b:acked" {
		t.Error(said(d))
	}
}

func TestLinkFails(t *testing.T) {
	for _, outcome := range []session.Outcome{session.Unreachable, session.Overloaded, session.Lost, session.Timeout} {
		n, o := newClusterNode(map[string]Place{"alice/phone": there("b", 5)}, "b")
		o.now = outcome
		_, d := n.deliver(to("alice", "phone", session.WaitWritten))
		if !isDone(d) || said(d) != "phone@b:"+outcome.String() {
			t.Errorf("%v: %s", outcome, said(d))
		}
		_, d = n.deliver(to("alice", "", session.WaitWritten)) // to an account: nobody knows whose devices
		if !isDone(d) || said(d) != "@b:"+outcome.String() || d.Total() != 1 {
			t.Errorf("%v: %s of %d", outcome, said(d), d.Total())
		}
	}
}

// As long as the table lacks the sessions of a node, nobody may say that a device is
// offline: it may be there.
func TestNotFoundInATableThatIsNotWhole(t *testing.T) {
	places := map[string]Place{"alice/phone": {State: Unknown}, "alice/watch": {State: Unknown}, "alice/tv": {State: Unknown}}
	n, o := newClusterNode(places)
	_, phone := n.deliver(to("alice", "phone", session.WaitWritten))
	_, watch := n.deliver(to("alice", "watch", session.WaitWritten))
	_, tv := n.deliver(to("alice", "tv", session.WaitWritten))
	if left := n.LookAgain(1000); left != 3 || isDone(phone) || isDone(watch) {
		t.Fatalf("%d still wait", left)
	}
	places["alice/watch"] = there("b", 5) // its sessions have come
	delete(places, "alice/tv")            // all have, and it is not among them
	if left := n.LookAgain(1000 + seekMS); left != 0 || len(o.sent) != 1 {
		t.Fatalf("%d still wait, %d forwarded", left, len(o.sent))
	}
	o.answer(0, wire.DeviceOutcome{Outcome: session.Written})
	if got := said(phone) + " " + said(watch) + " " + said(tv); got != "phone@:unreachable watch@b:written tv@:offline" {
		t.Error(got)
	}
}

// DESIGN.md decision 5: on misrouted the entry goes, if it is still that one, and the
// table is asked once more; the second answer is final.
func TestMisrouted(t *testing.T) {
	first, second := there("b", 5), there("c", 9)
	misrouted := wire.DeviceOutcome{Outcome: session.Misrouted}
	for _, c := range []struct {
		name   string
		newer  bool // the table has learnt better by the time of the answer
		answer wire.DeviceOutcome
		want   string
	}{
		{"a newer entry is there", true, wire.DeviceOutcome{Outcome: session.Written}, "phone@c:written"},
		{"and wrong as well", true, misrouted, "phone@c:misrouted"},
		{"there is none", false, misrouted, "phone@b:offline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, o := newClusterNode(map[string]Place{"alice/phone": first})
			_, d := n.deliver(to("alice", "phone", session.WaitWritten))
			if c.newer {
				o.places["alice/phone"] = second
			}
			o.answer(0, misrouted)
			if len(o.forgot) != 1 || o.forgot[0] != first {
				t.Errorf("forgot %+v", o.forgot)
			}
			if c.newer {
				if len(o.sent) != 2 || o.sent[1].node != "c" {
					t.Fatalf("forwarded %+v", o.sent)
				}
				o.answer(1, c.answer)
			} else {
				for ms := int64(1000); n.LookAgain(ms) > 0; ms += 10 {
					if ms > 1000+2*seekMS {
						t.Fatal("it waits for ever")
					}
				}
			}
			if !isDone(d) || said(d) != c.want || len(o.sent) > 2 {
				t.Errorf("%s after %d forwards", said(d), len(o.sent))
			}
		})
	}
}

// A tombstone is waited at for a while: the device may turn up here or elsewhere.
func TestTombstone(t *testing.T) {
	tomb := Place{State: Closed, Address: 1, Version: 5}
	n, o := newClusterNode(map[string]Place{"alice/phone": tomb, "alice/tv": tomb, "alice/car": tomb})
	_, phone := n.deliver(to("alice", "phone", session.WaitWritten))
	_, tv := n.deliver(to("alice", "tv", session.WaitWritten))
	_, car := n.deliver(to("alice", "car", session.WaitWritten))
	<-n.Sought()
	if left := n.LookAgain(1000); left != 3 || isDone(phone) || isDone(tv) || isDone(car) {
		t.Fatalf("%d wait", left)
	}
	o.places["alice/phone"] = there("b", 8)
	n.open("alice", "tv", 0)
	if left := n.LookAgain(1100); left != 1 {
		t.Errorf("%d wait", left)
	}
	o.answer(0, wire.DeviceOutcome{Outcome: session.Written})
	n.sockets.settle(netpoll.ResultWritten)
	if said(phone) != "phone@b:written" || said(tv) != "tv@n:written" || isDone(car) {
		t.Errorf("%s, %s, %s", said(phone), said(tv), said(car))
	}
	if left := n.LookAgain(1000 + seekMS); left != 0 || said(car) != "car@:offline" {
		t.Errorf("%d wait, %s", left, said(car))
	}
}

// The limit of pushes that wait has a name.
func TestSeekingIsBounded(t *testing.T) {
	n, _ := newClusterNode(map[string]Place{"alice/phone": {State: Closed}})
	n.seeking.max = 1
	_, first := n.deliver(to("alice", "phone", session.WaitWritten))
	_, second := n.deliver(to("alice", "phone", session.WaitWritten))
	if isDone(first) || !isDone(second) || said(second) != "phone@:offline" || n.Stats().SeekRefused != 1 {
		t.Errorf("%s, %s", said(first), said(second))
	}
	first.Expire()
	if said(first) != "phone@:timeout" || n.LookAgain(1) != 0 {
		t.Error(said(first))
	}
}

// A session whose connection is gone may be on another node by now.
func TestGoneHereButThere(t *testing.T) {
	n, o := newClusterNode(map[string]Place{"alice/phone": there("b", 9)})
	n.open("alice", "phone", 0)
	_, d := n.deliver(to("alice", "phone", session.WaitWritten))
	n.sockets.settle(netpoll.ResultGone)
	if len(o.sent) != 1 {
		t.Fatalf("%d forwarded, %s", len(o.sent), said(d))
	}
	o.answer(0, wire.DeviceOutcome{Outcome: session.Written})
	if said(d) != "phone@b:written" {
		t.Error(said(d))
	}
}

func TestToAnAccountOnManyNodes(t *testing.T) {
	n, o := newClusterNode(nil, "b", "c", "d")
	n.open("alice", "here", 0)
	_, d := n.deliver(to("alice", "", session.WaitWritten))
	n.sockets.settle(netpoll.ResultWritten)
	if isDone(d) || len(o.sent) != 3 {
		t.Fatalf("%d forwarded", len(o.sent))
	}
	o.answer(1, wire.DeviceOutcome{Device: "x", Outcome: session.Written}, wire.DeviceOutcome{Device: "y", Outcome: session.Offline})
	o.answer(0) // it has none after all
	d.Expire()  // d never answers
	if got := said(d); got != "here@n:written x@c:written y@c:offline @d:timeout" || d.Total() != 4 {
		t.Errorf("%s of %d", got, d.Total())
	}
	counts := d.Counts()
	if counts[session.Written] != 2 || counts[session.Offline] != 1 || counts[session.Timeout] != 1 {
		t.Errorf("%v", counts)
	}
	// Counts of a node with more devices than are listed.
	p := to("", "", session.WaitWritten)
	p.To = To{All: true}
	_, d = n.deliver(p)
	n.sockets.settle(netpoll.ResultWritten)
	for i := 3; i < 6; i++ {
		x := o.sent[i]
		if !x.f.All {
			t.Errorf("%+v", x.f)
		}
		all := wire.Outcomes{Final: true}
		all.Counts[session.Written] = 1000
		x.rcpt.Answered(x.tag, &all)
	}
	if !isDone(d) || d.Total() != 3001 {
		t.Errorf("done %v, %d", isDone(d), d.Total())
	}
}

// told is a reply that keeps what it is told.
type told struct{ list []string }

func (r *told) Outcomes(o *wire.Outcomes) {
	text := ""
	for _, d := range o.Devices {
		text += fmt.Sprintf("%s:%v ", d.Device, d.Outcome)
	}
	for outcome, n := range o.Counts {
		if n > 0 {
			text += fmt.Sprintf("%d %v ", n, session.Outcome(outcome))
		}
	}
	if o.Collision {
		text += "collision"
	}
	r.list = append(r.list, strings.TrimSpace(text))
}

// What comes over a link is delivered here or said to be misrouted, never forwarded.
func TestTake(t *testing.T) {
	from := session.Origin{Node: "b", Epoch: 3}
	n, o := newClusterNode(map[string]Place{"alice/away": there("c", 5)}, "c")
	phone, _ := n.open("alice", "phone", 0), n.open("alice", "tv", 0)
	forward := func(f wire.Forward) *told {
		r := &told{}
		f.ID, f.Payload = 44, []byte(`{"a":1}`)
		n.Take(from, &f, r, 1000)
		return r
	}
	away := forward(wire.Forward{Account: "alice", Device: "away"})
	if len(away.list) != 1 || away.list[0] != ":misrouted" {
		t.Errorf("%q", away.list)
	}
	one := forward(wire.Forward{Account: "alice", Device: "phone"})
	if len(n.sockets.sent) != 1 || !strings.Contains(n.sockets.sent[0].payload, `"id":"b.3.18"`) {
		t.Fatalf("sent %+v", n.sockets.sent)
	}
	n.sockets.settle(netpoll.ResultWritten)
	many := forward(wire.Forward{Account: "alice"})
	n.sockets.settle(netpoll.ResultWritten)
	all := forward(wire.Forward{All: true, Wait: session.WaitNone})
	n.sockets.settle(netpoll.ResultWritten)
	gone := forward(wire.Forward{Account: "alice", Device: "phone"})
	n.reg.Close(phone)
	n.sockets.settle(netpoll.ResultGone)
	slices.Sort(many.list)
	if got := fmt.Sprint(one.list, len(many.list), all.list, gone.list); got != "[:written] 1 [2 written] [:misrouted]" {
		t.Error(got)
	}
	if !strings.Contains(many.list[0], "phone:written") || !strings.Contains(many.list[0], "tv:written") {
		t.Error(many.list)
	}
	if len(o.sent) != 0 {
		t.Errorf("forwarded again: %+v", o.sent)
	}
	// An ack for another node's message, and one that never comes.
	tv := n.reg.Lookup("alice", "tv")
	acked := forward(wire.Forward{Account: "alice", Device: "tv", Wait: session.WaitAcked, TimeoutMS: 500})
	n.sockets.settle(netpoll.ResultWritten)
	if n.Ack(tv, origin, 44) || !n.Ack(tv, from, 44) || len(acked.list) != 1 || acked.list[0] != ":acked" {
		t.Errorf("%q", acked.list)
	}
	late := forward(wire.Forward{Account: "alice", Device: "tv", Wait: session.WaitAcked, TimeoutMS: 500})
	n.sockets.settle(netpoll.ResultWritten)
	n.Tick(1499)
	if len(late.list) != 0 {
		t.Errorf("%q", late.list)
	}
	n.Tick(1500)
	if len(late.list) != 1 || late.list[0] != ":timeout" || n.Stats().AcksAwaited != 0 || n.busy.Load() != 0 {
		t.Errorf("%q, %+v, %d busy", late.list, n.Stats(), n.busy.Load())
	}
}

func TestTakingIsBounded(t *testing.T) {
	n, _ := newClusterNode(nil)
	n.cfg.TakenMax = 1
	n.open("alice", "phone", 0)
	var all []*told
	for range 2 {
		r := &told{}
		n.Take(session.Origin{Node: "b", Epoch: 1}, &wire.Forward{Account: "alice", Device: "phone", Payload: []byte("1")}, r, 1)
		all = append(all, r)
	}
	if len(all[1].list) != 1 || all[1].list[0] != ":overloaded" {
		t.Errorf("%q", all[1].list)
	}
	n.sockets.settle(netpoll.ResultWritten)
	if all[0].list[0] != ":written" {
		t.Errorf("%q", all[0].list)
	}
}

// A push that nobody waits for, to an account whose devices are on other nodes only, is
// not a push to nobody.
func TestTellAnAccountElsewhere(t *testing.T) {
	n, o := newClusterNode(nil, "b", "c")
	_, d := n.deliver(to("alice", "", session.WaitNone))
	if len(o.sent) != 2 || d.Total() != 2 || d.Counts()[session.Pending] != 2 {
		t.Errorf("%d forwarded, total %d, %v", len(o.sent), d.Total(), d.Counts())
	}
}

// An ack for a node that says no timeout is awaited for the default.
func TestTakenTimeout(t *testing.T) {
	n, _ := newClusterNode(nil)
	n.open("alice", "tv", 0)
	r := &told{}
	n.Take(session.Origin{Node: "b", Epoch: 1}, &wire.Forward{Account: "alice", Device: "tv", Wait: session.WaitAcked, Payload: []byte("1")}, r, 1000)
	n.sockets.settle(netpoll.ResultWritten)
	n.Tick(5999)
	if len(r.list) != 0 {
		t.Error(r.list)
	}
	n.Tick(6000)
	if len(r.list) != 1 || r.list[0] != ":timeout" {
		t.Error(r.list)
	}
}

// far is a cluster in which every device is on another node that answers at once.
type far struct{ o wire.Outcomes }

func (*far) Locate(string, string) Place                                   { return there("b", 5) }
func (*far) Holds(string, string) bool                                     { return false }
func (*far) Forget(Place)                                                  {}
func (*far) AppendNodes(dst []string, _ string) []string                   { return dst }
func (f *far) Forward(_ string, _ *wire.Forward, rcpt Answers, tag uint64) { rcpt.Answered(tag, &f.o) }

// silent replies to nobody.
type silent struct{}

func (silent) Outcomes(*wire.Outcomes) {}

func TestBetweenNodesAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	n, _ := newClusterNode(nil)
	n.Router = NewRouter(Default(), origin, n.reg, instant{}, &far{wire.Outcomes{Devices: []wire.DeviceOutcome{{Outcome: session.Written}}, Final: true}})
	d, p := new(Delivery), to("alice", "phone", session.WaitWritten)
	settled := func(*Delivery) {}
	if allocs := testing.AllocsPerRun(1000, func() { d.Reset(session.WaitWritten, settled); n.Deliver(p, d) }); allocs != 0 {
		t.Errorf("to another node: %v allocations", allocs)
	}
	n.open("alice", "tv", 0)
	f := &wire.Forward{Ref: 1, Account: "alice", Device: "tv", Payload: []byte("1")}
	from := session.Origin{Node: "b", Epoch: 1}
	if allocs := testing.AllocsPerRun(1000, func() { n.Take(from, f, silent{}, 1) }); allocs > 0 {
		t.Errorf("from another node: %v allocations", allocs)
	}
}

// A message that nobody waits for finds its device on another node all the same.
func TestTellElsewhere(t *testing.T) {
	n, o := newClusterNode(map[string]Place{"alice/phone": there("b", 5)})
	n.deliver(to("alice", "phone", session.WaitNone))
	if len(o.sent) != 1 || o.sent[0].f.Wait != session.WaitWritten {
		t.Fatalf("%+v", o.sent)
	}
	o.answer(0, wire.DeviceOutcome{Outcome: session.Written})
}

package processor

import (
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

// parcel is a delivery that the test settles.
type parcel struct {
	call    func(*parcel)
	counts  [session.OutcomeCount]int
	flying  bool
	expired int
}

func (p *parcel) Reset(_ session.Wait, call func(*parcel)) {
	if p.flying {
		panic("a delivery is used again while it is under way")
	}
	p.flying = true
	p.call, p.counts = call, [session.OutcomeCount]int{}
}

func (p *parcel) Counts() [session.OutcomeCount]int { return p.counts }

func (p *parcel) Expire() {
	p.expired++
	p.settle(session.Timeout)
}

func (p *parcel) settle(outcomes ...session.Outcome) {
	p.flying = false
	p.counts = came(outcomes...).Counts
	p.call(p)
}

// desk is a router that keeps what it is given, or settles it at once.
type desk struct {
	parcels []*parcel
	last    session.Address
	message session.Message
	atOnce  []session.Outcome
}

func (d *desk) Relay(to session.Address, m *session.Message, _ session.Wait, p *parcel) session.MessageID {
	d.last, d.message = to, *m
	if d.atOnce != nil {
		p.settle(d.atOnce...)
	} else {
		d.parcels = append(d.parcels, p)
	}
	return 1
}

// quick has attempts of 10 ms.
var quick = Config{AttemptTimeout: 10 * time.Millisecond}

func TestDirectTellsWhatBecameOfIt(t *testing.T) {
	k := &desk{}
	d := NewDirect(quick, k, func() *parcel { return new(parcel) })
	r := &Record{Account: "a", Device: "d", Kind: session.Text, Payload: []byte("x"), SentMS: 7}
	push := func() *[]Result {
		results := new([]Result)
		d.Push(r, 5000, func(r Result) { *results = append(*results, r) })
		return results
	}
	later := push()
	if k.last != (session.Address{Account: "a", Device: "d"}) || k.message.Kind != session.Text || string(k.message.Payload) != "x" || k.message.SentMS != 7 || d.Len() != 1 {
		t.Errorf("%v got %+v", k.last, k.message)
	}
	k.atOnce = []session.Outcome{session.Written, session.Offline}
	only(t, push(), came(session.Written, session.Offline))
	k.atOnce = []session.Outcome{}
	only(t, push(), came(session.Offline)) // an account without devices
	k.parcels[0].settle(session.Written)
	only(t, later, came(session.Written))
	if d.Len() != 0 {
		t.Errorf("%d are on their way", d.Len())
	}
}

func TestDirectSweepsWhatIsLate(t *testing.T) {
	k := &desk{}
	d := NewDirect(quick, k, func() *parcel { return new(parcel) })
	var results [4][]Result
	for i := range results {
		d.Push(&Record{Account: "a"}, int64(1000+i), func(r Result) { results[i] = append(results[i], r) })
	}
	k.parcels[1].settle(session.Written)
	d.Sweep(1009)
	if d.Len() != 3 {
		t.Fatalf("%d are on their way before their time is over", d.Len())
	}
	d.Sweep(1012)
	for i, want := range []Result{came(session.Timeout), came(session.Written), came(session.Timeout)} {
		only(t, &results[i], want)
	}
	if d.Len() != 1 || len(results[3]) != 0 || k.parcels[1].expired != 0 {
		t.Errorf("%d are on their way, %d results of what is not late", d.Len(), len(results[3]))
	}
	k.parcels[3].settle(session.Written)
	d.Sweep(1 << 40)
	only(t, &results[3], came(session.Written))
}

// TestDirectKeepsApartWhatIsSwept has a source that pushes again as soon as it hears: what
// is being swept may be in use again before the sweep lets go of it.
func TestDirectKeepsApartWhatIsSwept(t *testing.T) {
	k := &desk{}
	d := NewDirect(quick, k, func() *parcel { return new(parcel) })
	r := &Record{Account: "a"}
	heard := 0
	var again func(Result)
	again = func(Result) {
		if heard++; heard <= 100 {
			d.Push(r, int64(heard), again)
		}
	}
	d.Push(r, 0, again)
	for i := range 101 {
		d.Sweep(int64(i + 10))
		d.Push(r, int64(i+1), drop) // until the next sweep
	}
	if heard != 101 || d.Len() != 1 {
		t.Errorf("%d were heard and %d are on their way", heard, d.Len())
	}
}

func TestDirectAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	d := NewDirect(quick, &desk{atOnce: []session.Outcome{session.Written}}, func() *parcel { return new(parcel) })
	r := &Record{Account: "a", Device: "d"}
	done := func(Result) {}
	if n := testing.AllocsPerRun(500, func() { d.Push(r, 1, done) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package store

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func drawFacts(t *rapid.T) facts {
	blob := func(name string) []byte {
		b := rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, name)
		if len(b) == 0 {
			return nil
		}
		return b
	}
	f := facts{
		version:  rapid.Uint64Range(0, 3).Draw(t, "version"),
		node:     []byte(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "node")),
		epoch:    rapid.Uint64Range(0, 3).Draw(t, "epoch"),
		number:   rapid.Uint64Range(0, 3).Draw(t, "number"),
		openedMS: rapid.Int64Range(-3, 1<<40).Draw(t, "opened"),
	}
	if rapid.Bool().Draw(t, "detailed") {
		f.detailed = true
		f.userAgent, f.remote, f.attrs = blob("ua"), blob("remote"), blob("attrs")
	}
	if rapid.Bool().Draw(t, "closed") {
		f.closed, f.closedMS, f.code = true, rapid.Int64().Draw(t, "closedMS"), rapid.Uint16().Draw(t, "code")
	}
	return f
}

func TestFactsParseAppendIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		value := appendFacts(nil, &f)
		g, err := parseFacts(value)
		if err != nil {
			t.Fatalf("%x: %v", value, err)
		}
		if again := appendFacts(nil, &g); !bytes.Equal(again, value) {
			t.Fatalf("parsed and appended: %x, was %x", again, value)
		}
		for n := range value {
			if _, err := parseFacts(value[:n]); err == nil {
				t.Fatalf("%x parses when cut after %d bytes", value, n)
			}
		}
		if _, err := parseFacts(append(value, 0)); err == nil {
			t.Fatal("a value with a byte too many parses")
		}
	})
}

func joined(all ...facts) []byte {
	sum := all[0]
	for _, f := range all[1:] {
		sum.join(&f)
	}
	return appendFacts(nil, &sum)
}

func TestJoinIsASemilattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawFacts(t), drawFacts(t), drawFacts(t)
		if !bytes.Equal(joined(a, b), joined(b, a)) {
			t.Fatalf("not commutative: %+v, %+v", a, b)
		}
		if !bytes.Equal(joined(a, a), joined(a)) {
			t.Fatalf("not idempotent: %+v", a)
		}
		bc := b
		bc.join(&c)
		if !bytes.Equal(joined(a, b, c), joined(a, bc)) {
			t.Fatalf("not associative: %+v, %+v, %+v", a, b, c)
		}
	})
}

func TestMergerAgreesWithJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawFacts), 1, 6).Draw(t, "operands")
		want := joined(all...)
		m, _ := merger.Merge(nil, appendFacts(nil, &all[0]))
		for i := range all[1:] {
			operand := appendFacts(nil, &all[i+1])
			_ = m.MergeOlder(operand)
			clear(operand) // it is the caller's
			_ = m.MergeOlder([]byte("damaged"))
		}
		if got, _, _ := m.Finish(true); !bytes.Equal(got, want) {
			t.Fatalf("merged %x, joined %x", got, want)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendFacts(nil, &facts{epoch: 1, number: 2, openedMS: 3}))
	f.Add(appendFacts(nil, &facts{version: 5, node: []byte("n2"), epoch: 1, number: 2, openedMS: 3}))
	f.Add(appendFacts(nil, &facts{epoch: 1 << 60, number: 1 << 63, openedMS: -1, detailed: true, userAgent: []byte("curl/8"), attrs: []byte("{}"), closed: true, closedMS: 1 << 62, code: 4001}))
	f.Fuzz(func(t *testing.T, value []byte) {
		g, err := parseFacts(value)
		if err != nil {
			if g.detailed || g.closed || g.number != 0 {
				t.Fatalf("an error came with facts: %+v", g)
			}
			return
		}
		again := appendFacts(nil, &g)
		h, err := parseFacts(again)
		if err != nil || !bytes.Equal(appendFacts(nil, &h), again) {
			t.Fatalf("%x -> %x does not settle: %v", value, again, err)
		}
		if len(again) > len(value) {
			t.Fatalf("%x grew to %x", value, again)
		}
		if g.detailed && len(again) > valueHeadsMax+len(g.userAgent)+len(g.remote)+len(g.attrs) {
			t.Fatalf("value is longer than valueHeadsMax says: %x", again)
		}
		k := g
		if k.join(&h); !bytes.Equal(appendFacts(nil, &k), again) {
			t.Fatal("joining a record with itself changed it")
		}
	})
}

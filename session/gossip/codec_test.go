package gossip

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

var (
	drawNode   = rapid.StringMatching(`[a-z0-9-]{1,24}`)
	drawEpoch  = rapid.Uint64Range(1, EpochMax)
	drawAddr   = rapid.StringMatching(`([a-z0-9.]{1,60}:[1-9][0-9]{0,4})?`)
	drawOrigin = rapid.Custom(func(t *rapid.T) session.Origin {
		return session.Origin{Node: drawNode.Draw(t, "node"), Epoch: drawEpoch.Draw(t, "epoch")}
	})
	drawMember = rapid.Custom(func(t *rapid.T) Member {
		o := drawOrigin.Draw(t, "origin")
		return Member{
			Node: o.Node, Epoch: o.Epoch, GossipAddr: "10.1.2.3:4567",
			PeerAddr: drawAddr.Draw(t, "peer"), InternalAddr: drawAddr.Draw(t, "internal"), PublicAddr: drawAddr.Draw(t, "public"),
			State: State(rapid.IntRange(0, int(stateCount)-1).Draw(t, "state")), Processor: rapid.Bool().Draw(t, "processor"),
		}
	})
	drawBox = rapid.Custom(func(t *rapid.T) box {
		var b box
		for i := range rapid.IntRange(0, 3).Draw(t, "keys") {
			b.keys = append(b.keys, bytes.Repeat([]byte{byte(i + 1)}, rapid.SampledFrom([]int{16, 24, 32}).Draw(t, "size")))
		}
		return b
	})
)

func asNode(m Member) *memberlist.Node {
	return &memberlist.Node{Name: name(m.Origin()), Addr: net.IPv4(10, 1, 2, 3), Port: 4567, Meta: appendMeta(nil, m)}
}

func TestMetaRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMember.Draw(t, "member")
		n := asNode(m)
		if len(n.Meta) > memberlist.MetaMaxSize {
			t.Fatalf("%d bytes do not fit", len(n.Meta))
		}
		got, err := parseMember(n)
		if err != nil || got != m {
			t.Fatalf("got %+v, %v; want %+v", got, err, m)
		}
		n.Meta = append(n.Meta, "what a later version adds"...)
		if got, err = parseMember(n); err != nil || got != m {
			t.Fatalf("a minor addition breaks it: %+v, %v", got, err)
		}
	})
}

// TestMetaIsStable holds the bytes: nodes of two builds must understand each other.
func TestMetaIsStable(t *testing.T) {
	m := Member{Node: "b-1", Epoch: 46655, PeerAddr: "10.0.0.1:7947", InternalAddr: "10.0.0.1:8081", State: Draining, Processor: true}
	const want = "\x01\x01\x01\x0d10.0.0.1:7947\x0d10.0.0.1:8081\x00"
	if got := string(appendMeta(nil, m)); got != want {
		t.Errorf("%q", got)
	}
	if got := name(m.Origin()); got != "b-1#zzz" {
		t.Error(got)
	}
}

func TestMetaLargestFits(t *testing.T) {
	long := strings.Repeat("x", addrBytesMax)
	m := Member{Node: "a", Epoch: EpochMax, PeerAddr: long, InternalAddr: long, PublicAddr: long}
	if err := m.check(); err != nil || len(appendMeta(nil, m)) > memberlist.MetaMaxSize {
		t.Error(err, len(appendMeta(nil, m)))
	}
}

func TestParseMemberRefuses(t *testing.T) {
	good := Member{Node: "a", Epoch: 1, PeerAddr: "x:1"}
	for name, breakIt := range map[string]func(*memberlist.Node){
		"no epoch":            func(n *memberlist.Node) { n.Name = "a" },
		"epoch 0":             func(n *memberlist.Node) { n.Name = "a#0" },
		"an epoch beyond":     func(n *memberlist.Node) { n.Name = "a#zzzzzzzzzzz" },
		"two forms of one":    func(n *memberlist.Node) { n.Name = "a#01" },
		"a bad node":          func(n *memberlist.Node) { n.Name = "A#1" },
		"no address":          func(n *memberlist.Node) { n.Addr = nil },
		"half an address":     func(n *memberlist.Node) { n.Addr = net.IP{1, 2, 3} },
		"no port":             func(n *memberlist.Node) { n.Port = 0 },
		"no meta":             func(n *memberlist.Node) { n.Meta = nil },
		"cut":                 func(n *memberlist.Node) { n.Meta = n.Meta[:len(n.Meta)-1] },
		"another version":     func(n *memberlist.Node) { n.Meta[0] = 2 },
		"a space in a name":   func(n *memberlist.Node) { n.Meta = append([]byte{1, 0, 0, 3}, "a b\x00\x00"...) },
		"a name that is long": func(n *memberlist.Node) { n.Meta = append([]byte{1, 0, 0, 0xff, 1}, make([]byte, 400)...) },
	} {
		t.Run(name, func(t *testing.T) {
			n := asNode(good)
			breakIt(n)
			if m, err := parseMember(n); err == nil {
				t.Errorf("taken for %+v", m)
			}
		})
	}
}

// TestUnknownState: a state of a later version is one in which nobody is sent there.
func TestUnknownState(t *testing.T) {
	n := asNode(Member{Node: "a", Epoch: 1})
	n.Meta[1] = 200
	if m, err := parseMember(n); err != nil || m.State != Draining {
		t.Error(m, err)
	}
}

func FuzzParseMember(f *testing.F) {
	f.Add("a#1", []byte{10, 0, 0, 1}, uint16(7946), appendMeta(nil, Member{Node: "a", Epoch: 1, PeerAddr: "x:1"}))
	f.Add("a#zz", []byte{}, uint16(0), []byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, id string, addr []byte, port uint16, meta []byte) {
		m, err := parseMember(&memberlist.Node{Name: id, Addr: addr, Port: port, Meta: meta})
		if err != nil {
			return
		}
		if session.CheckNode(m.Node) != nil || checkEpoch(m.Epoch) != nil || m.State >= stateCount || name(m.Origin()) != id {
			t.Fatalf("%+v", m)
		}
		again, err := parseMember(&memberlist.Node{Name: id, Addr: addr, Port: port, Meta: appendMeta(nil, m)})
		if err != nil || again != m {
			t.Fatalf("%+v is read as %+v, %v", m, again, err)
		}
	})
}

func body(frame []byte) []byte {
	b, err := readFrame(bytes.NewReader(frame))
	if err != nil {
		panic(err)
	}
	return b
}

func TestHelloRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBox.Draw(t, "box")
		q := question{cluster: "test", nonce: newNonce(), purpose: purpose(rapid.IntRange(0, int(purposeCount)-1).Draw(t, "purpose")), from: drawOrigin.Draw(t, "from"), addr: drawAddr.Draw(t, "addr")}
		if got, err := b.parseQuestion(body(b.appendQuestion(nil, q)), "test"); err != nil || got != q {
			t.Fatalf("got %+v, %v; want %+v", got, err, q)
		}
		a := answer{nonce: q.nonce, who: drawOrigin.Draw(t, "who"), starting: rapid.Bool().Draw(t, "s"), leaving: rapid.Bool().Draw(t, "l"), known: rapid.Uint64Range(0, EpochMax).Draw(t, "known"), holder: drawAddr.Draw(t, "holder")}
		frame := b.appendWelcome(nil, a)
		if got, err := b.parseAnswer(body(frame), q.nonce); err != nil || got != a {
			t.Fatalf("got %+v, %v; want %+v", got, err, a)
		}
		if _, err := b.parseAnswer(body(frame), newNonce()); err == nil {
			t.Fatal("an answer to another question was taken")
		}
		if len(b.keys) > 0 { // not a bit of what is sealed may be changed
			sealed := body(frame)
			i := rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")
			sealed[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			if got, err := b.parseAnswer(sealed, q.nonce); err == nil {
				t.Fatalf("byte %d was changed and it is read as %+v", i, got)
			}
		}
		r := &RefusedError{Why: Refusal(rapid.IntRange(0, int(refusalCount)-1).Draw(t, "why")), Node: drawNode.Draw(t, "node"), Known: a.known, Detail: "so it is"}
		_, err := b.parseAnswer(body(appendRefusal(nil, r.Node, r)), q.nonce)
		var got *RefusedError
		if !errors.As(err, &got) || *got != *r {
			t.Fatalf("got %+v; want %+v", err, r)
		}
	})
}

// TestHelloOfAnotherVersion: the reason reaches who speaks another one.
func TestHelloOfAnotherVersion(t *testing.T) {
	frame := body(box{}.appendQuestion(nil, question{cluster: "test", from: session.Origin{Node: "a"}}))
	frame[0] = 9
	_, err := box{}.parseQuestion(frame, "test")
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Why != RefusedVersion || refused.Detail != "version 9 does not fit version 1" {
		t.Error(err)
	}
}

func FuzzHello(f *testing.F) {
	open, closed := box{}, box{keys: [][]byte{make([]byte, 16)}}
	q := question{cluster: "test", from: session.Origin{Node: "a", Epoch: 3}, addr: "x:1"}
	for _, b := range []box{open, closed} {
		f.Add(body(b.appendQuestion(nil, q)))
		f.Add(body(b.appendWelcome(nil, answer{who: q.from, known: 3, holder: "x:1"})))
	}
	f.Add(body(appendRefusal(nil, "a", &RefusedError{Why: RefusedKeys, Detail: "no"})))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, x := range []box{open, closed} {
			if q, err := x.parseQuestion(bytes.Clone(b), "test"); err == nil {
				if again, err := x.parseQuestion(body(x.appendQuestion(nil, q)), "test"); err != nil || again != q {
					t.Fatalf("%+v is read as %+v, %v", q, again, err)
				}
			}
			if a, err := x.parseAnswer(bytes.Clone(b), [helloNonceBytes]byte{}); err == nil {
				if again, err := x.parseAnswer(body(x.appendWelcome(nil, a)), a.nonce); err != nil || again != a {
					t.Fatalf("%+v is read as %+v, %v", a, again, err)
				}
			}
		}
		_, _ = readFrame(bytes.NewReader(b))
	})
}

func FuzzMergeRemoteState(f *testing.F) {
	r := newRoster(Member{Node: "self", Epoch: 5}, 8, &counters{})
	f.Add(r.LocalState(false))
	f.Add([]byte{1, 1, 'a', 7, 4, 's', 'e', 'l', 'f', 9})
	f.Fuzz(func(t *testing.T, state []byte) {
		r := newRoster(Member{Node: "self", Epoch: 5}, 8, &counters{})
		r.MergeRemoteState(state, true)
		if len(r.epochs) > 8 || r.epochs["self"] < 5 {
			t.Fatalf("%v", r.epochs)
		}
		other := newRoster(Member{Node: "self", Epoch: 5}, 8, &counters{})
		other.MergeRemoteState(r.LocalState(true), true)
		if !bytes.Equal(other.LocalState(true), r.LocalState(true)) {
			t.Fatalf("%v is read as %v", r.epochs, other.epochs)
		}
	})
}

func TestParseKeys(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 15))
	for name, texts := range map[string][]string{
		"not base64": {"?"}, "15 bytes": {short}, "twice": {key(1), key(1)},
		"too many": make([]string, keysMax+1),
	} {
		if _, err := parseKeys(texts); err == nil {
			t.Error(name)
		}
	}
	if keys, err := parseKeys([]string{key(1), key(2)}); err != nil || len(keys) != 2 {
		t.Error(err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("# a\n10.0.0.1:7946\r\n\n _gossip._tcp.example.com\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, line := range linesOf(text) {
			if line == "" || line[0] == '#' || strings.Contains(line, "\n") {
				t.Fatalf("%q", line)
			}
			_ = checkJoin(line)
			_, _ = parseKeys([]string{line})
		}
	})
}

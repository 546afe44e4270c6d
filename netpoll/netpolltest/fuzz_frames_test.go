package netpolltest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/roostpush/roost/netpoll"
)

// fuzzLimitBytes is small, so that the fuzzer reaches it.
const fuzzLimitBytes = 300

// FuzzFrames sends arbitrary bytes after a handshake. The server must not
// panic, must answer the same however the bytes are cut, and must answer what
// the model answers. The bytes are taken as they are and as a recipe for
// frames, because few random bytes make a valid frame.
func FuzzFrames(f *testing.F) {
	for _, g := range groups {
		for _, c := range g.Cases {
			if in, _ := c.Bytes(); len(in) < 2*fuzzLimitBytes {
				f.Add(in, uint64(len(in)), false)
			}
		}
	}
	for seed := range uint64(64) {
		f.Add(randomBytes(seed, 40), seed, true)
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, recipe bool) {
		if recipe {
			in = cook(in)
		}
		whole, wholeEnded := fuzzFeed(t, in)
		pieces := randomPieces(in, seed)
		cut, cutEnded := fuzzFeed(t, pieces...)
		if !sameReplies(whole, cut) || wholeEnded != cutEnded {
			t.Fatalf("% x\nwhole:    %q, ended %v\nin %d pieces: %q, ended %v", in, whole, wholeEnded, len(pieces), cut, cutEnded)
		}
		m := model{limitBytes: fuzzLimitBytes}
		m.run(in)
		if err := m.judge(whole, wholeEnded); err != nil {
			t.Fatalf("% x: %v", in, err)
		}
	})
}

// sameReplies compares frames. The reason of a close may differ: how a server
// names a fault can depend on how much it sees at once.
func sameReplies(a, b []byte) bool {
	as, aErr := ParseReplies(a)
	bs, bErr := ParseReplies(b)
	return aErr == nil && bErr == nil && slices.EqualFunc(as, bs, func(x, y Reply) bool {
		return x.Op == y.Op && (bytes.Equal(x.Payload, y.Payload) || x.Op == OpClose && x.Code() == y.Code())
	})
}

// judge compares a server's answer with the model's.
func (m *model) judge(out []byte, ended bool) error {
	c := Case{Want: m.replies, End: Unfinished}
	switch {
	case m.ended:
		c.End = ClosedWith(m.codes...)
	case m.undecided && ended:
		c.End = ClosedWith(1002, 1009)
	}
	return c.Check(out, ended)
}

func fuzzFeed(t *testing.T, pieces ...[]byte) ([]byte, bool) {
	cfg := Config(fuzzLimitBytes)
	cfg.ReadBufferBytes = exhaustiveBytes
	m, err := NewMemory(cfg, netpoll.Echo{})
	if err != nil {
		t.Fatal(err)
	}
	skip, err := Handshake(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		m.Feed(p)
	}
	out, ended := m.Await(0)
	return out[skip:], ended
}

// randomPieces cuts in at up to 8 places that the seed decides.
func randomPieces(in []byte, seed uint64) [][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	at := make([]int, r.IntN(9))
	for i := range at {
		at[i] = r.IntN(len(in) + 1)
	}
	slices.Sort(at)
	return Pieces(in, at...)
}

func randomBytes(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// recipeTexts are payloads that a recipe may name: whole, cut and wrong.
var recipeTexts = []string{"", "a", "hello, world", "\xe2\x82", "\xac", "\u20ac", "\xf0\x9f", "\x98\x80", "\xed\xa0", "\xff",
	string(letters(125)), string(letters(126)), string(letters(fuzzLimitBytes)), "\x03\xe8", "\x03\xedx", "\x0f\xa0\u20ac"}

// cook reads a recipe: for each frame an opcode with FIN, a payload, and now
// and then something that is wrong.
func cook(recipe []byte) (in []byte) {
	ops := [8]byte{OpText, OpText, OpBinary, OpContinuation, OpContinuation, OpPing, OpPong, OpClose}
	for len(recipe) >= 3 {
		f := NewFrame(ops[recipe[0]%8], []byte(recipeTexts[recipe[1]%16]))
		f.Fin = recipe[0]&0x18 != 0
		switch recipe[2] {
		case 1:
			f.RSV = recipe[1]>>4 | 1
		case 2:
			f = f.NoMask()
		case 3:
			f.Op = recipe[1] >> 4
		case 4:
			f = f.As(Bits16)
		case 5:
			f = f.As(Bits64)
		case 6:
			f = f.Claim(uint64(recipe[1]) << (recipe[0] >> 2))
		}
		in = f.AppendTo(in)
		recipe = recipe[3:]
	}
	return append(in, recipe...)
}

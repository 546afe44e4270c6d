package netpolltest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"pgregory.net/rapid"
)

const (
	// exhaustiveBytes is the input up to which every split is tried.
	exhaustiveBytes = 4 << 10
	// strideBytesMax bounds what is fed for one case above that.
	strideBytesMax = 96 << 20
)

// memory returns a fresh stream to an echo server in memory. The read buffer
// is the smallest there is, because a server is made for each split.
func memory(t testing.TB) *Memory {
	t.Helper()
	cfg := Config(testLimitBytes)
	cfg.ReadBufferBytes = exhaustiveBytes
	m, err := NewMemory(cfg, netpoll.Echo{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestConformanceMemory runs every case in memory: whole, with the handshake
// in the same piece, in the case's own pieces, byte by byte, and cut in two at
// every place.
func TestConformanceMemory(t *testing.T) {
	var score tally
	for _, g := range groups {
		for _, c := range g.Cases {
			score.add(g, judgeInMemory(t, c))
		}
	}
	score.print("memory, every split")
}

// judgeInMemory reports the first deliveries that go wrong and whether all
// went well.
func judgeInMemory(t *testing.T, c Case) bool {
	in, marks := c.Bytes()
	failures := 0
	try := func(how string, run func(Stream) error) {
		if failures >= 3 {
			return
		}
		if err := run(memory(t)); err != nil {
			failures++
			t.Errorf("%s %s (RFC %s), %s: %v", c.ID, c.Name, c.RFC, how, err)
		}
	}
	pieces := func(p ...[]byte) func(Stream) error { return func(s Stream) error { return Play(c, s, p) } }
	try("whole", pieces(in))
	try("with the handshake in one piece", func(s Stream) error { return playGlued(c, s, in) })
	if c.Chop > 0 {
		try(fmt.Sprintf("pieces of %d", c.Chop), pieces(Chop(in, c.Chop)...))
	}
	if len(in) <= exhaustiveBytes && len(in) > 0 {
		try("byte by byte", pieces(Chop(in, 1)...))
	}
	if len(in) > cutBytesMax && testing.Short() {
		return failures == 0 // once whole and once glued shows what the size alone breaks
	}
	for i, cut := range cuts(len(in), marks) {
		if raceEnabled && testing.Short() && i%64 != 0 {
			continue // all of it is one goroutine: there is nothing for the detector to find
		}
		try(fmt.Sprintf("cut at %d of %d", cut, len(in)), pieces(Pieces(in, cut)...))
	}
	return failures == 0
}

// playGlued delivers the first frames together with the request.
func playGlued(c Case, s Stream, in []byte) error {
	s.Feed(append([]byte(Upgrade), in...))
	skip, err := awaitHandshake(s)
	if err != nil {
		return err
	}
	return finish(c, s, skip)
}

// cuts chooses where to cut an input of n bytes in two: everywhere when it is
// small, else a stride and 16 bytes around each border between parts, as many
// as the budget allows.
func cuts(n int, marks []int) []int {
	var all []int
	if n <= exhaustiveBytes {
		for i := 1; i < n; i++ {
			all = append(all, i)
		}
		return all
	}
	add := func(around, by int) {
		for i := max(1, around-by); i <= min(n-1, around+by); i++ {
			all = append(all, i)
		}
	}
	add(0, 16)
	for _, m := range marks {
		add(m, 16)
	}
	for i := 1; i < 64; i++ {
		add(i*n/64, 0)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	budget := max(strideBytesMax/n, 8)
	if testing.Short() {
		budget = max(budget/16, 2)
	}
	if len(all) <= budget {
		return all
	}
	chosen := make([]int, budget)
	for i := range chosen {
		chosen[i] = all[i*(len(all)-1)/(budget-1)]
	}
	return chosen
}

// TestRandomPieces cuts random cases into random pieces.
func TestRandomPieces(t *testing.T) {
	var small []Case
	for _, g := range groups {
		for _, c := range g.Cases {
			if in, _ := c.Bytes(); len(in) > 1 && len(in) <= 128<<10 {
				small = append(small, c)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := small[rapid.IntRange(0, len(small)-1).Draw(rt, "case")]
		in, _ := c.Bytes()
		at := rapid.SliceOfN(rapid.IntRange(1, len(in)-1), 0, 40).Draw(rt, "cuts")
		slices.Sort(at)
		if err := Play(c, memory(t), Pieces(in, at...)); err != nil {
			rt.Fatalf("%s %s: %v", c.ID, c.Name, err)
		}
	})
}

// TestEveryCloseCode tries all 65,536, or with -short one in 13: the borders
// between the classes are in the tables.
func TestEveryCloseCode(t *testing.T) {
	for code := range 1 << 16 {
		if testing.Short() && code%13 != 0 {
			continue
		}
		c := Case{In: []Part{Close(uint16(code), "why")}, End: ProtocolError}
		if ValidCloseCode(uint16(code)) {
			c.End = ClosedWith(uint16(code))
		}
		in, _ := c.Bytes()
		if err := Play(c, memory(t), [][]byte{in}); err != nil {
			t.Fatalf("close code %d: %v", code, err)
		}
	}
}

// TestPieces: what cuts inputs must lose nothing of them.
func TestPieces(t *testing.T) {
	in := letters(100)
	if got := bytes.Join(Pieces(in, 1, 1, 50, 99), nil); !bytes.Equal(got, in) {
		t.Errorf("Pieces: %q", got)
	}
	if got := Chop(in, 7); len(got) != 15 || !bytes.Equal(bytes.Join(got, nil), in) {
		t.Errorf("Chop: %q", got)
	}
}

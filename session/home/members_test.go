package home

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata/homes.txt anew; a cluster of both versions would not agree")

func members(tb testing.TB, names ...string) *Members {
	tb.Helper()
	m, err := New(names)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func nodes(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("node-%d", i+1))
	}
	return names
}

// TestHomesNeverChange holds homes of all kinds of hashes in clusters of several
// sizes against a file: two versions that disagree would lose what is kept.
func TestHomesNeverChange(t *testing.T) {
	var lines bytes.Buffer
	for _, size := range []int{1, 2, 3, 5, 10, 100, 300} {
		m := members(t, nodes(size)...)
		for _, hash := range []uint64{0, 1, 2, 1 << 32, 1 << 63, math.MaxUint64, Hash("news.sports"), Hash(""), Hash("ä")} {
			fmt.Fprintf(&lines, "%d %016x %v\n", size, hash, m.AppendCandidates(nil, hash, 3))
		}
	}
	const file = "testdata/homes.txt"
	if *update {
		if err := os.WriteFile(file, lines.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lines.Bytes(), want) {
		t.Errorf("homes have changed:\n%s", lines.Bytes())
	}
}

// TestCandidates holds them against sorting all members by score, and against taking
// the home away again and again, in any order of the members.
func TestCandidates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringN(1, 12, 40), 0, 20, rapid.ID).Draw(rt, "names")
		hash := rapid.Uint64().Draw(rt, "hash")
		m := members(t, names...)
		byScore := slices.Sorted(slices.Values(names))
		slices.SortStableFunc(byScore, func(a, b string) int {
			if score(Hash(a), mix(hash)) > score(Hash(b), mix(hash)) {
				return -1
			}
			return 1
		})
		if got := m.AppendCandidates(nil, hash, len(names)+1); !slices.Equal(got, byScore) {
			rt.Fatalf("candidates %q, want %q", got, byScore)
		}
		left := rapid.Permutation(names).Draw(rt, "order")
		for _, want := range byScore {
			if got := members(t, left...).Home(hash); got != want {
				rt.Fatalf("home among %q is %q, want %q", left, got, want)
			}
			left = slices.DeleteFunc(left, func(name string) bool { return name == want })
		}
		if got := members(t, left...).Home(hash); got != "" {
			rt.Fatalf("nobody is %q", got)
		}
	})
}

// TestMinimalMovement lets a member come and go: what moves, moves to it or away
// from it, and is its share.
func TestMinimalMovement(t *testing.T) {
	const hashes = 20_000
	for _, size := range []int{1, 3, 10, 100} {
		before, after := members(t, nodes(size)...), members(t, append(nodes(size), "newcomer")...)
		moved := 0
		for n := range uint64(hashes) {
			from, to := before.Home(n), after.Home(n)
			if from != to {
				if moved++; to != "newcomer" {
					t.Fatalf("hash %d moved from %s to %s", n, from, to)
				}
			}
		}
		share := float64(hashes) / float64(size+1)
		if math.Abs(float64(moved)-share) > 6*math.Sqrt(share) {
			t.Errorf("%d members: %d of %d moved, the share is %.0f", size, moved, hashes, share)
		}
	}
}

// TestBalance holds that hashes which differ in few bits spread like any others.
func TestBalance(t *testing.T) {
	const each = 1000
	for _, shift := range []int{0, 20, 48} {
		for _, size := range []int{3, 50} {
			m, counts := members(t, nodes(size)...), map[string]int{}
			for n := range uint64(each * size) {
				counts[m.Home(n<<shift)]++
			}
			for _, name := range nodes(size) {
				if math.Abs(float64(counts[name]-each)) > 6*math.Sqrt(each) {
					t.Errorf("%d members, shift %d: %s has %d of %d", size, shift, name, counts[name], each)
				}
			}
		}
	}
}

func TestNoSuchMembers(t *testing.T) {
	for _, names := range [][]string{{""}, {"a", "b", "a"}} {
		if _, err := New(names); !errors.Is(err, ErrMember) {
			t.Errorf("%q: %v", names, err)
		}
	}
	names := []string{"b", "a"}
	m := members(t, names...)
	if names[0] != "b" {
		t.Error("the caller's list was sorted")
	}
	names[0], names[1] = "x", "x"
	if got := m.AppendCandidates(nil, 1, 9); !slices.Contains(got, "a") || len(got) != 2 || m.Len() != 2 {
		t.Errorf("members %q", got)
	}
}

// TestEven holds that the first by name wins where two names have one hash.
func TestEven(t *testing.T) {
	m := &Members{names: []string{"a", "b", "c"}, hashes: []uint64{7, 7, 7}}
	if got := m.AppendCandidates(nil, 1, 3); !slices.Equal(got, m.names) || m.Home(1) != "a" {
		t.Errorf("candidates %q", got)
	}
}

func TestHomeAllocatesNothing(t *testing.T) {
	m, dst := members(t, nodes(100)...), make([]string, 0, 3)
	topic := "news.sports"
	if n := testing.AllocsPerRun(100, func() { dst = m.AppendCandidates(append(dst[:0], m.Home(5)), Hash(topic), 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzHash(f *testing.F) {
	f.Add("node-1", "node-2", uint64(1))
	f.Fuzz(func(t *testing.T, a, b string, hash uint64) {
		if a == b || a == "" || b == "" {
			return
		}
		x, y := members(t, a, b), members(t, b, a)
		if x.Home(hash) != y.Home(hash) || x.Home(hash) != a && x.Home(hash) != b {
			t.Errorf("%q and %q: %q, %q", a, b, x.Home(hash), y.Home(hash))
		}
	})
}

func BenchmarkHome(b *testing.B) {
	for _, size := range []int{3, 100, 300} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			m := members(b, nodes(size)...)
			b.ReportAllocs()
			for n := uint64(0); b.Loop(); n++ {
				m.Home(n)
			}
		})
	}
}

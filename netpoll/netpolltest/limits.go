package netpolltest

import (
	"fmt"
	"math"
)

// limits is Autobahn's group 9, up to a limit of limitBytes and beyond it.
// Cases larger than the limit are left out; limitCases has its two sides.
func limits(limitBytes int) (cases []Case) {
	const mib = 1 << 20
	all := letters(16 * mib)
	add := func(c Case) {
		if c.WantBytes() <= limitBytes+10*len(c.Want) {
			c.RFC = "5.2, 5.4"
			cases = append(cases, c)
		}
	}
	for k, op := range []byte{OpText, OpBinary} {
		kind := []string{"text", "binary"}[k]
		for i, n := range []int{64 << 10, 256 << 10, mib, 4 * mib, 8 * mib, 16 * mib} {
			add(whole(fmt.Sprintf("9.%d.%d", k+1, i+1), fmt.Sprintf("%s of %d KiB", kind, n>>10), op, all[:n]))
		}
		for i, n := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, mib, 4 * mib} {
			add(Case{ID: fmt.Sprintf("9.%d.%d", k+3, i+1), Name: fmt.Sprintf("%s of 4 MiB in fragments of %d", kind, n),
				In: Fragments(op, all[:4*mib], n), Want: []Reply{{op, all[:4*mib]}}})
		}
		for i, n := range []int{64, 128, 256, 512, 1024, 2048} {
			c := whole(fmt.Sprintf("9.%d.%d", k+5, i+1), fmt.Sprintf("%s of 1 MiB in pieces of %d", kind, n), op, all[:mib])
			c.Chop = n
			add(c)
		}
	}
	for k, op := range []byte{OpText, OpBinary} {
		for i, n := range []int{0, 16, 64, 256, 1024, 4096} {
			one := NewFrame(op, all[:n])
			cases = append(cases, Case{ID: fmt.Sprintf("9.%d.%d", k+7, i+1), Name: fmt.Sprintf("1000 messages of %d bytes, opcode %d", n, op),
				RFC: "5.2", In: repeat[Part](one, 1000), Want: repeat[Reply](Reply{op, one.Payload}, 1000)})
		}
	}
	return append(cases, limitCases(limitBytes)...)
}

// limitCases is our own: the limit itself, one byte more, and lengths that
// nobody can mean. A header that claims too much fails before its payload.
func limitCases(limitBytes int) (cases []Case) {
	n := uint64(limitBytes)
	most := letters(limitBytes)
	half := len(most) / 2
	add := func(name string, end End, want []Reply, in ...Part) {
		cases = append(cases, Case{ID: fmt.Sprintf("9.R%d", len(cases)+1), Name: name, RFC: "7.4.1, 10.4", In: in, Want: want, End: end})
	}
	echo := []Reply{{OpBinary, most}}
	add("message as large as the limit", Open, echo, Binary(most))
	add("fragments as large as the limit", Open, echo, Binary(most[:half]).More(), NewFrame(OpContinuation, most[half:]))
	add("limit reached, then an empty fragment", Open, echo, Binary(most).More(), Continue(""))
	add("header of one byte more", TooBig, nil, Binary(nil).Claim(n+1))
	add("header of one byte more of text", TooBig, nil, Text("").Claim(n+1))
	add("header of a first fragment of one byte more", TooBig, nil, Binary(nil).More().Claim(n+1))
	add("header of the fragment that passes the limit", TooBig, nil, Binary(most[:half]).More(), Continue("").Claim(n-uint64(half)+1))
	add("limit reached, then one byte more", TooBig, nil, Binary(most).More(), Continue("x"))
	add("ping between, then the fragment that passes it", TooBig, []Reply{pong("p")}, Binary(most).More(), Ping("p"), Continue("").Claim(1))
	add("2^32 bytes", TooBig, nil, Binary(nil).Claim(1<<32))
	add("2^40 bytes", TooBig, nil, Binary(nil).Claim(1<<40))
	add("2^63-1 bytes", TooBig, nil, Binary(nil).Claim(math.MaxInt64))
	add("one byte, then 2^63-1 more", TooBig, nil, Binary([]byte("x")).More(), Continue("").Claim(math.MaxInt64))
	add("message after one as large as the limit", Open, append(echo[:1:1], text("x")), Binary(most), Text("x"))
	add("text, then one byte too many", TooBig, []Reply{text("x")}, Text("x"), Binary(nil).Claim(n+1))
	return cases
}

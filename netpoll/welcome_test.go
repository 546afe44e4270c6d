package netpoll

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

// asker notes who asks, and leaves the first verdict pending where it is told to.
type asker struct {
	collector
	pending bool
	from    chan netip.AddrPort
	parked  chan ConnID
}

func (h *asker) Upgrade(c *Conn, req *Request) Verdict {
	h.from <- req.Remote
	if h.pending {
		h.pending = false
		h.parked <- c.ID()
		return Verdict{Pending: true}
	}
	return Verdict{}
}

// TestWelcomeKnowsThePeer: whoever asks is named by its address, whether its request is there
// when it is accepted, arrives in pieces, or is answered later, and whoever sends
// nothing is told of all the same.
func TestWelcomeKnowsThePeer(t *testing.T) {
	for name, tc := range map[string]struct {
		pieces  []int // where the request is cut
		pending bool
	}{
		"whole": {}, "in pieces": {pieces: []int{1, 40}}, "pending": {pending: true}, "pieces, pending": {[]int{40}, true},
		"silent first": {pieces: []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &asker{collector: *newCollector(), pending: tc.pending, from: make(chan netip.AddrPort, 2), parked: make(chan ConnID, 1)}
			r, addr := serve(t, Default(), h)
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			rest := upgradeRequest
			for _, cut := range tc.pieces {
				piece := upgradeRequest[len(upgradeRequest)-len(rest) : cut]
				rest = upgradeRequest[cut:]
				if _, err := c.Write([]byte(piece)); err != nil {
					t.Fatal(err)
				}
				waitFor(t, "the piece", func() bool { return r.Stats().BytesIn >= uint64(cut) && r.Stats().Accepted == 1 })
			}
			if _, err := c.Write([]byte(rest)); err != nil {
				t.Fatal(err)
			}
			if tc.pending {
				<-h.from
				r.Resume(<-h.parked)
			}
			if from, own := <-h.from, c.LocalAddr().String(); from.String() != own {
				t.Errorf("the request came from %v, it is said to have come from %v", own, from)
			}
			if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != 101 {
				t.Errorf("%v, %v", answer, err)
			}
			<-h.opened
			echo(t, c, "afterwards")
		})
	}
}

// crowd sends a message to who is there when the first of a crowd comes.
type crowd struct {
	stopper
	first func()
}

func (h *crowd) Upgrade(*Conn, *Request) Verdict {
	if h.first != nil {
		h.first()
		h.first = nil
	}
	return Verdict{}
}

// TestWelcomeOfABatch: of many that are accepted in one event, most come after a message
// that was sent when the first of them came.
func TestWelcomeOfABatch(t *testing.T) {
	cfg := Default()
	cfg.Loops, cfg.AcceptBatch = 1, 100
	h := &crowd{stopper: stopper{collector: *newCollector(), held: make(chan struct{}), goOn: make(chan struct{})}}
	r, addr := serve(t, cfg, h)
	staying := dial(t, addr)
	id := <-h.opened
	if _, err := staying.Write(masked(OpText, "wait")); err != nil {
		t.Fatal(err)
	}
	<-h.held
	var coming []net.Conn
	for range cfg.AcceptBatch {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(upgradeRequest)); err != nil {
			t.Fatal(err)
		}
		coming = append(coming, c)
	}
	sent := openedAt{opened: h.opened, at: make(chan int, 1)}
	h.first = func() { r.Send(id, OpText, []byte("in time"), sent, 0) }
	close(h.goOn)
	if n := <-sent.at; n > cfg.AcceptBatch/2 {
		t.Errorf("the message left after %d of %d upgrades", n, cfg.AcceptBatch)
	}
	for _, c := range coming {
		if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != 101 {
			t.Fatalf("%v, %v", answer, err)
		}
	}
}

// openedAt notes how many connections had opened when a message left.
type openedAt struct {
	opened chan ConnID
	at     chan int
}

func (s openedAt) Sent(uint64, Result) { s.at <- len(s.opened) }

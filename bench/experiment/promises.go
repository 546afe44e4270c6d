package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/roostpush/roost/bench/device"
)

// Pledge is an experiment: pushes that a node accepts with a time to live, and a node that
// is killed again and again meanwhile. Each accepted push must reach its device, or end as
// expired when its time is over; a device may get one twice, with one id.
type Pledge struct {
	Program  string
	Pushes   int           // that are accepted, over all lives of the node
	Devices  int           // which are connected whenever the node lives
	Kills    int           // at random moments
	Absent   int           // of 100 pushes, those to devices that never connect, with the short TTL
	Unacked  int           // of 100 messages, those that their device does not acknowledge when it gets them first
	TTL      time.Duration // of pushes to devices that are there
	Short    time.Duration // of pushes to devices that are not
	Window   int           // pushes without an answer at one time
	LifeMin  time.Duration // of the node, from ready to the kill
	LifeMax  time.Duration
	DrainMax time.Duration // from the last push to the last arrival
	Extra    []string      // more arguments of roost serve
}

// DefaultPledge returns the experiment that the budgets are written for.
func DefaultPledge(program string) Pledge {
	return Pledge{
		Program: program, Pushes: 100_000, Devices: 500, Kills: 10, Absent: 2, Unacked: 1, TTL: time.Hour, Short: 3 * time.Second,
		Window: 2_000, LifeMin: 300 * time.Millisecond, LifeMax: 2500 * time.Millisecond, DrainMax: 2 * time.Minute,
	}
}

// pledging is a run.
type pledging struct {
	Pledge
	mu      sync.Mutex
	result  PledgeResult
	ids     map[int]string // by number of a push: the accepted one's id
	arrived map[int]string // and that under which it came
	acked   map[int]bool
	absent  map[int]bool  // its device never connects
	next    int           // number of the next push
	node    *Node         // nil: between two lives
	changed chan struct{} // closed when node changes
}

// pledgePayload is what each push carries.
type pledgePayload struct {
	Number int    `json:"number"`
	For    string `json:"for"`
}

// Promises kills a node that keeps messages, again and again, and looks whether it kept
// them. say hears how it goes, a line at a time.
func Promises(ctx context.Context, p Pledge, say func(string)) (*PledgeResult, error) {
	data, err := os.MkdirTemp("", "roost-promises-")
	if err != nil {
		return nil, fmt.Errorf("experiment: %w", err)
	}
	defer os.RemoveAll(data)
	run := &pledging{Pledge: p, ids: map[int]string{}, arrived: map[int]string{}, acked: map[int]bool{}, absent: map[int]bool{}, changed: make(chan struct{})}
	run.result.Intended = p.Kills
	begun := time.Now()
	devices, stop := context.WithCancel(ctx)
	var connected sync.WaitGroup
	defer connected.Wait()
	defer stop()
	for i := range p.Devices {
		connected.Go(func() { run.device(devices, fmt.Sprintf("d%d", i)) })
	}
	for run.result.Kills < p.Kills || run.acceptedNow() < p.Pushes {
		if err := run.live(ctx, data); err != nil {
			return nil, err
		}
		say(fmt.Sprintf("promises: killed %d times, %d of %d pushes accepted", run.result.Kills, run.acceptedNow(), p.Pushes))
		if run.result.Kills > 20*p.Kills {
			return nil, fmt.Errorf("experiment: after %d kills only %d of %d pushes were accepted; %s", run.result.Kills, run.acceptedNow(), p.Pushes, run.result.Why)
		}
	}
	node, err := run.start(ctx, data)
	if err != nil {
		return nil, err
	}
	defer node.Kill()
	if err := run.drain(ctx, node); err != nil {
		return nil, err
	}
	run.result.Wall = time.Since(begun)
	return &run.result, nil
}

// start begins a life of the node and tells the devices.
func (p *pledging) start(ctx context.Context, data string) (*Node, error) {
	node, err := StartNode(ctx, p.Program, data, append([]string{"--set", "protocol.message_rate=100000", "--set", "protocol.message_burst=100000"}, p.Extra...)...)
	if err != nil {
		return nil, fmt.Errorf("experiment: after %d kills: %w", p.result.Kills, err)
	}
	p.result.ReadyMost = max(p.result.ReadyMost, node.Ready)
	p.turn(node)
	return node, nil
}

// turn says which node there is.
func (p *pledging) turn(node *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.node = node
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pledging) current() (*Node, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node, p.changed
}

func (p *pledging) acceptedNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.result.Accepted
}

// live is one life of the node: it takes pushes until it is killed.
func (p *pledging) live(ctx context.Context, data string) error {
	node, err := p.start(ctx, data)
	if err != nil {
		return err
	}
	defer p.turn(nil)
	killed := make(chan struct{})
	timer := time.AfterFunc(p.LifeMin+rand.N(p.LifeMax-p.LifeMin), func() {
		node.Kill()
		close(killed)
	})
	err = p.push(ctx, node, killed)
	if timer.Stop() { // everything is accepted
		node.Kill()
		return err
	}
	<-killed
	p.result.Kills++
	return err
}

// push gives the node what it takes, with a window, until it is killed or has accepted
// enough.
func (p *pledging) push(ctx context.Context, node *Node, killed <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var waiting []int // numbers without an answer, in order
	room := make(chan struct{}, p.Window)
	stream, err := node.openKept(ctx, func(a keptAnswer) {
		mu.Lock()
		number := waiting[0]
		waiting = waiting[1:]
		mu.Unlock()
		p.answered(number, a)
		<-room
	})
	if err != nil {
		return err
	}
giving:
	for p.result.Kills < p.Kills || p.acceptedNow() < p.Pushes {
		select {
		case room <- struct{}{}:
		default:
			if stream.flush() != nil {
				break giving
			}
			select {
			case room <- struct{}{}:
			case <-killed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case <-killed:
			break giving
		default:
		}
		line, number := p.line()
		mu.Lock()
		waiting = append(waiting, number)
		mu.Unlock()
		if stream.write(line) != nil {
			break
		}
	}
	select {
	case <-killed:
		cancel()
		<-stream.done
	default:
		// The node is alive: the last answers come, or the kill does.
		if err := stream.close(p.DrainMax); err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
			select {
			case <-killed:
			case <-time.After(p.LifeMax):
				return err
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result.Unanswered += len(waiting)
	return nil
}

// line makes the next push.
func (p *pledging) line() (*keptLine, int) {
	number := p.next
	p.next++
	device, ttl := fmt.Sprintf("d%d", rand.N(p.Devices)), p.TTL
	if rand.N(100) < p.Absent {
		device, ttl = fmt.Sprintf("absent%d", number), p.Short
		p.mu.Lock()
		p.absent[number] = true
		p.mu.Unlock()
	}
	payload, err := json.Marshal(pledgePayload{number, device})
	if err != nil {
		panic(err)
	}
	return &keptLine{To: keptTo{"kept", device}, Payload: payload, TTL: ttl.Milliseconds(), Wait: "none"}, number
}

func (p *pledging) answered(number int, a keptAnswer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.Status != 202 || a.ID == "" {
		p.result.Refused++
		if a.Error != nil {
			p.result.Why = a.Error.Code + ": " + a.Error.Detail
		}
		return
	}
	p.result.Accepted++
	p.ids[number] = a.ID
}

// device connects whenever there is a node, and acknowledges most of what it gets.
func (p *pledging) device(ctx context.Context, name string) {
	for ctx.Err() == nil {
		node, changed := p.current()
		if node != nil {
			if d, err := device.Open(ctx, node.Public, "kept", name, keptBufferBytes); err == nil {
				end := context.AfterFunc(ctx, func() { d.Close() })
				p.read(d, name)
				end()
				d.Close()
				continue // at once, if there is a node
			}
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (p *pledging) read(d *device.Session, name string) {
	for {
		f, err := d.Next()
		if err != nil {
			return
		}
		if f.Type == "message" && p.took(f, name) && d.Ack(f.ID) != nil {
			return
		}
	}
}

// took notes an arrival and says whether it is to be acknowledged.
func (p *pledging) took(f device.Frame, name string) (ack bool) {
	var payload pledgePayload
	if err := json.Unmarshal(f.Payload, &payload); err != nil {
		payload.Number = -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if payload.For != name {
		p.result.Wrong = append(p.result.Wrong, fmt.Sprintf("%s got %s", name, f.Payload))
		return true
	}
	before, again := p.arrived[payload.Number]
	switch {
	case !again:
		p.arrived[payload.Number] = f.ID
	case before != f.ID:
		p.result.OtherID = append(p.result.OtherID, fmt.Sprintf("%d came as %s and as %s", payload.Number, before, f.ID))
	default:
		p.result.Twice++
		if p.acked[payload.Number] {
			p.result.AfterAck++
		}
	}
	if !again && rand.N(100) < p.Unacked {
		return false
	}
	p.acked[payload.Number] = true
	return true
}

// drain waits for the last arrivals and asks for what never had a device.
func (p *pledging) drain(ctx context.Context, node *Node) error {
	for end := time.Now().Add(p.DrainMax); p.missing() > 0 && time.Now().Before(end); {
		if err := Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if err := Pause(ctx, p.Short+time.Second); err != nil { // the last of the absent devices' messages expire
		return err
	}
	for number, id := range p.settle() {
		if err := p.ask(ctx, node, number, id); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// settle counts what arrived and what is lost, and returns the ids of what was for
// absent devices. Devices are still connected: something may come again meanwhile.
func (p *pledging) settle() (absent map[int]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	absent = map[int]string{}
	for number, id := range p.ids {
		_, arrived := p.arrived[number]
		switch {
		case arrived:
			p.result.Delivered++
		case p.absent[number]:
			p.result.Absent++
			absent[number] = id
		default:
			p.result.Lost = append(p.result.Lost, fmt.Sprintf("%d (%s)", number, id))
		}
	}
	return absent
}

// ask asks what became of a message whose device never connected.
func (p *pledging) ask(ctx context.Context, node *Node, number int, id string) error {
	status, body, err := node.Get(ctx, "/v1/messages/"+id)
	if err != nil {
		return err
	}
	var answer struct {
		Outcomes []struct{ Outcome string }
	}
	if err := json.Unmarshal(body, &answer); err == nil && status == 200 && len(answer.Outcomes) == 1 && answer.Outcomes[0].Outcome == "expired" {
		p.result.Expired++
		return nil
	}
	p.result.Lost = append(p.result.Lost, fmt.Sprintf("%d (%s) for an absent device: HTTP %d %.200s", number, id, status, body))
	return nil
}

// missing is how many accepted pushes to connected devices have not arrived.
func (p *pledging) missing() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number := range p.ids {
		if _, ok := p.arrived[number]; !ok && !p.absent[number] {
			n++
		}
	}
	return n
}

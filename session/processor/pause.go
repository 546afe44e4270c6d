package processor

// Reason is why nothing is attempted for now.
type Reason uint8

// The reasons.
const (
	Draining     Reason = iota // the node is leaving
	StoreStalled               // the store takes nothing at the moment, so that nothing can be promised

	reasonCount
)

var reasonNames = [reasonCount]string{"draining", "store_stalled"}

// String returns the word used in logs and metrics.
func (r Reason) String() string { return reasonNames[r] }

// Pause begins no attempt and no turn from now on, but one that is being begun at this
// moment. Those on their way go on, and records are still taken until their lane is full.
// Nothing is lost by it. Each reason counts once, however often it is given.
func (p *Processor) Pause(reason Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused[reason] {
		p.paused[reason] = true
		p.count.pauses[reason]++
	}
}

// Resume takes a reason back; when there is none left, all goes on.
func (p *Processor) Resume(reason Reason) {
	p.mu.Lock()
	p.paused[reason] = false
	wake := p.wakesLocked()
	p.mu.Unlock()
	p.wake(wake)
}

// Paused reports whether there is a reason to attempt nothing.
func (p *Processor) Paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pausedLocked()
}

func (p *Processor) pausedLocked() bool { return p.paused != [reasonCount]bool{} }

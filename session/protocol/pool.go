package protocol

import "sync"

// pool runs what would hold up a loop, on a fixed number of goroutines and from a
// bounded queue.
type pool struct {
	jobs   chan func()
	ending sync.RWMutex // held for reading while a job is put in
	ended  bool
	work   sync.WaitGroup
}

func newPool(workers, queue int) *pool {
	p := &pool{jobs: make(chan func(), queue)}
	for range workers {
		p.work.Go(func() {
			for job := range p.jobs {
				job()
			}
		})
	}
	return p
}

// do queues a job; false when the queue is full or the pool has ended. It never blocks.
func (p *pool) do(job func()) bool {
	p.ending.RLock()
	defer p.ending.RUnlock()
	if p.ended {
		return false
	}
	select {
	case p.jobs <- job:
		return true
	default:
		return false
	}
}

// close lets the workers finish what is queued and waits for them.
func (p *pool) close() {
	p.ending.Lock()
	if !p.ended {
		p.ended = true
		close(p.jobs)
	}
	p.ending.Unlock()
	p.work.Wait()
}

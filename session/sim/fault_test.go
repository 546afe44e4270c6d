package sim

import "slices"

// faults happens every now and then until the world is quiet.
func (w *world) faults() {
	if w.quiet {
		return
	}
	a, b := w.anyPair()
	if w.random.IntN(4) == 0 {
		n := w.anyNode()
		before := n.nowMS()
		if n.setClock(); n.nowMS() < before {
			w.count.setBack++
		} else if n.nowMS() > before {
			w.count.setForward++
		}
	}
	switch n := w.random.IntN(22); {
	case n < 10:
		w.reset(a, b)
	case n < 13:
		w.cut(a, b)
		w.after(w.between(3*second, 12*second), func() { w.mend(a, b) })
	case n < 16:
		w.partition()
	case n < 18:
		w.restart(a)
	case n < 20: // soon, while it notes the end of a message
		n := w.nodes[a]
		n.doomed = true
		w.after(2*second, n.meetDoom)
	default:
		w.leave(a)
	}
	pause := w.between(300*ms, 2*second)
	if w.random.IntN(12) == 0 {
		pause = w.between(8*second, 14*second) // long enough for checkRoutable to have something to hold
	}
	w.after(pause, w.faults)
}

// partition parts the nodes into two sides for a while.
func (w *world) partition() {
	if w.parted {
		return
	}
	w.parted = true
	side := w.random.Perm(len(w.nodes))[:1+w.random.IntN(len(w.nodes)/2)]
	left := make([]bool, len(w.nodes))
	for _, id := range side {
		left[id] = true
	}
	each := func(do func(a, b int)) {
		for a := range w.nodes {
			for b := range a {
				if left[a] != left[b] {
					do(a, b)
				}
			}
		}
	}
	each(w.cut)
	w.after(w.between(4*second, 20*second), func() {
		w.parted = false
		w.count.heals++
		each(w.mend)
	})
}

// meetDoom kills a node that was to be.
func (n *process) meetDoom() {
	if n.up && n.doomed {
		n.doomed = false
		n.w.restart(n.id)
	}
}

// restart kills a node and starts it again, perhaps without its disk. Most others stay.
func (w *world) restart(id int) {
	up := 0
	for _, n := range w.nodes {
		if n.up {
			up++
		}
	}
	if up < len(w.nodes) || w.parted {
		return
	}
	persisted := w.nodes[id].origin.Epoch
	diskLost := w.random.IntN(2) == 0
	w.crash(id)
	w.count.restarts++
	w.after(w.between(300*ms, 6*second), func() {
		if diskLost && w.isolated(id) == 0 {
			persisted = 0
			for hash := range w.disks[id].keys {
				w.burnt[hash] = true
			}
			w.burn(w.disks[id])
			w.disks[id] = newDisk(w)
		}
		w.start(id, persisted)
		w.boot(id)
	})
}

// leave has a node hand over what it keeps, and go. If it says that nothing is left another
// one comes in its place, with another disk; otherwise it is started again with its own.
func (w *world) leave(id int) {
	n := w.nodes[id]
	if n.leaving || w.parted || slices.ContainsFunc(w.nodes, func(n *process) bool { return !n.up }) {
		return
	}
	n.leaving = true
	n.house()
	w.gossipAll()
	n.keeping.homes.Leave()
	w.after(w.between(second, 4*second), func() { n.depart(w.now + 6*second) })
}

// depart ends a node that leaves once it has handed over everything, or at that time.
func (n *process) depart(deadline int64) {
	w := n.w
	if !n.up {
		return // it crashed
	}
	messages, acks, keys := n.keeping.homes.Left()
	if messages+acks+keys > 0 && w.now < deadline {
		w.after(50*ms, func() { n.depart(deadline) })
		return
	}
	shelf{n.keeping.disk, n}.sync() // as a store does that is closed
	empty := messages+acks+keys == 0
	if empty {
		w.left(n)
	} else {
		w.mail.stayed++
	}
	w.crash(n.id)
	w.count.restarts++
	w.after(w.between(300*ms, 4*second), func() {
		persisted := n.origin.Epoch
		if empty && w.isolated(n.id) == 0 {
			persisted = 0
			w.burn(w.disks[n.id])
			w.disks[n.id] = newDisk(w)
		}
		w.start(n.id, persisted)
		w.boot(n.id)
	})
}

// isolated counts the nodes that a starting one cannot ask. It must be able to ask all if
// it lost its disk, or its epoch may be one that was used.
func (w *world) isolated(id int) (count int) {
	for other, n := range w.nodes {
		if other != id && (w.pair(id, other).cut || !n.up) {
			count++
		}
	}
	return count
}

package sim

import "fmt"

func (w *world) dump() {
	for _, n := range w.nodes {
		fmt.Printf("%s up %v members %v\n  heads %v\n  %+v\n", n.name, n.up, n.members, n.Heads(nil), n.Stats())
		for _, o := range w.nodes {
			if o != n {
				p := w.pair(n.id, o.id)
				fmt.Print(o.name, p.up, p.cut, p.calm/second, " ")
			}
		}
		fmt.Println()
	}
}

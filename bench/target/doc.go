// Package target says whom the load goes to and as whom: the URL, the identity of
// each connection, its token and headers, the source addresses, and the bytes of
// its handshake. It also looks at a target once before a run and says in plain
// words why it is none.
//
// It holds no connection of a run; package generator does. Start reading at Spec.
package target

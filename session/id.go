package session

import (
	"strconv"
	"strings"
)

// IDBytesMax bounds the text of a session or message id (PROTOCOL.md section 0).
const IDBytesMax = 48

// MessageID is a message's number within the node and epoch that accepted it.
type MessageID uint64

// Origin names who makes ids: a node during one epoch (DESIGN.md decision 3). An
// id's text is node.epoch.number, the latter two in base 36: it can be routed
// from any node and never repeats, since an epoch never does.
type Origin struct {
	Node  string
	Epoch uint64
}

// Append appends the text of the id with the given number. It allocates nothing
// when dst has room for IDBytesMax more bytes.
func (o Origin) Append(dst []byte, number uint64) []byte {
	dst = append(dst, o.Node...)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, o.Epoch, 36)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, number, 36)
}

// Text returns the text of the id with the given number.
func (o Origin) Text(number uint64) string {
	return string(o.Append(make([]byte, 0, IDBytesMax), number))
}

// ParseID reads the text of an id; ok is false for anything no node made.
func ParseID(s string) (o Origin, number uint64, ok bool) {
	if len(s) > IDBytesMax {
		return o, 0, false
	}
	node, rest, ok1 := strings.Cut(s, ".")
	epoch, num, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || CheckNode(node) != nil {
		return o, 0, false
	}
	e, err := strconv.ParseUint(epoch, 36, 64)
	if err != nil {
		return o, 0, false
	}
	n, err := strconv.ParseUint(num, 36, 64)
	if err != nil {
		return o, 0, false
	}
	return Origin{Node: node, Epoch: e}, n, true
}

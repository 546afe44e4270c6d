package session

// Record is what the store keeps of a device: who was connected where, since
// when, and how it ended. It is soft state, written behind; a crash may lose the
// last moments, which the store's documentation bounds.
type Record struct {
	Address
	Node      string // node that holds or held the session
	Session   string // id text of the newest session
	OpenedMS  int64  // Unix milliseconds
	SeenMS    int64  // last sign of life: when closed that moment, else the newest heartbeat
	ClosedMS  int64  // 0: open
	CloseCode uint16 // WebSocket close code; 1006: it ended without one
	UserAgent string
	Remote    string // host:port the device came from
	Attrs     []byte // JSON object from the token; nil: none
}

// Online reports whether the record says that the device is connected.
func (r *Record) Online() bool { return r.ClosedMS == 0 }

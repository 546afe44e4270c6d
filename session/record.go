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

// Fact is what is known of one session of a device, and what records are made of: its
// opening, its end, or both. Facts of a device that come from several nodes are joined,
// in any order: the newest session counts, the one with the highest Version and, of two
// with the same, the one with the higher Origin and Number.
type Fact struct {
	Address
	Origin          // the node that holds or held the session, and its epoch
	Number   uint64 // of the session; see Session
	Version  uint64 // see Session
	OpenedMS int64  // Unix milliseconds

	Detailed  bool // the opening was seen, with the three below; else only the end
	UserAgent string
	Remote    string // host:port the device came from
	Attrs     []byte // JSON object from the token; empty: none

	Closed    bool
	ClosedMS  int64 // Unix milliseconds
	CloseCode uint16

	SeenMS int64 // when Origin is known to have lived, Unix milliseconds; 0: nobody says
}

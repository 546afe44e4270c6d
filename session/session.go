package session

// Permissions say what a session speaks, from its request.
type Permissions uint8

// The protocols of a session, one bit each; none of them is roost.v1 on a WebSocket.
const (
	Raw Permissions = 1 << iota // speaks roost.raw
	SSE                         // gets roost.v1's frames as Server-Sent Events, and can say nothing
)

// Flags say how a session stands, one bit each.
type Flags uint8

// The flags. A new token may change what a device may do.
const (
	MaySend Flags = 1 << iota // may message the account's other devices
	Leaving                   // goaway is sent
	Asking                    // a question of it is with the pool
)

// Session is one connected device. The registry owns it from Open to Close.
//
// Address, Number, Version, Conn, OpenedMS and Permissions do not change after
// Registry.Open and may be read anywhere. ExpiresMS, RateTAT, LifetimeS, Strikes and
// Flags belong to the connection's loop: read and change them there only. The rest is the
// registry's, guarded by its shard's mutex.
//
// A session is two objects: this struct and one string that both names share
// (DESIGN.md decision 13). Keep it within its size class of 112 bytes.
type Session struct {
	Address
	Number      uint64 // its id within the node and epoch; Origin.Append makes the text
	Version     uint64 // of its opening: of two sessions of an address, on whatever nodes, the newer has the higher
	Conn        uint64 // the socket, in the words of whoever opened it
	OpenedMS    int64  // Unix milliseconds
	ExpiresMS   int64  // Unix milliseconds of the token's end; 0: none
	RateTAT     int64  // theoretical arrival time of its GCRA, nanoseconds of the loop's clock
	LifetimeS   uint32 // seconds after OpenedMS at which it is asked to leave; 0: never
	Permissions Permissions
	Strikes     uint8 // messages refused for their rate since the last that was taken
	Flags       Flags

	version     uint64 // that the node's log has of it (DESIGN.md decision 3): Version, or higher once it was re-asserted
	hash        uint32 // of the address, for the device index
	accountHash uint32 // of the account, for the account index
	next        uint32 // slot+1 of the next session of the account, 0: none
	prev        uint32 // slot+1 of the previous one, 0: this is the head
}

// Of returns a session of a device, whose two names should be parts of one string; they
// are kept as they are.
func Of(a Address) *Session { return &Session{Address: a} }

// New returns a session of the named device whose two names share one string.
// The arguments are borrowed.
func New(account, device string) *Session {
	both := account + "/" + device
	return &Session{Address: Address{Account: both[:len(account)], Device: both[len(account)+1:]}}
}

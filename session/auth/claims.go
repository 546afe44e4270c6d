package auth

import "github.com/roostpush/roost/session"

// Claims is what a good token says about its bearer (PROTOCOL.md section 1). The
// strings are the caller's to keep; Topics and Attrs are shared with later callers
// that present the same token and must not be changed. Account, Device and Topics are parts
// of one string: whoever keeps one of them keeps the memory of all.
type Claims struct {
	Account string // sub
	Device  string // empty: the token names none, the caller takes it from the query
	// ExpiresMS is when this node stops honouring the token: exp plus Config.Leeway,
	// in Unix milliseconds, so that a token admitted within the leeway is not closed
	// at once. 0: never (mode none).
	ExpiresMS int64
	Send      bool     // may message the account's other devices
	Topics    []string // topics, or patterns ending in .*, that it may subscribe to
	Attrs     []byte   // JSON object without white space between tokens; nil: none
	// Everything says that nothing is forbidden: mode none. It includes every topic.
	Everything bool
}

// Join makes account and device, which are borrowed, the names: parts of one new string.
func (c *Claims) Join(account, device string) {
	both := account + device
	c.Account, c.Device = both[:len(account)], both[len(account):]
}

// Believe returns the claims of a caller in mode none: the query's account and
// device, which are borrowed, and every permission. The error names the part that is no
// name.
func Believe(account, device string) (Claims, error) {
	a := session.Address{Account: account, Device: device}
	if err := a.Check(); err != nil {
		return Claims{}, err
	}
	c := Claims{Send: true, Everything: true}
	c.Join(account, device)
	return c, nil
}

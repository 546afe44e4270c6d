package route

import "encoding/binary"

// Key is the cluster's hash_key. It is the same on all nodes and never rotates: a
// node with another one could not find a single device. Hashes are keyed so that who
// chooses names cannot choose where they collide.
type Key [16]byte

// Fingerprint is what links compare to find out that two nodes have different
// keys. It is a keyed hash itself and says nothing about the key.
func (k Key) Fingerprint() [8]byte {
	s := k.start()
	s.text("roost hash_key fingerprint")
	s.word(fingerprintDomain)
	var f [8]byte
	binary.LittleEndian.PutUint64(f[:], s.finish())
	return f
}

// Domains stand where an address has the length of its device, which is never as
// large: no account's hash is some address's hash by construction.
const (
	accountDomain     = ^uint64(0)
	fingerprintDomain = ^uint64(1)
)

// Address returns the hash of an address and that of its account, which depends on
// the account alone. The names are borrowed; nothing is allocated.
//
// The account's hash is SipHash-2-4 over len(account), account, accountDomain, the
// address's over len(account), account, len(device), device: lengths in 8 bytes
// little endian, names padded with zeros to a multiple of 8 bytes. So ("a", "b") and
// ("a/b", "") are different messages, and the account is read once for both.
func (k Key) Address(account, device string) (address, accountHash uint64) {
	s := k.start()
	s.text(account)
	own := s
	own.word(accountDomain)
	s.text(device)
	return s.finish(), own.finish()
}

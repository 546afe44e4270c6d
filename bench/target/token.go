package target

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"time"
)

// tokenLifetime is how long a minted token is valid: longer than any run.
const tokenLifetime = 24 * time.Hour

// Minter makes one HS256 token (RFC 7515, RFC 7519) for each connection, with the
// claims of Roost's contract: sub is the account, device the device. It costs a
// few microseconds a token and keeps nothing between calls but its scratch, so it
// belongs to one goroutine.
type Minter struct {
	mac     hash.Hash
	account Template
	device  Template
	expires int64
	claims  []byte
	sum     []byte
}

// tokenHeader is {"alg":"HS256","typ":"JWT"}, encoded.
var tokenHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

// NewMinter returns a minter with the secret shared with the server. The templates
// must be JSON text already, as quoteJSON makes them.
func NewMinter(secret string, account, device Template, now time.Time) *Minter {
	return &Minter{
		mac: hmac.New(sha256.New, []byte(secret)), account: account, device: device,
		expires: now.Add(tokenLifetime).Unix(),
	}
}

// Append appends the token of connection i.
func (m *Minter) Append(dst []byte, i int64) []byte {
	m.claims = append(m.claims[:0], `{"sub":"`...)
	m.claims = m.account.Append(m.claims, i)
	m.claims = append(m.claims, `","device":"`...)
	m.claims = m.device.Append(m.claims, i)
	m.claims = append(m.claims, `","exp":`...)
	m.claims = strconv.AppendInt(m.claims, m.expires, 10)
	m.claims = append(m.claims, `,"send":true}`...) // relay needs it; nothing else minds

	start := len(dst)
	dst = append(dst, tokenHeader...)
	dst = append(dst, '.')
	dst = base64.RawURLEncoding.AppendEncode(dst, m.claims)
	m.mac.Reset()
	m.mac.Write(dst[start:])
	m.sum = m.mac.Sum(m.sum[:0])
	dst = append(dst, '.')
	return base64.RawURLEncoding.AppendEncode(dst, m.sum)
}

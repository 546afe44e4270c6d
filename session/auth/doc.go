// Package auth answers who is calling: it checks a signed token (JWT, RFC 7519 in
// the compact form of RFC 7515) and returns what the token says about its bearer.
//
// It uses CPU only, opens no socket and takes the time from its caller, so that it
// fits an event loop. Quick never waits: it answers HS256 tokens and tokens it has
// seen before, and says so when a token needs public-key work; the caller then runs
// Verify on its own bounded pool (DESIGN.md decision 8).
//
// What is decided here, beyond the RFCs: a key serves exactly one algorithm, so a
// public key can never be used as an HMAC secret; exp is required; base64url is
// strict; a member that is read may stand once; a header with crit is refused,
// because no extension is understood; iss, iat, jti and typ are not looked at.
//
// The order of the checks is length, form, algorithm, key, form of the claims,
// times, audience, signature, and only then the names in the claims. Cheap ones come
// first, so that a herd of expired tokens costs no public-key work; a token with two
// faults is refused for the first of them.
//
// Good verdicts of public-key tokens are kept until they expire. Those of HS256 are
// not: checking one again costs 1 µs, keeping it some 250 bytes for each
// connection. Bad verdicts are never kept, so nobody can fill the cache without
// tokens that the issuer signed.
//
// Start reading at verifier.go; token.go, payload.go and keyring.go are its steps.
package auth

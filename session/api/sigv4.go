package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The words of AWS Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
const (
	sigV4Algorithm  = "AWS4-HMAC-SHA256"
	sigV4Service    = "execute-api" // the name under which API Gateway's clients sign
	sigV4Terminator = "aws4_request"
	sigV4TimeLayout = "20060102T150405Z"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// sigV4 checks the signatures of AWS clients. It is safe for concurrent use.
type sigV4 struct {
	keys map[string]string // access key id -> secret
	skew time.Duration
	now  func() time.Time
}

// credential is a parsed Authorization header.
type credential struct {
	keyID, date, region string
	signedHeaders       string
	signature           string
}

// verify reports why the request is not signed by one of the key pairs, or nil. body
// is the whole body. Steps: parse the header; date; key; payload hash; canonical
// request; signature.
func (v *sigV4) verify(r *http.Request, body []byte) *Problem {
	c, err := parseCredential(r.Header.Get("Authorization"))
	if err != nil {
		return forbidden(codeSigV4Malformed, err.Error())
	}
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(sigV4TimeLayout, stamp)
	if err != nil {
		return forbidden(codeSigV4Malformed, fmt.Sprintf("X-Amz-Date is %q: write it YYYYMMDDTHHMMSSZ", stamp))
	}
	if c.date != stamp[:8] {
		return forbidden(codeSigV4Malformed, fmt.Sprintf("the credential is of %s, X-Amz-Date of %s", c.date, stamp[:8]))
	}
	if off := v.now().Sub(at).Abs(); off > v.skew {
		return forbidden(codeSigV4Skew, fmt.Sprintf("X-Amz-Date is %v away from this node's clock, at most %v are allowed", off.Round(time.Second), v.skew))
	}
	if err := checkSignedHeaders(r, c.signedHeaders); err != nil {
		return forbidden(codeSigV4Malformed, err.Error())
	}
	secret, known := v.keys[c.keyID]
	if !known {
		return forbidden(codeSigV4UnknownKey, fmt.Sprintf("access key id %q is not configured on this node (aws.keys)", c.keyID))
	}
	hash, err := payloadHash(r.Header.Get("X-Amz-Content-Sha256"), body)
	if err != nil {
		return forbidden(codeSigV4Payload, err.Error())
	}
	canonical, err := canonicalRequest(r, c.signedHeaders, hash)
	if err != nil {
		return forbidden(codeSigV4Malformed, err.Error())
	}
	if want := sign(secret, c, stamp, canonical); !hmac.Equal([]byte(want), []byte(c.signature)) {
		return forbidden(codeSigV4Signature, "the signature does not match: the secret differs, or the request was changed on its way")
	}
	return nil
}

// sign computes the signature that the holder of secret would have made.
func sign(secret string, c credential, stamp, canonical string) string {
	scope := c.date + "/" + c.region + "/" + sigV4Service + "/" + sigV4Terminator
	sum := sha256.Sum256([]byte(canonical))
	toSign := sigV4Algorithm + "\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + secret)
	for _, part := range [...]string{c.date, c.region, sigV4Service, sigV4Terminator, toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// parseCredential reads
// AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX.
func parseCredential(header string) (c credential, err error) {
	rest, ok := strings.CutPrefix(header, sigV4Algorithm+" ")
	if !ok {
		return c, fmt.Errorf("header Authorization does not begin with %s", sigV4Algorithm)
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; !ok || twice {
			return c, fmt.Errorf("header Authorization has the unexpected part %q", strings.TrimSpace(field))
		}
		fields[name] = value
	}
	c.signedHeaders, c.signature = fields["SignedHeaders"], fields["Signature"]
	scope := strings.Split(fields["Credential"], "/")
	switch {
	case len(fields) != 3 || c.signedHeaders == "" || c.signature == "":
		return c, fmt.Errorf("header Authorization needs Credential, SignedHeaders and Signature")
	case len(scope) != 5:
		return c, fmt.Errorf("the Credential %q is not ID/DATE/REGION/%s/%s", fields["Credential"], sigV4Service, sigV4Terminator)
	case scope[3] != sigV4Service || scope[4] != sigV4Terminator:
		return c, fmt.Errorf("the Credential is for %s/%s: sign for %s/%s", scope[3], scope[4], sigV4Service, sigV4Terminator)
	}
	c.keyID, c.date, c.region = scope[0], scope[1], scope[2]
	return c, nil
}

// payloadHash returns the hash that the canonical request ends with. A client that
// names it must name the right one: the signature covers the name only.
func payloadHash(named string, body []byte) (string, error) {
	if named == unsignedPayload {
		return named, nil
	}
	sum := sha256.Sum256(body)
	is := hex.EncodeToString(sum[:])
	if named != "" && named != is {
		return "", fmt.Errorf("X-Amz-Content-Sha256 is %.80q, the body's hash is %s", named, is)
	}
	return is, nil
}

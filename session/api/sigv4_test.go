package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var (
	testKeys   = map[string]string{"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	testSigned = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

func testSigV4() *sigV4 {
	return &sigV4{keys: testKeys, skew: 5 * time.Minute, now: func() time.Time { return testSigned }}
}

// signedRequest returns a request as a server sees it, signed by Amazon's own signer.
func signedRequest(t testing.TB, method, target, body, hash string) *http.Request {
	t.Helper()
	out, err := http.NewRequest(method, "http://127.0.0.1:8081"+target, strings.NewReader(body))
	if err != nil {
		t.Skip(err)
	}
	out.Header.Set("Content-Type", "application/octet-stream")
	out.Header.Set("X-Amz-Content-Sha256", hash)
	creds := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: testKeys["AKIDEXAMPLE"]}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, out, hash, "execute-api", "eu-central-1", testSigned); err != nil {
		t.Fatal(err)
	}
	in := httptest.NewRequest(method, "http://127.0.0.1:8081"+out.URL.RequestURI(), strings.NewReader(body))
	in.Host, in.Header = out.Host, out.Header
	if in.Host == "" {
		in.Host = out.URL.Host
	}
	in.ContentLength = out.ContentLength
	return in
}

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestSigV4 takes a right request and changes one thing at a time.
func TestSigV4(t *testing.T) {
	const body = `{"x":1}`
	for _, tc := range []struct {
		name   string
		change func(r *http.Request, v *sigV4)
		hash   string
		code   string // empty: verified
	}{
		{"right", nil, sha(body), ""},
		{"unsigned payload", nil, unsignedPayload, ""},
		{"an agent is not signed", func(r *http.Request, _ *sigV4) { r.Header.Set("User-Agent", "proxy/1") }, sha(body), ""},
		{"spaces in a list", func(r *http.Request, _ *sigV4) {
			r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), ", ", ","))
		}, sha(body), ""},
		{"no authorization", func(r *http.Request, _ *sigV4) { r.Header.Del("Authorization") }, sha(body), codeSigV4Malformed},
		{"half an authorization", func(r *http.Request, _ *sigV4) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=A/20260304/eu-central-1/execute-api/aws4_request")
		}, sha(body), codeSigV4Malformed},
		{"a part twice", func(r *http.Request, _ *sigV4) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")+", Signature=00")
		}, sha(body), codeSigV4Malformed},
		{"another service", func(r *http.Request, _ *sigV4) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "execute-api", "s3", 1))
		}, sha(body), codeSigV4Malformed},
		{"another region", func(r *http.Request, _ *sigV4) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "eu-central-1", "us-east-1", 1))
		}, sha(body), codeSigV4Signature},
		{"unknown key", func(r *http.Request, v *sigV4) { v.keys = map[string]string{"other": "secret"} }, sha(body), codeSigV4UnknownKey},
		{"another secret", func(r *http.Request, v *sigV4) { v.keys = map[string]string{"AKIDEXAMPLE": "secret"} }, sha(body), codeSigV4Signature},
		{"another method", func(r *http.Request, _ *sigV4) { r.Method = "DELETE" }, sha(body), codeSigV4Signature},
		{"another path", func(r *http.Request, _ *sigV4) { r.URL.Path += "x" }, sha(body), codeSigV4Signature},
		{"another query", func(r *http.Request, _ *sigV4) { r.URL.RawQuery = "a=1" }, sha(body), codeSigV4Signature},
		{"broken query", func(r *http.Request, _ *sigV4) { r.URL.RawQuery = "%zz" }, sha(body), codeSigV4Malformed},
		{"another host", func(r *http.Request, _ *sigV4) { r.Host = "evil:1" }, sha(body), codeSigV4Signature},
		{"another type", func(r *http.Request, _ *sigV4) { r.Header.Set("Content-Type", "application/json") }, sha(body), codeSigV4Signature},
		{"a header that is not signed", func(r *http.Request, _ *sigV4) { r.Header.Set("X-Amz-Extra", "1") }, sha(body), codeSigV4Malformed},
		{"a signed header removed", func(r *http.Request, _ *sigV4) {
			r.Header.Del("Content-Type")
		}, sha(body), codeSigV4Malformed},
		{"hash of another body", nil, sha("other"), codeSigV4Payload},
		{"hash changed afterwards", func(r *http.Request, _ *sigV4) { r.Header.Set("X-Amz-Content-Sha256", unsignedPayload) }, sha(body), codeSigV4Signature},
		{"no date", func(r *http.Request, _ *sigV4) { r.Header.Del("X-Amz-Date") }, sha(body), codeSigV4Malformed},
		{"date of another day", func(r *http.Request, _ *sigV4) { r.Header.Set("X-Amz-Date", "20260305T000000Z") }, sha(body), codeSigV4Malformed},
		{"late by 5 minutes", func(_ *http.Request, v *sigV4) { v.now = func() time.Time { return testSigned.Add(5 * time.Minute) } }, sha(body), ""},
		{"too late", func(_ *http.Request, v *sigV4) {
			v.now = func() time.Time { return testSigned.Add(5*time.Minute + time.Second) }
		}, sha(body), codeSigV4Skew},
		{"too early", func(_ *http.Request, v *sigV4) { v.now = func() time.Time { return testSigned.Add(-6 * time.Minute) } }, sha(body), codeSigV4Skew},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, v := signedRequest(t, "POST", "/@connections/n1.7.a", body, tc.hash), testSigV4()
			if tc.change != nil {
				tc.change(r, v)
			}
			p := v.verify(r, []byte(body))
			switch {
			case p == nil && tc.code != "", p != nil && p.Code != tc.code:
				t.Errorf("%v, want %q", p, tc.code)
			case p != nil && (p.Status != 403 || p.Detail == ""):
				t.Errorf("%+v", p)
			}
		})
	}
}

// FuzzSigV4 holds the canonical form to Amazon's own signer, for any path, query,
// header and body, and every change of one byte of the signature to a refusal.
func FuzzSigV4(f *testing.F) {
	f.Add("/@connections/n1.7.a", "", "value", "body")
	f.Add("/%40connections/a b/..//x", "b=2&a=1&a=/&a=-&é=ü&c", "  two   spaces  ", "")
	f.Add("/~._-!*'()", "x=%2F+%20&y", "\tt", "\x00\xff")
	f.Fuzz(func(t *testing.T, path, query, header, body string) {
		target := "/" + strings.TrimPrefix(path, "/")
		if query != "" {
			target += "?" + query
		}
		out, err := http.NewRequest("POST", "http://127.0.0.1:8081"+target, strings.NewReader(body))
		if err != nil || strings.ContainsAny(header, "\r\n\t\x00") || strings.ContainsAny(target, "#") {
			t.Skip()
		}
		for i := range len(header) {
			if header[i] < ' ' || header[i] >= 0x7f {
				t.Skip() // no header could carry it
			}
		}
		if _, err := canonicalQuery(out.URL.RawQuery); err != nil {
			t.Skip() // Amazon's signer drops what it cannot read; we refuse it
		}
		out.Header.Set("X-Amz-Meta", header)
		creds := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: testKeys["AKIDEXAMPLE"]}
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, out, sha(body), "execute-api", "r", testSigned); err != nil {
			t.Skip()
		}
		in := &http.Request{Method: "POST", URL: out.URL, Host: "127.0.0.1:8081", Header: out.Header, ContentLength: out.ContentLength, Body: io.NopCloser(strings.NewReader(body))}
		v := testSigV4()
		if p := v.verify(in, []byte(body)); p != nil {
			t.Fatalf("%s?%s: %v", out.URL.EscapedPath(), out.URL.RawQuery, p)
		}
		auth := []byte(in.Header.Get("Authorization"))
		auth[len(auth)-1] ^= 1
		in.Header.Set("Authorization", string(auth))
		if v.verify(in, []byte(body)) == nil {
			t.Fatal("a changed signature was verified")
		}
		in.Header.Set("Authorization", header) // anything at all: no panic, no pass
		if v.verify(in, []byte(body)) == nil {
			t.Fatal("no signature was verified")
		}
	})
}

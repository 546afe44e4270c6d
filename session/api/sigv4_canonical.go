package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// checkSignedHeaders holds the list of signed headers to Amazon's rules: lower case,
// sorted, with host, content-type when there is one, and every x-amz- header. Without
// them somebody on the way could change what the request means.
func checkSignedHeaders(r *http.Request, list string) error {
	names := strings.Split(list, ";")
	for i, name := range names {
		if name == "" || name != strings.ToLower(name) || i > 0 && names[i-1] >= name {
			return fmt.Errorf("SignedHeaders %q is not a sorted list of lower-case names", list)
		}
	}
	need := []string{"host", "x-amz-date"}
	for key := range r.Header {
		if low := strings.ToLower(key); low == "content-type" || strings.HasPrefix(low, "x-amz-") {
			need = append(need, low)
		}
	}
	for _, name := range need {
		if _, signed := slices.BinarySearch(names, name); !signed {
			return fmt.Errorf("header %s is not signed: SignedHeaders is %q", name, list)
		}
	}
	return nil
}

// canonicalRequest writes the request as both sides must write it before signing.
func canonicalRequest(r *http.Request, signedHeaders, hash string) (string, error) {
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	// Every service but S3 encodes the path as it was sent a second time.
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	writeEscaped(&b, path, true)
	b.WriteByte('\n')
	b.WriteString(query)
	b.WriteByte('\n')
	for name := range strings.SplitSeq(signedHeaders, ";") {
		values, ok := signedValues(r, name)
		if !ok {
			return "", fmt.Errorf("header %q is listed in SignedHeaders and not in the request", name)
		}
		b.WriteString(name)
		b.WriteByte(':')
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			writeTrimmed(&b, v)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(signedHeaders)
	b.WriteByte('\n')
	b.WriteString(hash)
	return b.String(), nil
}

// signedValues returns a header's values, also of those that net/http takes out of
// the header.
func signedValues(r *http.Request, name string) ([]string, bool) {
	switch name {
	case "host":
		return []string{r.Host}, true
	case "transfer-encoding":
		return r.TransferEncoding, len(r.TransferEncoding) > 0
	}
	values, ok := r.Header[http.CanonicalHeaderKey(name)]
	if !ok && name == "content-length" && r.ContentLength >= 0 {
		return []string{strconv.FormatInt(r.ContentLength, 10)}, true
	}
	return values, ok
}

// canonicalQuery encodes each name and value and sorts the encoded pairs.
func canonicalQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", fmt.Errorf("the query cannot be read: %v", err)
	}
	type pair struct{ name, value string }
	var pairs []pair
	for name, vs := range values {
		for _, v := range vs {
			pairs = append(pairs, pair{escape(name), escape(v)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String(), nil
}

func escape(s string) string {
	var b strings.Builder
	writeEscaped(&b, s, false)
	return b.String()
}

// writeEscaped percent-encodes everything but RFC 3986's unreserved characters, and
// '/' when slash is set.
func writeEscaped(b *strings.Builder, s string, slash bool) {
	const upperHex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && slash:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
}

// writeTrimmed writes a header value without outer spaces and with runs of spaces
// made one.
func writeTrimmed(b *strings.Builder, v string) {
	v = strings.TrimSpace(v)
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		b.WriteByte(v[i])
	}
}

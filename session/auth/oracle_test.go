package auth

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/roostpush/roost/session"
)

// library is the oracle: golang-jwt with the options that say the same as cfg.
func library(cfg *Config) func(token string, now time.Time) error {
	jwt.TimePrecision = time.Millisecond // its default cuts exp to seconds
	public := map[string]any{"HS256": secret}
	for alg, k := range signers() {
		public[alg] = k.Public()
	}
	return func(token string, now time.Time) error {
		options := []jwt.ParserOption{
			jwt.WithValidMethods(cfg.Algorithms), jwt.WithExpirationRequired(), jwt.WithLeeway(cfg.Leeway),
			jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }),
		}
		if cfg.Audience != "" {
			options = append(options, jwt.WithAudience(cfg.Audience))
		}
		_, err := jwt.Parse(token, func(t *jwt.Token) (any, error) { return public[t.Method.Alg()], nil }, options...)
		return err
	}
}

// ownRules is the slow model of what this package asks beyond the library: it says
// why a token that the library takes is refused here, nil if it must be taken.
func ownRules(token string, cfg *Config) error {
	if len(token) > cfg.TokenBytesMax || strings.ContainsAny(token, "\r\n") {
		return errors.New("length or line break")
	}
	parts := strings.Split(token, ".")
	var object [2]map[string]any
	for i := range object {
		text, _ := base64url.DecodeString(parts[i])
		if err := strictJSON(text, cfg.DepthMax); err != nil {
			return err
		}
		if json.Unmarshal(text, &object[i]) != nil || object[i] == nil {
			return errors.New("no object")
		}
		if name := duplicate(text, [2][]string{{"alg", "kid", "crit"}, {"sub", "exp", "nbf", "aud", "device", "send", "topics", "attrs"}}[i]); name != "" {
			return errors.New(name + " twice")
		}
	}
	header, claims := object[0], object[1]
	if kid, has := header["kid"]; has {
		if s, text := kid.(string); !text || s != "" {
			return errors.New("kid is no name of a key")
		}
	}
	if _, has := header["crit"]; has {
		return errors.New("crit")
	}
	for _, date := range []string{"exp", "nbf"} {
		if f, _ := claims[date].(float64); math.Abs(f) > dateMax {
			return errors.New(date + " beyond 9999")
		}
	}
	sub, _ := claims["sub"].(string)
	device, hasDevice := claims["device"].(string)
	if session.CheckName("sub", sub) != nil || hasDevice && session.CheckName("device", device) != nil || !hasDevice && claims["device"] != nil {
		return errors.New("names")
	}
	if send := claims["send"]; send != nil && reflect.TypeOf(send).Kind() != reflect.Bool {
		return errors.New("send")
	}
	topics, hasTopics := claims["topics"].([]any)
	if !hasTopics && claims["topics"] != nil || len(topics) > cfg.TopicsMax {
		return errors.New("topics")
	}
	for _, topic := range topics {
		s, text := topic.(string)
		if !text || session.CheckTopic(strings.TrimSuffix(s, ".*")) != nil {
			return errors.New("topic")
		}
	}
	if attrs := claims["attrs"]; attrs != nil {
		if _, is := attrs.(map[string]any); !is || compactSize(parts[1]) > cfg.AttrsBytesMax {
			return errors.New("attrs")
		}
	}
	return nil
}

func compactSize(part string) int {
	text, _ := base64url.DecodeString(part)
	var raw map[string]json.RawMessage
	var b bytes.Buffer
	if json.Unmarshal(text, &raw) != nil || json.Compact(&b, raw["attrs"]) != nil {
		return math.MaxInt
	}
	return b.Len()
}

var escapes = regexp.MustCompile(`\\(u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)`)

// strictJSON refuses what encoding/json repairs, and what is nested too deeply.
func strictJSON(text []byte, depthMax int) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	for _, e := range escapes.FindAll(text, -1) {
		if len(e) == 6 {
			return errors.New("half a surrogate pair")
		}
	}
	in, depth := json.NewDecoder(bytes.NewReader(text)), 0
	in.UseNumber()
	for {
		token, err := in.Token()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case token == json.Delim('{'), token == json.Delim('['):
			if depth++; depth > depthMax {
				return errors.New("too deep")
			}
		case token == json.Delim('}'), token == json.Delim(']'):
			depth--
		}
	}
}

// duplicate returns the first of the names that the top object has twice.
func duplicate(text []byte, names []string) string {
	in := json.NewDecoder(bytes.NewReader(text))
	seen := make(map[string]int)
	_, _ = in.Token()
	for in.More() {
		name, _ := in.Token()
		var skipped json.RawMessage
		if in.Decode(&skipped) != nil {
			break
		}
		if s, text := name.(string); text {
			seen[s]++
		}
	}
	for _, name := range names {
		if seen[name] > 1 {
			return name
		}
	}
	return ""
}

// FuzzToken: what is taken here the library takes; what the library takes and the
// model of our own rules takes is taken here; and the claims are what encoding/json reads.
func FuzzToken(f *testing.F) {
	for _, header := range []string{hsHeader, `{"alg":"EdDSA"}`, `{"alg":"HS256","kid":""}`, `{"alg":"none"}`, `{"alg":"HS256","crit":[]}`, `{"alg":"HS256","alg":"HS256"}`} {
		for _, payload := range []string{
			plain, `{"sub":"ann","exp":1800000060,"device":"tv","send":true,"topics":["a.b","c.*"],"attrs":{"os": "x"},"aud":["roost"]}`,
			`{"sub":"\u00e9\ud83d\ude00","exp":1.8e9,"nbf":1799999999.5,"aud":"roost"}`, `{"sub":"ann","exp":"1800000060"}`, `{"sub":"ann","exp":1e400}`, `{"sub":"a","sub":"b","exp":1800000060}`,
			`{"sub":"ann","exp":1800000060,"x":[[[[]]]],"nbf":null}`, `{"sub":"ann","exp":1800000060,"x":"\ud800"}`, `[]`, `null`, plain + plain,
		} {
			for edit := range uint8(4) {
				f.Add(header, payload, edit)
			}
		}
	}
	type side struct {
		*fixture
		library func(string, time.Time) error
	}
	var sides []side
	for _, audience := range []string{"", "roost"} {
		v := open(f, allKeys(), func(c *Config) {
			c.Audience, c.Algorithms, c.TopicsMax, c.AttrsBytesMax, c.DepthMax = audience, []string{"HS256", "EdDSA"}, 3, 20, 4
		})
		sides = append(sides, side{v, library(&v.cfg)})
	}
	f.Fuzz(func(t *testing.T, header, payload string, edit uint8) {
		var token string
		switch edit % 4 {
		case 0:
			token = craft("HS256", header, payload)
		case 1:
			token = craft("EdDSA", header, payload)
		case 2: // whatever the header is made of, as a whole token
			token = header
		case 3: // a good token with one byte changed
			b := []byte(craft("HS256", header, payload))
			b[len(payload)%len(b)] ^= edit | 1
			token = string(b)
		}
		for _, s := range sides {
			compare(t, s.fixture, s.library, token)
		}
	})
}

func compare(t *testing.T, f *fixture, library func(string, time.Time) error, token string) {
	// Nothing is remembered from run to run, so that a finding can be repeated and the
	// fuzzer sees the same coverage for the same input.
	f.ring.Load().cache = newCache(1)
	borrowed := []byte(token)
	got, done, err := f.Quick(borrowed, noon)
	if !done {
		got, err = f.Verify(borrowed, noon)
		if again, done, againErr := f.Quick(borrowed, noon); done && (againErr != nil || !reflect.DeepEqual(again, got)) {
			t.Fatalf("%q: cached %+v, %v; at first %+v", token, again, againErr, got)
		}
	}
	if string(borrowed) != token {
		t.Fatal("the borrowed token was changed")
	}
	for i := range borrowed {
		borrowed[i] = 0xCC // what is borrowed must not be in the claims
	}
	theirs := library(token, noon)
	if err == nil && theirs != nil {
		t.Fatalf("%q: taken, but the library says %v", token, theirs)
	}
	if theirs == nil {
		if model := ownRules(token, &f.cfg); (model == nil) != (err == nil) {
			t.Fatalf("%q: the library takes it, our rules say %v, we say %v", token, model, err)
		}
	}
	if err == nil {
		sameClaims(t, token, got)
	} else if !reflect.DeepEqual(got, Claims{}) || Code(err) == "token_invalid" || !utf8.ValidString(err.Error()) {
		t.Fatalf("%q: refused with %+v, %v (%s)", token, got, err, Code(err))
	}
}

func sameClaims(t *testing.T, token string, got Claims) {
	text, _ := base64url.DecodeString(strings.Split(token, ".")[1])
	raw := make(map[string]json.RawMessage) // a struct would match names whatever their case
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	var want struct {
		sub, device string
		send        bool
		topics      []string
	}
	for name, into := range map[string]any{"sub": &want.sub, "device": &want.device, "send": &want.send, "topics": &want.topics} {
		if raw[name] != nil {
			if err := json.Unmarshal(raw[name], into); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got.Account != want.sub || got.Device != want.device || got.Send != want.send || fmt.Sprint(got.Topics) != fmt.Sprint(want.topics) {
		t.Fatalf("%s: claims are %+v, want %+v", text, got, want)
	}
	if got.Attrs != nil && (!json.Valid(got.Attrs) || bytes.ContainsAny(got.Attrs, "\r\n")) {
		t.Fatalf("attrs are %q", got.Attrs)
	}
}

// FuzzKeys: no file makes the parser panic or give a key that is weak, and what it
// gives verifies nothing that was signed with something else.
func FuzzKeys(f *testing.F) {
	f.Add(allKeys())
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		f.Add(publicPEM(alg))
		f.Add(jwksOf(publicJWK(alg, "k")))
	}
	f.Add(certificate("EdDSA"))
	for _, text := range []string{a1Key, a2Key, a3Key, edKey, `{"keys":[{"kty":"oct","k":"AA"}]}`, `{"keys":null}`, pemBegin} {
		f.Add([]byte(text))
	}
	cfg := Default()
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := parseKeys(file, &cfg)
		if (err == nil) != (len(p.keys) > 0) {
			t.Fatalf("%d keys and %v", len(p.keys), err)
		}
		if err != nil {
			return
		}
		ring := newKeyring(p.keys, &cfg)
		if ring.count() != len(p.keys) {
			t.Fatalf("%d keys became %d", len(p.keys), ring.count())
		}
		for alg, keys := range ring.keys {
			for _, k := range keys {
				if k.alg != algorithm(alg) || (k.alg == hs256) != (k.public == nil) {
					t.Fatalf("a key of %v among those of %v", k.alg, algorithm(alg))
				}
				forged := token{alg: k.alg, input: []byte("a.b"), signature: make([]byte, signatureBytes[alg])}
				if public, is := k.public.(*rsa.PublicKey); is {
					forged.signature = make([]byte, public.Size())
				}
				// An Ed25519 key of small order takes what it likes: whoever writes the file says so.
				if k.alg != eddsa && signed(newScratch(8), &forged, []*key{k}) {
					t.Fatalf("a %v key takes a signature of zeros", k.alg)
				}
			}
		}
	})
}

package auth

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	hsHeader = `{"alg":"HS256","typ":"JWT"}`
	plain    = `{"sub":"ann","exp":1800000060}`
)

func exp(seconds int) int64 { return noon.Add(time.Duration(seconds) * time.Second).UnixMilli() }

// TestPayload: each rule about claims, with a signature that is right.
func TestPayload(t *testing.T) {
	f := open(t, allKeys(), func(c *Config) { c.TopicsMax = 3; c.AttrsBytesMax = 20; c.DepthMax = 4 })
	const sub = `"sub":"ann","exp":1800000060`
	ann := Claims{Account: "ann", ExpiresMS: exp(62)}
	with := func(change func(*Claims)) Claims { c := ann; change(&c); return c }
	for _, c := range []struct {
		name, payload string
		want          Claims
		err           error
		says          string
	}{
		{"least", plain, ann, nil, ""},
		{"all", `{` + sub + `,"device":"tv","send":true,"topics":["a.b","c.*"],"attrs":{"os":"x"},"nbf":1,"iss":"x","iat":1}`,
			Claims{Account: "ann", Device: "tv", ExpiresMS: exp(62), Send: true, Topics: []string{"a.b", "c.*"}, Attrs: []byte(`{"os":"x"}`)}, nil, ""},
		{"white space", " {\n\"sub\" :\t\"ann\" , \"exp\": 1800000060 }\r\n", ann, nil, ""},
		{"unknown members", `{"x":[1,{"y":[null,true]}],` + sub + `}`, ann, nil, ""},
		{"unknown twice", `{"x":1,"x":2,` + sub + `}`, ann, nil, ""},
		{"escaped name", `{"\u0073ub":"ann","exp":1800000060}`, ann, nil, ""},
		{"other case is another name", `{"SUB":"bob","Exp":1,` + sub + `}`, ann, nil, ""},
		{"escaped value", `{"sub":"\u00e9\ud83d\ude00\/x","exp":1800000060}`, Claims{}, ErrMalformed, "'/'"},
		{"escaped pair", `{"sub":"\u00e9\ud83d\ude00","exp":1800000060}`, with(func(c *Claims) { c.Account = "é😀" }), nil, ""},

		{"no exp", `{"sub":"ann"}`, Claims{}, ErrMalformed, "exp is missing"},
		{"exp null", `{"sub":"ann","exp":null}`, Claims{}, ErrMalformed, "exp is not a number"},
		{"exp string", `{"sub":"ann","exp":"1800000060"}`, Claims{}, ErrMalformed, "exp is not a number"},
		{"exp fraction", `{"sub":"ann","exp":1800000060.25}`, with(func(c *Claims) { c.ExpiresMS += 250 }), nil, ""},
		{"exp exponent", `{"sub":"ann","exp":18000000.6e2}`, ann, nil, ""},
		{"exp whole exponent", `{"sub":"ann","exp":18E8}`, with(func(c *Claims) { c.ExpiresMS -= 60000 }), nil, ""},
		{"exp in milliseconds", `{"sub":"ann","exp":1800000060000}`, Claims{}, ErrMalformed, "not milliseconds"},
		{"exp last second of 9999", `{"sub":"ann","exp":253402300799}`, with(func(c *Claims) { c.ExpiresMS = 253402300799000 + 2000 }), nil, ""},
		{"exp after 9999", `{"sub":"ann","exp":253402300800}`, Claims{}, ErrMalformed, "year 9999"},
		{"exp of many digits", `{"sub":"ann","exp":1800000060000000000000000000000}`, Claims{}, ErrMalformed, "year 9999"},
		{"exp too large for a float", `{"sub":"ann","exp":1e400}`, Claims{}, ErrMalformed, "too large"},
		{"exp 0", `{"sub":"ann","exp":0}`, Claims{}, ErrExpired, ""},
		{"exp negative", `{"sub":"ann","exp":-1}`, Claims{}, ErrExpired, ""},
		{"exp far negative", `{"sub":"ann","exp":-1e15}`, Claims{}, ErrMalformed, "year 9999"},
		{"exp twice", `{"sub":"ann","exp":1800000060,"exp":1800000060}`, Claims{}, ErrMalformed, "exp stands twice"},
		{"exp twice, once escaped", `{"sub":"ann","exp":1800000060,"\u0065xp":1}`, Claims{}, ErrMalformed, "exp stands twice"},
		{"within the leeway", `{"sub":"ann","exp":1799999999}`, with(func(c *Claims) { c.ExpiresMS = exp(1) }), nil, ""},
		{"at the end of the leeway", `{"sub":"ann","exp":1799999998}`, Claims{}, ErrExpired, "2s ago"},

		{"nbf now", `{` + sub + `,"nbf":1800000000}`, ann, nil, ""},
		{"nbf at the leeway", `{` + sub + `,"nbf":1800000002}`, ann, nil, ""},
		{"nbf past the leeway", `{` + sub + `,"nbf":1800000002.5}`, Claims{}, ErrNotYet, "in 2.5s"},
		{"nbf string", `{` + sub + `,"nbf":"1"}`, Claims{}, ErrMalformed, "nbf is not a number"},
		{"nbf null", `{` + sub + `,"nbf":null}`, Claims{}, ErrMalformed, "nbf is not a number"},
		{"nbf twice", `{` + sub + `,"nbf":1,"nbf":1}`, Claims{}, ErrMalformed, "nbf stands twice"},

		{"no sub", `{"exp":1800000060}`, Claims{}, ErrMalformed, "sub is missing"},
		{"sub null", `{"sub":null,"exp":1800000060}`, Claims{}, ErrMalformed, "sub is not a string"},
		{"sub number", `{"sub":5,"exp":1800000060}`, Claims{}, ErrMalformed, "sub is not a string"},
		{"sub empty", `{"sub":"","exp":1800000060}`, Claims{}, ErrMalformed, "sub is missing"},
		{"sub no name", `{"sub":"a b","exp":1800000060}`, Claims{}, ErrMalformed, "spaces"},
		{"sub control", `{"sub":"a\u0000b","exp":1800000060}`, Claims{}, ErrMalformed, "control"},
		{"sub long", `{"sub":"` + strings.Repeat("a", 129) + `","exp":1800000060}`, Claims{}, ErrMalformed, "129 bytes"},
		{"sub twice", `{"sub":"bob",` + sub + `}`, Claims{}, ErrMalformed, "sub stands twice"},

		{"device null", `{` + sub + `,"device":null}`, ann, nil, ""},
		{"device empty", `{` + sub + `,"device":""}`, Claims{}, ErrMalformed, "device is missing"},
		{"device slash", `{` + sub + `,"device":"a/b"}`, Claims{}, ErrMalformed, "device"},
		{"device number", `{` + sub + `,"device":1}`, Claims{}, ErrMalformed, "device is not a string"},
		{"device twice", `{` + sub + `,"device":"a","device":"b"}`, Claims{}, ErrMalformed, "device stands twice"},

		{"send false", `{` + sub + `,"send":false}`, ann, nil, ""},
		{"send null", `{` + sub + `,"send":null}`, ann, nil, ""},
		{"send string", `{` + sub + `,"send":"true"}`, Claims{}, ErrMalformed, "send is neither"},
		{"send number", `{` + sub + `,"send":1}`, Claims{}, ErrMalformed, "send is neither"},
		{"send twice", `{` + sub + `,"send":false,"send":true}`, Claims{}, ErrMalformed, "send stands twice"},
		{"send cut", `{` + sub + `,"send":tru}`, Claims{}, ErrMalformed, "value"},

		{"topics empty", `{` + sub + `,"topics":[]}`, ann, nil, ""},
		{"topics null", `{` + sub + `,"topics":null}`, ann, nil, ""},
		{"topics at the limit", `{` + sub + `,"topics":["a","b","\u0063"]}`, with(func(c *Claims) { c.Topics = []string{"a", "b", "c"} }), nil, ""},
		{"topics over the limit", `{` + sub + `,"topics":["a","b","c","d"]}`, Claims{}, ErrMalformed, "4 entries, at most 3"},
		{"topics string", `{` + sub + `,"topics":"a"}`, Claims{}, ErrMalformed, "topics is not an array"},
		{"topics of numbers", `{` + sub + `,"topics":["a",1]}`, Claims{}, ErrMalformed, "not a string"},
		{"topics with null", `{` + sub + `,"topics":[null]}`, Claims{}, ErrMalformed, "not a string"},
		{"topics star alone", `{` + sub + `,"topics":["*"]}`, Claims{}, ErrMalformed, "segments"},
		{"topics star inside", `{` + sub + `,"topics":["a.*.b"]}`, Claims{}, ErrMalformed, "segments"},
		{"topics only .*", `{` + sub + `,"topics":[".*"]}`, Claims{}, ErrMalformed, "topic"},
		{"topics empty segment", `{` + sub + `,"topics":["a..*"]}`, Claims{}, ErrMalformed, "empty segment"},
		{"topics twice", `{` + sub + `,"topics":["a"],"topics":["b"]}`, Claims{}, ErrMalformed, "topics stands twice"},

		{"attrs spaced", `{` + sub + ",\"attrs\": { \"os\" :\n\"a b\" } }", with(func(c *Claims) { c.Attrs = []byte(`{"os":"a b"}`) }), nil, ""},
		{"attrs empty", `{` + sub + `,"attrs":{}}`, with(func(c *Claims) { c.Attrs = []byte(`{}`) }), nil, ""},
		{"attrs null", `{` + sub + `,"attrs":null}`, ann, nil, ""},
		{"attrs array", `{` + sub + `,"attrs":[]}`, Claims{}, ErrMalformed, "attrs is not an object"},
		{"attrs at the limit", `{` + sub + `,"attrs":{"os":"12345678901"}}`, with(func(c *Claims) { c.Attrs = []byte(`{"os":"12345678901"}`) }), nil, ""},
		{"attrs over the limit", `{` + sub + `,"attrs":{"os":"123456789012"}}`, Claims{}, ErrMalformed, "21 bytes, at most 20"},
		{"attrs twice", `{` + sub + `,"attrs":{},"attrs":{}}`, Claims{}, ErrMalformed, "attrs stands twice"},

		{"aud is not looked at", `{` + sub + `,"aud":{"any":1}}`, ann, nil, ""},
		{"nested to the limit", `{` + sub + `,"x":[[[1]]]}`, ann, nil, ""},
		{"nested too deeply", `{` + sub + `,"x":[[[[]]]]}`, Claims{}, ErrMalformed, "nested too deeply"},
		{"siblings are not depth", `{` + sub + `,"x":[[[]],[[]],[[]]],"y":[[{}]]}`, ann, nil, ""},
		{"not an object", `["sub"]`, Claims{}, ErrMalformed, "not a JSON object"},
		{"null", `null`, Claims{}, ErrMalformed, "not a JSON object"},
		{"empty", ``, Claims{}, ErrMalformed, "not a JSON object"},
		{"trailing data", plain + `{}`, Claims{}, ErrMalformed, "data follows"},
		{"trailing NUL", plain + "\x00", Claims{}, ErrMalformed, "data follows"},
		{"trailing comma", `{` + sub + `,}`, Claims{}, ErrMalformed, "member name"},
		{"leading comma", `{,` + sub + `}`, Claims{}, ErrMalformed, "member name"},
		{"no comma", `{"x":1 ` + sub + `}`, Claims{}, ErrMalformed, "','"},
		{"cut", plain[:len(plain)-1], Claims{}, ErrMalformed, "is missing"},
		{"byte order mark", "\xef\xbb\xbf" + plain, Claims{}, ErrMalformed, "not a JSON object"},
		{"not UTF-8", `{` + sub + ",\"x\":\"\xff\"}", Claims{}, ErrMalformed, "not UTF-8"},
		{"half a surrogate pair", `{` + sub + `,"x":"\ud83d"}`, Claims{}, ErrMalformed, "invalid escape"},
		{"pair the wrong way round", `{` + sub + `,"x":"\ude00\ud83d"}`, Claims{}, ErrMalformed, "invalid escape"},
		{"pair of two first halves", `{` + sub + `,"x":"\ud83d\ud83d"}`, Claims{}, ErrMalformed, "invalid escape"},
		{"half a pair before a letter", `{` + sub + `,"x":"\ud83d\u0041"}`, Claims{}, ErrMalformed, "invalid escape"},
		{"half a pair past the planes", `{` + sub + `,"x":"\ud83d\ue000"}`, Claims{}, ErrMalformed, "invalid escape"},
		{"half a pair before text", `{` + sub + `,"x":"\ud83dabcdef"}`, Claims{}, ErrMalformed, "invalid escape"},
		{"bad escape", `{` + sub + `,"x":"\x"}`, Claims{}, ErrMalformed, "invalid escape"},
		{"control in a string", `{` + sub + ",\"x\":\"\n\"}", Claims{}, ErrMalformed, "control character"},
		{"leading zero", `{` + sub + `,"x":01}`, Claims{}, ErrMalformed, "begins with 0"},
		{"bare minus", `{` + sub + `,"x":-}`, Claims{}, ErrMalformed, "no digits"},
		{"bare point", `{` + sub + `,"x":1.}`, Claims{}, ErrMalformed, "after its '.'"},
		{"bare exponent", `{` + sub + `,"x":1e+}`, Claims{}, ErrMalformed, "exponent"},
		{"huge elsewhere", `{` + sub + `,"x":-1e999}`, Claims{}, ErrMalformed, "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, alg := range []string{"HS256", "EdDSA"} {
				got, err := f.ask(craft(alg, `{"alg":"`+alg+`"}`, c.payload), noon)
				if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%s: error is %v, want %v that says %q", alg, err, c.err, c.says)
				}
				if !reflect.DeepEqual(got, c.want) {
					t.Fatalf("%s: claims are %+v, want %+v", alg, got, c.want)
				}
			}
		})
	}
}

func TestAudience(t *testing.T) {
	f := open(t, allKeys(), func(c *Config) { c.Audience = "roost" })
	for _, c := range []struct {
		aud string
		err error
	}{
		{`"aud":"roost",`, nil},
		{`"aud":["x","roost"],`, nil},
		{`"aud":[ "ro\u006fst" ],`, nil},
		{``, ErrAudience},
		{`"aud":null,`, ErrAudience},
		{`"aud":"",`, ErrAudience},
		{`"aud":[],`, ErrAudience},
		{`"aud":"roost2",`, ErrAudience},
		{`"aud":["x","Roost"],`, ErrAudience},
		{`"aud":5,`, ErrMalformed},
		{`"aud":{"roost":1},`, ErrMalformed},
		{`"aud":["roost",5],`, ErrMalformed},
		{`"aud":["roost",],`, ErrMalformed},
		{`"aud":["roost" "x"],`, ErrMalformed},
		{`"aud":"roost","aud":"roost",`, ErrMalformed},
	} {
		t.Run(c.aud, func(t *testing.T) {
			if _, err := f.ask(craft("HS256", hsHeader, `{`+c.aud+plain[1:]), noon); !errors.Is(err, c.err) {
				t.Fatalf("error is %v, want %v", err, c.err)
			}
		})
	}
}

// TestHeader: each rule about headers and form, with a signature that is right where
// there can be one.
func TestHeader(t *testing.T) {
	f := open(t, allKeys(), func(c *Config) { c.Algorithms = []string{"HS256", "ES256"} })
	good := craft("HS256", hsHeader, plain)
	parts := strings.Split(good, ".")
	hs := func(header string) string { return craft("HS256", header, plain) }
	for _, c := range []struct {
		name, token string
		err         error
		says        string
	}{
		{"good", good, nil, ""},
		{"with kid", hs(`{"alg":"HS256","kid":"hs"}`), nil, ""},
		{"empty kid is none", hs(`{"alg":"HS256","kid":""}`), nil, ""},
		{"unknown kid", hs(`{"alg":"HS256","kid":"other"}`), ErrKey, `kid "other" names no HS256 key`},
		{"kid of another algorithm", hs(`{"alg":"HS256","kid":"es"}`), ErrKey, ""},
		{"long kid is cut", hs(`{"alg":"HS256","kid":"` + strings.Repeat("k", 200) + `"}`), ErrKey, `kkkk"…`},
		{"kid number", hs(`{"alg":"HS256","kid":1}`), ErrMalformed, "kid is not a string"},
		{"kid twice", hs(`{"alg":"HS256","kid":"hs","kid":"hs"}`), ErrMalformed, "kid stands twice"},
		{"unknown members", hs(`{"alg":"HS256","jku":"http://evil","jwk":{"kty":"oct","k":"AAAA"},"x":[1]}`), nil, ""},
		{"crit", hs(`{"alg":"HS256","crit":["exp"],"exp":1}`), ErrMalformed, "crit"},
		{"crit empty", hs(`{"alg":"HS256","crit":[]}`), ErrMalformed, "crit"},
		{"no alg", hs(`{"typ":"JWT"}`), ErrMalformed, "alg is missing"},
		{"alg number", hs(`{"alg":256}`), ErrMalformed, "alg is not a string"},
		{"alg null", hs(`{"alg":null}`), ErrMalformed, "alg is not a string"},
		{"alg twice", hs(`{"alg":"none","alg":"HS256"}`), ErrMalformed, "alg stands twice"},
		{"alg twice, once escaped", hs(`{"alg":"HS256","\u0061lg":"none"}`), ErrMalformed, "alg stands twice"},
		{"none", hs(`{"alg":"none"}`), ErrAlgorithm, `algorithm "none" is not among the allowed HS256, ES256`},
		{"none unsigned", base64url.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", ErrAlgorithm, "none"},
		{"None", hs(`{"alg":"None"}`), ErrAlgorithm, ""},
		{"empty alg", hs(`{"alg":""}`), ErrAlgorithm, ""},
		{"lower case", hs(`{"alg":"hs256"}`), ErrAlgorithm, ""},
		{"HS512", hs(`{"alg":"HS512"}`), ErrAlgorithm, ""},
		{"not allowed", craft("RS256", `{"alg":"RS256"}`, plain), ErrAlgorithm, `"RS256"`},
		{"header array", hs(`[]`), ErrMalformed, "header"},
		{"header empty", hs(``), ErrMalformed, "header"},
		{"header not UTF-8", hs("{\"alg\":\"HS256\",\"x\":\"\xff\"}"), ErrMalformed, "header is not UTF-8"},
		{"header trailing", hs(`{"alg":"HS256"} x`), ErrMalformed, "data follows"},

		{"empty", "", ErrMalformed, "empty"},
		{"one part", "abc", ErrMalformed, "1 parts"},
		{"two parts", "abc.def", ErrMalformed, "2 parts"},
		{"four parts", good + ".x", ErrMalformed, "4 parts"},
		{"five parts (JWE)", "a.b.c.d.e", ErrMalformed, "5 parts"},
		{"only dots", "..", ErrMalformed, "header"},
		{"no payload", parts[0] + ".." + parts[2], ErrMalformed, "payload"},
		{"no signature", parts[0] + "." + parts[1] + ".", ErrSignature, "0 bytes"},
		{"signature cut", good[:len(good)-3], ErrSignature, "30 bytes"},
		{"signature longer", good + "AAAA", ErrSignature, "35 bytes"},
		{"signature padded", good + "=", ErrMalformed, "unpadded"},
		{"signature of other bits", flip(good, -2), ErrSignature, ""},
		{"payload of other bits", parts[0] + "." + flip(parts[1], 9) + "." + parts[2], nil, "any"},
		{"standard alphabet", parts[0] + "." + parts[1] + "." + strings.Repeat("+", 43), ErrMalformed, "base64url"},
		{"bits left over", good[:len(good)-1] + leftover(good[len(good)-1]), ErrMalformed, "base64url"},
		{"line break inside", good[:30] + "\n" + good[30:], ErrMalformed, "line break"},
		{"line break after", good + "\r\n", ErrMalformed, "line break"},
		{"space after", good + " ", ErrMalformed, "base64url"},
		{"too long", good + strings.Repeat("A", 4096), ErrTooLong, "at most 4096"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := f.ask(c.token, noon)
			if c.says == "any" && err != nil { // which rule breaks first depends on the bits
				return
			}
			if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error is %v, want %v that says %q", err, c.err, c.says)
			}
		})
	}
}

// flip exchanges one character of base64url; a negative index counts from the end.
func flip(s string, i int) string {
	if i < 0 {
		i += len(s)
	}
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

// leftover sets a bit of the last character of 32 bytes in base64url that means
// nothing there.
func leftover(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

// TestEveryBitCounts: no byte of a token can be changed without being refused.
func TestEveryBitCounts(t *testing.T) {
	f := open(t, allKeys(), nil)
	for _, alg := range Default().Algorithms {
		good := craft(alg, fmt.Sprintf(`{"alg":%q}`, alg), plain)
		if _, err := f.ask(good, noon); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		for i := range good {
			bad := []byte(good)
			bad[i] ^= 1
			if c, err := f.ask(string(bad), noon); err == nil {
				t.Fatalf("%s: taken with byte %d of %d changed: %+v", alg, i, len(good), c)
			}
		}
	}
}

func TestCode(t *testing.T) {
	for err, code := range map[error]string{
		ErrExpired: "token_expired", ErrSignature.because("x"): "token_signature",
		fmt.Errorf("around: %w", ErrKey): "token_unknown_key", errors.New("x"): "token_invalid", nil: "",
	} {
		if Code(err) != code {
			t.Errorf("Code(%v) is %q, want %q", err, Code(err), code)
		}
	}
}

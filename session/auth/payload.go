package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/roostpush/roost/session"
)

// dateMax bounds exp and nbf, in seconds: the end of the year 9999. What is later was
// most likely written in milliseconds.
const dateMax = 253402300799

// payload is the claims as they stand in the token, borrowed from it.
type payload struct {
	sub, device  []byte
	topics       []byte // the array as it stands; nil: none
	attrs        []byte // the object as it stands; nil: none
	send         bool
	expMS, nbfMS int64 // nbfMS: math.MinInt64 if there is none
	audience     bool  // aud names the configured audience
}

// readPayload reads the claims' form, before the signature is known. HOT PATH:
// nothing is allocated unless the token is refused or holds escapes.
func (v *Verifier) readPayload(b []byte) (p payload, err error) {
	if !utf8.Valid(b) {
		return p, ErrMalformed.because("the payload is not UTF-8")
	}
	p.nbfMS = math.MinInt64
	s := scanner{b: b, depth: v.cfg.DepthMax}
	var seen struct{ sub, device, exp, nbf, aud, send, topics, attrs bool }
	s.begin()
	for name, more := s.member(); more; name, more = s.member() {
		switch string(name) {
		case "sub":
			s.once(&seen.sub, "sub stands twice")
			p.sub, _ = s.text("sub is not a string")
		case "exp":
			s.once(&seen.exp, "exp stands twice")
			p.expMS = s.date("exp is not a number of seconds", "exp is beyond the year 9999 (it counts seconds, not milliseconds)")
		case "nbf":
			s.once(&seen.nbf, "nbf stands twice")
			p.nbfMS = s.date("nbf is not a number of seconds", "nbf is beyond the year 9999 (it counts seconds, not milliseconds)")
		case "aud":
			s.once(&seen.aud, "aud stands twice")
			p.audience = v.readAudience(&s)
		case "device":
			s.once(&seen.device, "device stands twice")
			if !s.null() {
				p.device, _ = s.text("device is not a string")
			}
		case "send":
			s.once(&seen.send, "send stands twice")
			if !s.null() {
				p.send, _ = s.boolean("send is neither true nor false")
			}
		case "topics":
			s.once(&seen.topics, "topics stands twice")
			p.topics = s.container('[', "topics is not an array")
		case "attrs":
			s.once(&seen.attrs, "attrs stands twice")
			p.attrs = s.container('{', "attrs is not an object")
		default:
			s.value()
		}
	}
	switch {
	case !s.end():
		return p, ErrMalformed.because("payload: %s", s.why)
	case !seen.exp:
		return p, ErrMalformed.because("payload: exp is missing")
	case !seen.sub:
		return p, ErrMalformed.because("payload: sub is missing")
	}
	return p, nil
}

// date reads a NumericDate (RFC 7519 section 2): seconds, whole or not, as Unix
// milliseconds rounded towards zero. A string is refused, digits or not.
func (s *scanner) date(why, late string) int64 {
	raw, ok := s.number(why)
	if !ok {
		return 0
	}
	if len(raw) <= 15 && raw[0] != '-' && bytes.IndexByte(raw, '.') < 0 && bytes.IndexByte(raw, 'e') < 0 && bytes.IndexByte(raw, 'E') < 0 {
		var n int64
		for _, c := range raw {
			n = n*10 + int64(c-'0')
		}
		if n > dateMax {
			s.fail(late)
		}
		return n * 1000
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(f) > dateMax {
		s.fail(late)
		return 0
	}
	whole, fraction := math.Modf(f)
	return int64(whole)*1000 + int64(fraction*1000)
}

// readAudience reports whether aud, a string or an array of strings, names the
// configured audience. Without one aud is not looked at.
func (v *Verifier) readAudience(s *scanner) (named bool) {
	const why = "aud is neither a string nor an array of strings"
	switch {
	case v.cfg.Audience == "" || s.peek() == 'n':
		s.value()
	case s.peek() != '[':
		one, _ := s.text(why)
		named = string(one) == v.cfg.Audience
	default:
		for s.item() {
			one, _ := s.text(why)
			named = named || string(one) == v.cfg.Audience
		}
	}
	return named
}

// item steps to the next item of the array that stands next; the caller takes it.
// It is false at the end and after an error.
func (s *scanner) item() bool {
	if s.why != "" {
		return false
	}
	switch s.peek() {
	case '[':
		s.i++
		if s.peek() == ']' {
			s.i++
			return false
		}
		return true
	case ',':
		s.i++
		return true
	case ']':
		s.i++
		return false
	}
	return s.fail("',' or ']' is missing in an array")
}

// container takes an object or array as it stands; null is as good as absent.
func (s *scanner) container(open byte, why string) []byte {
	if s.null() {
		return nil
	}
	if s.peek() != open {
		s.fail(why)
		return nil
	}
	raw, _ := s.value()
	return raw
}

// checkTimes compares exp and nbf with now as RFC 7519 section 4.1 says: valid from
// nbf, included, to exp, excluded, both widened by the leeway.
func (v *Verifier) checkTimes(expiresMS, notBeforeMS int64, now time.Time) error {
	ms := now.UnixMilli()
	if ms >= expiresMS {
		return ErrExpired.because("%v ago", time.Duration(ms-expiresMS+v.leewayMS)*time.Millisecond)
	}
	if notBeforeMS > ms+v.leewayMS {
		return ErrNotYet.because("in %v", time.Duration(notBeforeMS-ms)*time.Millisecond)
	}
	return nil
}

// claims checks the names of a token whose signature is right, and copies what is
// kept: one string for all names, one slice for topics, one for attrs.
func (v *Verifier) claims(s *scratch, p *payload) (c Claims, err error) {
	s.names = append(append(s.names[:0], p.sub...), p.device...)
	if err = s.readTopics(p.topics, v.cfg.TopicsMax); err != nil {
		return c, err
	}
	all := string(s.names)
	c = Claims{ExpiresMS: p.expMS + v.leewayMS, Send: p.send}
	c.Account, all = all[:len(p.sub)], all[len(p.sub):]
	c.Device, all = all[:len(p.device)], all[len(p.device):]
	if err := session.CheckName("sub", c.Account); err != nil {
		return Claims{}, ErrMalformed.because("payload: %v", err)
	}
	if p.device != nil {
		if err := session.CheckName("device", c.Device); err != nil {
			return Claims{}, ErrMalformed.because("payload: %v", err)
		}
	}
	if c.Topics, err = splitTopics(all, s.ends); err != nil {
		return Claims{}, ErrMalformed.because("payload: topics: %v", err)
	}
	if c.Attrs, err = v.attrs(p.attrs); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// readTopics appends the topics to names. The array's JSON is known to be right.
func (s *scratch) readTopics(raw []byte, most int) error {
	s.ends = s.ends[:0]
	if raw == nil {
		return nil
	}
	in, from := scanner{b: raw}, len(s.names)
	for in.item() {
		topic, _ := in.text("topics has an entry that is not a string")
		s.names = append(s.names, topic...)
		s.ends = append(s.ends, len(s.names)-from)
	}
	if in.why != "" {
		return ErrMalformed.because("payload: %s", in.why)
	}
	if len(s.ends) > most {
		return ErrMalformed.because("payload: topics has %d entries, at most %d are allowed", len(s.ends), most)
	}
	return nil
}

// splitTopics cuts all at ends and checks each topic or pattern.
func splitTopics(all string, ends []int) ([]string, error) {
	if len(ends) == 0 {
		return nil, nil
	}
	topics := make([]string, len(ends))
	from := 0
	for i, end := range ends {
		topics[i] = all[from:end]
		from = end
		if err := checkPattern(topics[i]); err != nil {
			return nil, err
		}
	}
	return topics, nil
}

// checkPattern reports what is wrong with a topic permission: a topic, which may end
// in .* for everything below it (PROTOCOL.md section 0).
func checkPattern(s string) error {
	topic := s
	if n := len(s) - 2; n >= 0 && s[n:] == ".*" {
		topic = s[:n]
	}
	if err := session.CheckTopic(topic); err != nil {
		return fmt.Errorf("%w (in %s)", err, excerpt([]byte(s)))
	}
	return nil
}

// attrs returns a copy without white space: it goes into lines of NDJSON, which a
// line break would cut.
func (v *Verifier) attrs(raw []byte) ([]byte, error) {
	if raw == nil {
		return nil, nil
	}
	var b bytes.Buffer
	b.Grow(len(raw))
	if err := json.Compact(&b, raw); err != nil {
		return nil, ErrMalformed.because("payload: attrs: %v", err)
	}
	if b.Len() > v.cfg.AttrsBytesMax {
		return nil, ErrMalformed.because("payload: attrs has %d bytes, at most %d are allowed", b.Len(), v.cfg.AttrsBytesMax)
	}
	return b.Bytes(), nil
}

package protocol

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// heard notes what topics and presence are asked.
type heard struct {
	said []string
	full bool // nobody may watch presence any more
}

func (h *heard) Permit(s *session.Session, patterns []string) {
	h.said = append(h.said, fmt.Sprint("permit ", s.Device, patterns))
}
func (h *heard) Forget(s *session.Session) { h.said = append(h.said, "forget "+s.Device) }
func (h *heard) Subscribe(dst []byte, _ *session.Session, f *wire.DeviceFrame) []byte {
	h.said = append(h.said, fmt.Sprintf("subscribe %s", f.Topics))
	return append(dst, "answer"...)
}
func (h *heard) Unsubscribe(dst []byte, _ *session.Session, f *wire.DeviceFrame) []byte {
	h.said = append(h.said, fmt.Sprintf("unsubscribe %s", f.Topics))
	return dst
}
func (h *heard) Watch(s *session.Session) bool {
	h.said = append(h.said, "watch "+s.Device)
	return !h.full
}
func (h *heard) Unwatch(s *session.Session) { h.said = append(h.said, "unwatch "+s.Device) }

func TestSubscribeFrames(t *testing.T) {
	for _, tc := range []struct {
		text, said, answer string
		without, full      bool // neither topics nor presence are offered; presence has no room
	}{
		{text: `{"type":"subscribe","id":1,"topics":["a.*"]}`, said: "subscribe [a.*]", answer: "answer"},
		{text: `{"type":"unsubscribe","id":1,"topics":["a"]}`, said: "unsubscribe [a]"},
		{text: `{"type":"subscribe","id":1,"presence":true}`, said: "watch b", answer: `{"type":"result","ref":1,"status":"ok"}`},
		{text: `{"type":"unsubscribe","presence":true}`, said: "unwatch b"},
		{text: `{"type":"subscribe","presence":true,"topics":["a"]}`, said: "watch b,subscribe [a]", answer: "answer"},
		{text: `{"type":"subscribe","id":1,"presence":true,"topics":["a"]}`, said: "watch b", answer: `"ref":1,"code":"overloaded"`, full: true},
		{text: `{"type":"subscribe","id":1,"topics":["a"]}`, answer: `"ref":1,"code":"unsupported"`, without: true},
		{text: `{"type":"subscribe","id":1,"presence":true}`, answer: `"ref":1,"code":"unsupported"`, without: true},
		{text: `{"type":"subscribe","id":1,"topics":["a..b"]}`, answer: `"ref":1,"code":"bad_value"`},
	} {
		h := &heard{full: tc.full}
		g := &Gate{cfg: Default(), Parts: Parts{Now: time.Now}}
		if !tc.without {
			g.Topics, g.Presence = h, h
		}
		d := (&admitted{g: g, s: session.New("a", "b")}).connect(t)
		d.Feed(say(tc.text))
		out := d.Output()
		if got := strings.Join(h.said, ","); got != tc.said || !bytes.Contains(out, []byte(tc.answer)) || tc.answer == "" && len(out) > 0 {
			t.Errorf("%s: said %q, answered %q", tc.text, got, out)
		}
	}
}

package processor

import (
	"fmt"
	"iter"
	"mime"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// header is a header that means something to Roost.
type header int

// The headers of a record (PROTOCOL.md section 3), and those of a CloudEvent in binary
// mode. type and source of an event stay with it; only the latter is looked at, because
// an event's id is unique within its source (CloudEvents 1.0, section "id").
const (
	headerAccount header = iota
	headerDevice
	headerTopic
	headerID
	headerTTLMS
	headerPriority
	headerContentType
	headerTrace
	headerEventID
	headerEventSubject
	headerEventSource

	headerCount
)

// headerNames are their names in Kafka. NATS writes those of CloudEvents ce-id and so on.
var headerNames = [headerCount]string{
	"roost-account", "roost-device", "roost-topic", "roost-id", "roost-ttl-ms", "roost-priority",
	"content-type", "traceparent", "ce_id", "ce_subject", "ce_source",
}

func (h header) String() string { return headerNames[h] }

// headerNamed finds a header by its name in any case; false: it means nothing here.
func headerNamed(name string) (header, bool) {
	for h, known := range headerNames {
		if len(known) != len(name) {
			continue
		}
		if strings.EqualFold(name, known) {
			return header(h), true
		}
		if rest, ok := strings.CutPrefix(known, "ce_"); ok && strings.EqualFold(name[:3], "ce-") && strings.EqualFold(name[3:], rest) {
			return header(h), true
		}
	}
	return 0, false
}

// headers are the values of one record's headers. It is used again and again: whoever gives
// the list is not known here, so that all that it is given would be an allocation.
type headers struct {
	values [headerCount]string
	there  [headerCount]bool
	wrong  *Reject
	take   func(name, value string) bool // set, bound once; false: something is wrong
}

var spareHeaders = sync.Pool{New: func() any {
	h := new(headers)
	h.take = func(name, value string) bool {
		h.wrong = h.set(name, value)
		return h.wrong == nil
	}
	return h
}}

// release takes it back, with nothing in it that would keep a record's text alive.
func (h *headers) release() {
	*h = headers{take: h.take}
	spareHeaders.Put(h)
}

// ParseHeaders fills r with what the headers of a record say, each a name and a value,
// and holds its Payload to its content-type. r.Priority, as the topic that it came from
// has it, is left alone unless a header says another. What the names of the headers mean
// is the same for all sources. The values are kept as they are: they must not change. A
// record with a Reject can never succeed, and r is not to be used.
func ParseHeaders(r *Record, list iter.Seq2[string, string]) *Reject {
	h := spareHeaders.Get().(*headers)
	defer h.release()
	list(h.take)
	if h.wrong != nil {
		return h.wrong
	}
	if why := h.address(r); why != nil {
		return why
	}
	if why := h.id(r); why != nil {
		return why
	}
	if why := h.ttl(r); why != nil {
		return why
	}
	if why := h.priority(r); why != nil {
		return why
	}
	if why := h.content(r); why != nil {
		return why
	}
	if trace := h.values[headerTrace]; session.ValidTraceparent(trace) {
		r.Trace = trace
	}
	return nil
}

// set takes one header in. Twice the same is harmless; two that differ would be decided
// by chance. The second traceparent is what a proxy has added.
func (h *headers) set(name, value string) *Reject {
	k, ok := headerNamed(name)
	if !ok {
		return nil
	}
	if h.there[k] && h.values[k] != value && k != headerTrace {
		return &Reject{CodeHeaderRepeated, fmt.Sprintf("%s is there twice, as %.100q and %.100q: send it once", k, h.values[k], value)}
	}
	h.there[k], h.values[k] = true, value
	return nil
}

// address reads roost-account with or without roost-device, or roost-topic, or else
// ce_subject.
func (h *headers) address(r *Record) *Reject {
	switch {
	case h.there[headerAccount] && h.there[headerTopic]:
		return &Reject{CodeAddressTwice, "roost-account and roost-topic are both there: a record is for an account or for a topic"}
	case h.there[headerDevice] && h.there[headerTopic]:
		return &Reject{CodeAddressTwice, "roost-device and roost-topic are both there: a record is for a device or for a topic"}
	case h.there[headerTopic]:
		if err := session.CheckTopic(h.values[headerTopic]); err != nil {
			return &Reject{CodeTopicInvalid, fmt.Sprintf("%s: %v", headerTopic, err)}
		}
		r.Topic = h.values[headerTopic]
		return nil
	case h.there[headerAccount]:
		return h.account(r)
	case h.there[headerDevice]:
		return &Reject{CodeAddressMissing, "roost-device is there and roost-account is not: send both"}
	case h.there[headerEventSubject]:
		a, err := session.ParseAddress(h.values[headerEventSubject])
		if err != nil {
			return &Reject{CodeSubjectInvalid, fmt.Sprintf("%s: %v", headerEventSubject, err)}
		}
		r.Account, r.Device = a.Account, a.Device
		return nil
	}
	return &Reject{CodeAddressMissing, "none of roost-account, roost-topic and ce_subject is there: send roost-account, with roost-device for one device, or roost-topic"}
}

func (h *headers) account(r *Record) *Reject {
	if err := session.CheckName("account", h.values[headerAccount]); err != nil {
		return &Reject{CodeAccountInvalid, fmt.Sprintf("%s: %v", headerAccount, err)}
	}
	r.Account = h.values[headerAccount]
	if !h.there[headerDevice] {
		return nil
	}
	if err := session.CheckName("device", h.values[headerDevice]); err != nil {
		return &Reject{CodeDeviceInvalid, fmt.Sprintf("%s: %v; leave it out for every device of the account", headerDevice, err)}
	}
	r.Device = h.values[headerDevice]
	return nil
}

// id reads roost-id, or else ce_id within its ce_source.
func (h *headers) id(r *Record) *Reject {
	name := headerID
	if !h.there[name] {
		name = headerEventID
		r.IDScope = h.values[headerEventSource]
	}
	if !h.there[name] {
		r.IDScope = ""
		return nil
	}
	id := h.values[name]
	bad := id == "" || len(id) > wire.KeyBytesMax || !utf8.ValidString(id) ||
		strings.ContainsFunc(id, func(c rune) bool { return c < ' ' || c == 0x7f })
	if bad {
		return &Reject{CodeIDInvalid, fmt.Sprintf("%s is %.150q: 1 to %d bytes of UTF-8 without control characters are possible", name, id, wire.KeyBytesMax)}
	}
	r.ID = id
	return nil
}

func (h *headers) ttl(r *Record) *Reject {
	if !h.there[headerTTLMS] {
		return nil
	}
	ms, err := strconv.ParseInt(h.values[headerTTLMS], 10, 64)
	if err != nil || ms < 0 || ms > wire.TTLMSMax {
		return &Reject{CodeTTLInvalid, fmt.Sprintf("%s is %.40q: whole milliseconds from 0 to %d are possible", headerTTLMS, h.values[headerTTLMS], int64(wire.TTLMSMax))}
	}
	r.TTLMS = ms
	return nil
}

func (h *headers) priority(r *Record) *Reject {
	if !h.there[headerPriority] {
		return nil
	}
	p, ok := session.ParsePriority(h.values[headerPriority])
	if !ok {
		return &Reject{CodePriorityUnknown, fmt.Sprintf("%s is %.40q: high, normal and low are possible", headerPriority, h.values[headerPriority])}
	}
	r.Priority = p
	return nil
}

// content decides by the content-type how the payload travels, and checks that it is what
// it says: a text frame that is not UTF-8 would end the device's connection (RFC 6455
// section 8.1). Without one it is bytes, as over HTTP.
func (h *headers) content(r *Record) *Reject {
	stated := h.values[headerContentType]
	media := stated
	switch media {
	case "", "application/json", "application/octet-stream", "text/plain":
	default:
		var err error
		if media, _, err = mime.ParseMediaType(stated); err != nil {
			return &Reject{CodeContentType, fmt.Sprintf("%s %.100q cannot be read: %v", headerContentType, stated, err)}
		}
	}
	switch {
	case media == "application/json":
		if err := wire.CheckJSON(r.Payload); err != nil {
			return &Reject{CodePayloadInvalid, fmt.Sprintf("%s is application/json and the payload is not one JSON text in UTF-8: %v", headerContentType, err)}
		}
		r.Kind = session.JSON
	case strings.HasPrefix(media, "text/"):
		if !utf8.Valid(r.Payload) {
			return &Reject{CodePayloadInvalid, fmt.Sprintf("%s is %s and the payload is not UTF-8", headerContentType, media)}
		}
		r.Kind = session.Text
	default:
		r.Kind = session.Binary
	}
	return nil
}

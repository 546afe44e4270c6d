package otlp

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/trace"
)

// span is a visit of one message to this node: all that the node noted of it without a
// longer pause, below the span of the caller that the traceparent names. Its JSON is that of
// OTLP (opentelemetry/proto/trace/v1/trace.proto): ids in hex, times as decimal text.
type span struct {
	TraceID  string      `json:"traceId"`
	SpanID   string      `json:"spanId"`
	ParentID string      `json:"parentSpanId"`
	Flags    uint32      `json:"flags"`
	Name     string      `json:"name"`
	Kind     int         `json:"kind"`
	Start    string      `json:"startTimeUnixNano"`
	End      string      `json:"endTimeUnixNano"`
	Attrs    []attribute `json:"attributes"`
	Events   []event     `json:"events"`
	Dropped  int         `json:"droppedEventsCount,omitempty"`
	Status   *status     `json:"status,omitempty"`

	startUS, endUS int64
	heard          time.Time // when something was heard of it last
}

type event struct {
	Time  string      `json:"timeUnixNano"`
	Name  string      `json:"name"`
	Attrs []attribute `json:"attributes,omitempty"`
}

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

type value struct {
	String *string `json:"stringValue,omitempty"`
	Int    *string `json:"intValue,omitempty"` // int64 is decimal text in JSON
}

type status struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// What trace.proto calls SPAN_KIND_CONSUMER, STATUS_CODE_ERROR and
// SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK with _IS_REMOTE_MASK: the parent is in another process.
const (
	kindConsumer   = 5
	statusError    = 2
	parentIsRemote = 0x300
)

// spanEventsMax bounds what one span says of a message to many devices.
const spanEventsMax = 64

// Where the parts of a traceparent are (W3C Trace Context section 3.2.2).
const (
	traceAt, traceEnd   = 3, 35
	parentAt, parentEnd = 36, 52
	flagsAt, flagsEnd   = 53, 55
)

// sampled reports whether a valid traceparent says that its caller may have recorded the
// trace.
func sampled(traceparent string) bool {
	flags, err := strconv.ParseUint(traceparent[flagsAt:flagsEnd], 16, 8)
	return err == nil && flags&1 != 0
}

// newSpan begins the span of the event's message. The event has a valid traceparent.
func newSpan(e *trace.Event) *span {
	var id [8]byte
	rand.Read(id[:]) // it never fails
	id[7] |= 1       // eight zeros would be no id
	return &span{
		TraceID: e.Trace[traceAt:traceEnd], ParentID: e.Trace[parentAt:parentEnd], SpanID: hex.EncodeToString(id[:]),
		Flags: parentIsRemote | 1, Name: "roost message", Kind: kindConsumer, startUS: e.AtUS,
		Attrs: []attribute{text("messaging.system", "roost"), text("messaging.message.id", e.ID.Text())},
	}
}

// add adds an event; false: there are too many. The events of a message may come out of
// order, when two goroutines noted them.
func (s *span) add(e *trace.Event) bool {
	s.startUS, s.endUS = min(s.startUS, e.AtUS), max(s.endUS, e.AtUS)
	if e.Step == session.StepBecame || e.Step == session.StepRefused {
		s.Status = statusOf(e.Outcome, s.Status)
	}
	if len(s.Events) >= spanEventsMax {
		s.Dropped++
		return false
	}
	out := event{Time: nanos(e.AtUS), Name: e.Step.String()}
	for _, a := range [...][2]string{{"roost.device", e.Device}, {"roost.peer", e.Peer}} {
		if a[1] != "" {
			out.Attrs = append(out.Attrs, text(a[0], a[1]))
		}
	}
	if e.Outcome != session.Pending {
		out.Attrs = append(out.Attrs, text("roost.outcome", e.Outcome.String()))
	}
	if e.Devices > 0 {
		out.Attrs = append(out.Attrs, number("roost.devices", int64(e.Devices)))
	}
	s.Events = append(s.Events, out)
	return true
}

// statusOf is the status of a message that has come to that at a device. Once one device is
// without it the span is one of an error, whatever comes after.
func statusOf(o session.Outcome, before *status) *status {
	switch o {
	case session.Pending, session.Queued, session.Written, session.Acked, session.Cancelled:
		return before
	}
	if before != nil {
		return before
	}
	return &status{statusError, o.String()}
}

func text(key, v string) attribute { return attribute{key, value{String: &v}} }

func number(key string, n int64) attribute {
	v := strconv.FormatInt(n, 10)
	return attribute{key, value{Int: &v}}
}

func nanos(us int64) string { return strconv.FormatInt(us*1000, 10) }

// resource is whose spans they are.
type resource struct {
	Attrs []attribute `json:"attributes"`
}

func newResource(node, version string) resource {
	return resource{[]attribute{text("service.name", "roost"), text("service.instance.id", node), text("service.version", version)}}
}

// The message of a post (opentelemetry/proto/collector/trace/v1/trace_service.proto).
type (
	request struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resource     `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	scopeSpans struct {
		Scope scope   `json:"scope"`
		Spans []*span `json:"spans"`
	}
	scope struct {
		Name string `json:"name"`
	}
)

func (r resource) request(list []*span) request {
	for _, s := range list {
		s.Start, s.End = nanos(s.startUS), nanos(s.endUS)
	}
	return request{[]resourceSpans{{r, []scopeSpans{{scope{"github.com/roostpush/roost"}, list}}}}}
}

// partial reads how many spans an answer rejects. An answer that says nothing that can be
// read rejects none.
func partial(answer []byte) (rejected int, why string) {
	var a struct {
		Partial struct {
			Rejected json.Number `json:"rejectedSpans"` // text or number
			Message  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &a) != nil {
		return 0, ""
	}
	n, err := a.Partial.Rejected.Int64()
	if err != nil || n < 0 {
		return 0, ""
	}
	return int(n), a.Partial.Message
}

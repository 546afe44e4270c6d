package wire

import (
	"github.com/roostpush/roost/session"
)

// AppendDevice appends the frame that ParseDevice reads as f: what a client sends.
// Only what f.Type has is written. Ref must be JSON, as ParseDevice leaves it.
func AppendDevice(dst []byte, f *DeviceFrame) []byte {
	dst = append(append(append(dst, `{"type":"`...), f.Type.String()...), '"')
	if len(f.Ref) > 0 {
		dst = append(append(dst, `,"id":`...), f.Ref...)
	}
	switch f.Type {
	case FrameSend:
		dst = appendTo(dst, f)
		dst = appendPayload(dst, f.Kind, f.Payload)
		if f.TTLMS > 0 {
			dst = appendInteger(dst, `,"ttl_ms":`, f.TTLMS)
		}
		if f.Wait != session.WaitWritten {
			dst = appendString(dst, `,"wait":`, f.Wait.String())
		}
	case FrameAck:
		dst = appendList(dst, `,"ids":`, f.IDs)
	case FrameToken:
		dst = appendString(dst, `,"token":`, Borrow(f.Token))
	case FrameSubscribe, FrameUnsubscribe:
		if len(f.Topics) > 0 {
			dst = appendList(dst, `,"topics":`, f.Topics)
		}
		if f.Presence {
			dst = append(dst, `,"presence":true`...)
		}
		if f.Since != nil {
			dst = appendString(dst, `,"since":`, Borrow(f.Since))
		}
	}
	return append(dst, '}')
}

func appendTo(dst []byte, f *DeviceFrame) []byte {
	dst = append(dst, `,"to":{`...)
	if f.ToAccount != nil {
		dst = append(appendString(dst, `"account":`, Borrow(f.ToAccount)), ',')
	}
	if f.ToOthers {
		return append(dst, `"devices":"others"}`...)
	}
	return append(appendString(dst, `"device":`, Borrow(f.ToDevice)), '}')
}

func appendList(dst []byte, before string, list [][]byte) []byte {
	dst = append(append(dst, before...), '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSONString(dst, Borrow(s))
	}
	return append(dst, ']')
}

// AppendPush appends the push that ParsePush reads as p: a body or, where the payload
// has no newline between its values, a line of NDJSON.
func AppendPush(dst []byte, p *PushFrame) []byte {
	switch {
	case p.All:
		dst = append(dst, `{"to":{"all":true}`...)
	case p.Topic != nil:
		dst = append(appendString(dst, `{"to":{"topic":`, Borrow(p.Topic)), '}')
	default:
		dst = appendString(dst, `{"to":{"account":`, Borrow(p.Account))
		if p.Device != nil {
			dst = appendString(dst, `,"device":`, Borrow(p.Device))
		}
		dst = append(dst, '}')
	}
	dst = appendPayload(dst, p.Kind, p.Payload)
	if p.ID != nil {
		dst = appendString(dst, `,"id":`, Borrow(p.ID))
	}
	if p.TTLMS > 0 {
		dst = appendInteger(dst, `,"ttl_ms":`, p.TTLMS)
	}
	if p.TimeoutMS > 0 {
		dst = appendInteger(dst, `,"timeout_ms":`, p.TimeoutMS)
	}
	if p.Priority != session.PriorityNormal {
		dst = appendString(dst, `,"priority":`, p.Priority.String())
	}
	if p.Wait != session.WaitWritten {
		dst = appendString(dst, `,"wait":`, p.Wait.String())
	}
	if p.Collapse != nil {
		dst = appendString(dst, `,"collapse":`, Borrow(p.Collapse))
	}
	if p.AcksFirst {
		dst = append(dst, `,"acks":"first"`...)
	}
	if p.Trace != nil {
		dst = appendString(dst, `,"traceparent":`, Borrow(p.Trace))
	}
	return append(dst, '}')
}

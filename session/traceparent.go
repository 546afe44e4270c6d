package session

// TraceparentBytesMax bounds a traceparent that is carried on: version 00 has 55 bytes
// (W3C Trace Context section 3.2.2), newer ones may say more.
const TraceparentBytesMax = 128

// ValidTraceparent reports whether a traceparent header is well-formed (W3C Trace Context
// section 3.2): one that is not is ignored, as the recommendation asks.
func ValidTraceparent(s string) bool {
	const (
		size                = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		dash1, dash2, dash3 = 2, 35, 52
	)
	switch {
	case len(s) < size || len(s) > TraceparentBytesMax, s[:dash1] == "ff":
		return false
	case len(s) > size && (s[:dash1] == "00" || s[size] != '-'): // only newer versions may say more
		return false
	}
	trace, parent := false, false // is any of their digits not 0
	for i := range size {
		c := s[i]
		switch {
		case i == dash1 || i == dash2 || i == dash3:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		case i > dash2 && i < dash3:
			parent = parent || c != '0'
		case i > dash1 && i < dash2:
			trace = trace || c != '0'
		}
	}
	return trace && parent
}

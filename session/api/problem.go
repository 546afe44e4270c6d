package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an error answer: application/problem+json (RFC 9457). It says what was
// wrong, where, and what would be right. It implements error.
type Problem struct {
	Status     int           // HTTP status
	Code       string        // stable, for programs: one of the codes of codes.go or of package wire
	Detail     string        // a sentence for people
	RetryAfter time.Duration // when asking again may help; 0: no Retry-After header
	Allow      string        // the Allow header of a 405

	// members are further members as JSON text without braces, such as the outcomes of
	// a push that reached nobody.
	members []byte
}

// Error returns the code and the detail.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// append writes the problem's JSON object.
func (p *Problem) append(dst []byte) []byte {
	// Without a type member the type is about:blank, which RFC 9457 section 4.2.1
	// defines as "the title is that of the status": clients branch on code.
	head, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{http.StatusText(p.Status), p.Status, p.Code, strings.ToValidUTF8(p.Detail, "\uFFFD")})
	if err != nil {
		panic("api: a problem of strings and numbers cannot be marshalled: " + err.Error())
	}
	dst = append(dst, head[:len(head)-1]...)
	if len(p.members) > 0 {
		dst = append(dst, ',')
		dst = append(dst, p.members...)
	}
	return append(dst, '}', '\n')
}

// write answers the request with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if p.RetryAfter > 0 {
		seconds := int64((p.RetryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="roost"`)
	}
	body := p.append(nil)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	w.Write(body) // a client that went away is no news
}

func problem(status int, code, detail string) *Problem {
	return &Problem{Status: status, Code: code, Detail: detail}
}

func badRequest(code, detail string) *Problem { return problem(http.StatusBadRequest, code, detail) }

func forbidden(code, detail string) *Problem { return problem(http.StatusForbidden, code, detail) }

func unprocessable(code, detail string) *Problem {
	return problem(http.StatusUnprocessableEntity, code, detail)
}

// busy is the answer when a limit of the node is full.
func busy(code, detail string) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Code: code, Detail: detail, RetryAfter: time.Second}
}

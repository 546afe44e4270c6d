package auth

import (
	"errors"
	"fmt"
)

// Refusal is why a token is not taken. It is one of the sentinels below; errors
// carry it with a detail. Neither ever holds any part of a signature or a key.
type Refusal struct {
	Code   string // stable, for programs
	Reason string // for people; may be shown to the bearer
}

func (r *Refusal) Error() string { return r.Reason }

// because returns the refusal with what exactly was wrong.
func (r *Refusal) because(format string, args ...any) error {
	return &detailed{r, fmt.Sprintf(format, args...)}
}

type detailed struct {
	refusal *Refusal
	detail  string
}

func (d *detailed) Error() string { return d.refusal.Reason + ": " + d.detail }
func (d *detailed) Unwrap() error { return d.refusal }

// Why a token is refused. Quick and Verify return one of these, usually with a
// detail; compare with errors.Is. The text may be shown to the bearer.
var (
	ErrTooLong   = &Refusal{"token_too_long", "token too long"}
	ErrMalformed = &Refusal{"token_malformed", "token malformed"}
	ErrAlgorithm = &Refusal{"token_algorithm", "token algorithm not allowed"}
	ErrKey       = &Refusal{"token_unknown_key", "no key for this token"}
	ErrSignature = &Refusal{"token_signature", "token signature is wrong"}
	ErrExpired   = &Refusal{"token_expired", "token expired"}
	ErrNotYet    = &Refusal{"token_not_yet_valid", "token not valid yet"}
	ErrAudience  = &Refusal{"token_audience", "token is for another audience"}
	ErrOff       = &Refusal{"auth_off", "tokens are not checked: auth is none"}
)

// Code returns the stable code of a refusal, "" for nil and "token_invalid" for
// an error that is not this package's.
func Code(err error) string {
	if err == nil {
		return ""
	}
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return "token_invalid"
}

// excerpt is text of the bearer's that goes into an error: quoted, and cut so that
// nobody fills a log with a token.
func excerpt(b []byte) string {
	const most = 48
	if len(b) > most {
		return fmt.Sprintf("%q…", b[:most])
	}
	return fmt.Sprintf("%q", b)
}

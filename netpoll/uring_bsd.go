//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netpoll

import "errors"

// uring is Linux's.
type uring struct{ failed bool }

func newURing(uint32) (*uring, error) { return nil, errors.New("netpoll: there is no io_uring here") }

func (*uring) send(int32, []byte) {}
func (*uring) recv(int32, []byte) {}
func (*uring) run() []int         { return nil }
func (*uring) close()             {}

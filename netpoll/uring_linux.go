// HOT PATH

package netpoll

import (
	"errors"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring gives the kernel many calls at once (io_uring(7)): what entering the kernel costs is
// paid once for all of them. Every call says MSG_DONTWAIT, so that each is over, done or
// refused, when the kernel returns, and no buffer is the kernel's between two calls of run.
//
// It belongs to its loop. It is never what a loop needs: containers and hardened kernels
// forbid it, and then each call is made by itself.
type uring struct {
	fd       int
	mapped   [][]byte
	head     *uint32 // the kernel's: calls before this were begun
	tail     *uint32 // ours
	mask     uint32
	calls    []uringCall
	doneHead *uint32 // ours
	doneTail *uint32 // the kernel's
	doneMask uint32
	done     []uringDone
	added    int   // calls since the last run
	results  []int // of the last run
	failed   bool
}

// uringCall and uringDone are struct io_uring_sqe and io_uring_cqe, as far as they are used
// here.
type uringCall struct {
	op       uint8
	flags    uint8
	priority uint16
	fd       int32
	_        uint64
	addr     uint64
	len      uint32
	msgFlags uint32
	tag      uint64
	_        [24]byte
}

type uringDone struct {
	tag   uint64
	res   int32
	flags uint32
}

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// Values of linux/io_uring.h.
const (
	uringSubmitAll   = 1 << 7 // IORING_SETUP_SUBMIT_ALL: a call that is refused does not keep the next from being made. Linux 5.18
	uringSingleMap   = 1 << 0 // IORING_FEAT_SINGLE_MMAP
	uringGetEvents   = 1 << 0 // IORING_ENTER_GETEVENTS
	uringOffsetCalls = 0x10000000
	uringOpSend      = 26
	uringOpRecv      = 27
)

// newURing returns one for so many calls at a time, or an error where the kernel has none, or
// does not let this process have one.
func newURing(calls uint32) (*uring, error) {
	p := uringParams{flags: uringSubmitAll}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(calls), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("io_uring_setup", errno)
	}
	u := &uring{fd: int(fd), results: make([]int, 0, calls)}
	unix.CloseOnExec(u.fd)
	if p.features&uringSingleMap == 0 {
		u.close()
		return nil, errors.New("netpoll: the kernel's io_uring is too old")
	}
	rings, err := u.mmap(0, max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(uringDone{}))))
	if err != nil {
		return nil, err
	}
	queue, err := u.mmap(uringOffsetCalls, p.sqEntries*uint32(unsafe.Sizeof(uringCall{})))
	if err != nil {
		return nil, err
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&rings[offset])) }
	u.head, u.tail, u.mask = at(p.sq.head), at(p.sq.tail), *at(p.sq.mask)
	u.calls = unsafe.Slice((*uringCall)(unsafe.Pointer(unsafe.SliceData(queue))), p.sqEntries)
	u.doneHead, u.doneTail, u.doneMask = at(p.cq.head), at(p.cq.tail), *at(p.cq.mask)
	u.done = unsafe.Slice((*uringDone)(unsafe.Pointer(&rings[p.cq.cqes])), p.cqEntries)
	for i := range p.sqEntries { // which call is in which place: the same for ever
		*at(p.sq.array + i*4) = i
	}
	return u, nil
}

// mmap maps a part of what the kernel shares. On failure it closes the uring.
func (u *uring) mmap(offset int64, size uint32) ([]byte, error) {
	b, err := unix.Mmap(u.fd, offset, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		u.close()
		return nil, os.NewSyscallError("mmap", err)
	}
	u.mapped = append(u.mapped, b)
	return b, nil
}

// send adds the writing of p, which is borrowed until run has returned. No more calls may be
// added between two runs than the uring was made for.
func (u *uring) send(fd int32, p []byte) {
	u.add(uringOpSend, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// recv adds a read into p.
func (u *uring) recv(fd int32, p []byte) { u.add(uringOpRecv, fd, p, unix.MSG_DONTWAIT) }

func (u *uring) add(op uint8, fd int32, p []byte, flags uint32) {
	// The kernel has taken everything of earlier runs, so the place is free.
	u.calls[(*u.tail+uint32(u.added))&u.mask] = uringCall{
		op: op, fd: fd, addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), len: uint32(len(p)), msgFlags: flags, tag: uint64(u.added),
	}
	u.added++
}

// run makes the calls that were added and returns what became of each: bytes, or an errno
// below 0, in the order of adding. It is valid until the next run. What the kernel would not even look at, for
// want of memory, is EAGAIN; the uring is of no use any more then, and says so (failed).
func (u *uring) run() []int {
	u.results = u.results[:u.added]
	for i := range u.results {
		u.results[i] = -int(unix.EAGAIN)
	}
	end := *u.tail + uint32(u.added)
	atomic.StoreUint32(u.tail, end)
	for left := u.added; left > 0; {
		waiting := end - *u.head
		_, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), uintptr(waiting), uintptr(left), uringGetEvents, 0, 0)
		done := u.reap()
		left -= done
		if errno != 0 && errno != unix.EINTR && done == 0 && end-*u.head == waiting {
			atomic.StoreUint32(u.tail, *u.head)
			u.failed = true
			break
		}
	}
	u.added = 0
	return u.results
}

// reap takes what is done, and returns how many calls that were.
func (u *uring) reap() int {
	from, to := *u.doneHead, atomic.LoadUint32(u.doneTail)
	for i := from; i != to; i++ {
		one := &u.done[i&u.doneMask]
		u.results[one.tag] = int(one.res)
	}
	atomic.StoreUint32(u.doneHead, to)
	return int(to - from)
}

func (u *uring) close() {
	for _, b := range u.mapped {
		_ = unix.Munmap(b)
	}
	_ = unix.Close(u.fd)
}

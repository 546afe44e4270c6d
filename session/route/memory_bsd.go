//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package route

import "golang.org/x/sys/unix"

// reserve maps address space; these systems put memory behind it as it is touched,
// and choose the size of its pages themselves.
func reserve(bytes int) ([]byte, error) {
	return unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

func unreserve(region []byte) error { return unix.Munmap(region) }

// discard says that what b holds is not wanted: the system takes the memory when it
// needs some (madvise(2), MADV_FREE). Until then b may read as it was.
func discard(b []byte) { _ = unix.Madvise(b, unix.MADV_FREE) }

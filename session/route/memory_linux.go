package route

import "golang.org/x/sys/unix"

// reserve maps address space without memory behind it, and asks for huge pages: at
// 100 million entries a look-up in small pages costs a quarter more (DESIGN.md,
// Where the cost goes). Where the system has none, the advice is lost and nothing
// else.
func reserve(bytes int) ([]byte, error) {
	region, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err == nil {
		_ = unix.Madvise(region, unix.MADV_HUGEPAGE)
	}
	return region, err
}

func unreserve(region []byte) error { return unix.Munmap(region) }

// discard gives the memory behind b back at once; b stays mapped and reads as
// zeros (madvise(2), MADV_DONTNEED). Should it fail, the memory is kept.
func discard(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }

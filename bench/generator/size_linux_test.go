package generator

import (
	"testing"
	"unsafe"
)

// A million connections must fit: the size is a promise (conn's own comment).
func TestConnIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 72 {
		t.Errorf("a connection is %d bytes", size)
	}
}

// Package hostinfo reads what Linux says about a process and about this machine:
// CPU time, memory, descriptors, the kernel's own memory, and the limits that a
// load needs raised. It reads /proc (proc(5)) and changes nothing but this
// process's own descriptor limit.
//
// On systems without /proc every read fails with the file's own error.
package hostinfo

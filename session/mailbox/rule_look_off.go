//go:build mutant_look

package mailbox

// ruleLook is switched off: TestInterleavings must notice.
const ruleLook = false

//go:build !mutant_look

package mailbox

// ruleLook: a message is synced first, and only then the mailbox looks who is online.
const ruleLook = true

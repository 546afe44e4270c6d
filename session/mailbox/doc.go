// Package mailbox keeps messages for devices until they have them: stored first, then
// looked after (DESIGN.md decision 7).
//
// Start reading at Push.
package mailbox

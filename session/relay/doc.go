// Package relay carries messages from one device to the others of its account: it
// decides whether the sender may, takes the sender's name from its session and
// never from what it sent, hands the message to delivery, and tells the sender what
// became of it (PROTOCOL.md section 1, DESIGN.md walk "Device to device").
//
// It reaches delivery through an interface of its own, since packages of one layer
// do not know each other, and keeps no clock: whoever calls it says what time it is.
// The package protocol calls it, on the sender's loop; nothing here blocks.
//
// Start reading at Relay.Send.
package relay

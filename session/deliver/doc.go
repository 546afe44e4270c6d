// Package deliver is the product: it puts a message on the sockets of whoever it
// is addressed to and finds out what became of it, for each device, truthfully
// (DESIGN.md decision 6 and the walk "Push here").
//
// It knows sockets only as the two calls of Sockets, keeps no clock and never
// touches a store, so that it may be called from an event loop. It decides no
// permissions: relay and api do.
//
// Start reading at Router.Deliver, then Delivery.
package deliver

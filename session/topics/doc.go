// Package topics knows which sessions of this node have subscribed to which topics, keeps
// a window of what was published lately, and sends it again to who asks what came since a
// message (PROTOCOL.md section 1, subscribe).
//
// A topic is segments joined by dots. A pattern ends in .* and stands for every topic
// below it, however deep, and not for itself: news.* has news.eu and news.eu.sport, not
// news. What a token permits is said in the same words.
//
// It puts frames on sockets through a port of its own, finds other nodes through another,
// and keeps no clock: whoever calls it says what time it is. Package protocol hands it what
// devices ask, package deliver what is published. A session that never subscribes, and
// whose token names no topics, costs nothing here.
//
// Start reading at Broker.Subscribe and Broker.Publish.
package topics

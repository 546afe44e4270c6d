// Command roost is the server and the operator's commands: serve runs a node,
// processor one without devices;
// push, devices and disconnect talk to its internal HTTP API; connect is a
// device for people; kafka-produce fills a queue; token, check-config,
// default-config and version need no node.
//
// It introduces the packages to each other and holds no logic of its own: what a
// node does is in netpoll, session and store, what an operator sets is in
// internal/config, how the API is called in internal/client.
//
// Start reading at main, then commands.go, then the command's own file.
package main

package main

import (
	"encoding/json"
	"strings"
)

// clusterArgs are the arguments of a node that is a process, on loopback; more are
// stronger.
func clusterArgs(name string, more ...string) []string {
	return append([]string{
		"--set", "node=" + name, "--set", "drain.ready_delay=0s", "--set", "drain.over=200ms",
		"--set", "cluster.enabled=true", "--set", "cluster.hash_key=" + testHashKey,
		"--set", "gossip.listen=127.0.0.1:0", "--set", "gossip.rejoin_min=50ms", "--set", "peer.listen=127.0.0.1:0",
	}, more...)
}

// gossipAddr is where other nodes find the process, as its log says.
func (p *process) gossipAddr() string {
	p.t.Helper()
	return p.logged("cluster", "gossip")
}

// linksAddr is where it takes links.
func (p *process) linksAddr() string {
	p.t.Helper()
	return p.logged("cluster", "links")
}

// logged waits for a line with that message and returns one of its members.
func (p *process) logged(message, member string) (value string) {
	p.t.Helper()
	eventually(p.t, "the line "+message, func() bool {
		value = p.log.member(message, member)
		return value != ""
	})
	return value
}

// member returns a member of the first line with that message, in JSON; empty: there is none.
func (l *testLog) member(message, member string) string {
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["msg"] == message {
			if value, ok := m[member].(string); ok {
				return value
			}
		}
	}
	return ""
}

package client

import (
	"context"
	"net/url"
)

// Trace is where a message was, as the nodes remember it.
type Trace struct {
	Nodes  []TraceNode  `json:"nodes"` // the asked one first
	Events []TraceEvent `json:"events"`
}

// TraceNode is a node that was asked.
type TraceNode struct {
	Node        string `json:"node"`
	SkewUS      int64  `json:"skew_us"`       // by which its clock is ahead of the asked node's
	SkewErrorUS int64  `json:"skew_error_us"` // give or take
	Error       string `json:"error"`         // why it said nothing
}

// TraceEvent is a step of the message. Times are by the clock of the asked node.
type TraceEvent struct {
	AtUS    int64  `json:"at_us"`
	Node    string `json:"node"`
	Step    string `json:"step"`
	Outcome string `json:"outcome"`
	Device  string `json:"device"`
	Devices int    `json:"devices"`
	Peer    string `json:"peer"`
}

// Trace asks where a message was.
func (c *Client) Trace(ctx context.Context, id string) (Trace, error) {
	var t Trace
	err := c.call(ctx, "GET", "/v1/trace/"+url.PathEscape(id), nil, &t)
	return t, err
}

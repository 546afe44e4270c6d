package client

import (
	"context"
	"net/url"

	"github.com/roostpush/roost/session"
)

// Node is a node of the cluster: the asked one, or another as that one sees it.
type Node struct {
	Node     string `json:"node"`
	Epoch    uint64 `json:"epoch"`
	Self     bool   `json:"self"`
	Ready    bool   `json:"ready"`  // of the asked one
	State    string `json:"state"`  // of the others
	Linked   bool   `json:"linked"` // of the others
	Sessions int    `json:"sessions"`
	Public   string `json:"public"`
	Internal string `json:"internal"`
}

// Nodes lists the cluster, the asked node first.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	var answer struct {
		Nodes []Node `json:"nodes"`
	}
	err := c.call(ctx, "GET", "/v1/nodes", nil, &answer)
	return answer.Nodes, err
}

// Route is where a message to a device would go.
type Route struct {
	Asked   string `json:"asked"`
	State   string `json:"state"` // here, there, closed, nowhere, unsure, unknown
	Node    string `json:"node"`
	Epoch   uint64 `json:"epoch"`
	Linked  bool   `json:"linked"`
	SinceMS int64  `json:"since_ms"`
	Home    string `json:"home"` // keeps the device's record; empty: the asked node has no others
}

// Route asks where a device is.
func (c *Client) Route(ctx context.Context, a session.Address) (Route, error) {
	var r Route
	err := c.call(ctx, "GET", "/v1/accounts/"+url.PathEscape(a.Account)+"/devices/"+url.PathEscape(a.Device)+"/route", nil, &r)
	return r, err
}

package client

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/roostpush/roost/session"
)

// Device is one device of an account, connected or remembered.
type Device struct {
	Device     string          `json:"device"`
	Online     bool            `json:"online"`
	Node       string          `json:"node"`
	Session    string          `json:"session"`
	SinceMS    int64           `json:"since_ms"`
	LastSeenMS int64           `json:"last_seen_ms"`
	CloseCode  int             `json:"close_code"`
	Remote     string          `json:"remote"`
	UserAgent  string          `json:"user_agent"`
	Attrs      json.RawMessage `json:"attrs"`
}

// Devices is the list of an account's devices.
type Devices struct {
	Account   string   `json:"account"`
	Devices   []Device `json:"devices"`
	Truncated bool     `json:"truncated"` // there are more than the node lists
}

// Devices lists the account's devices, online ones first.
func (c *Client) Devices(ctx context.Context, account string) (Devices, error) {
	var list Devices
	err := c.call(ctx, "GET", "/v1/accounts/"+url.PathEscape(account)+"/devices", nil, &list)
	return list, err
}

// Disconnect closes the device's connection with 4007.
func (c *Client) Disconnect(ctx context.Context, a session.Address) error {
	path := "/v1/accounts/" + url.PathEscape(a.Account) + "/devices/" + url.PathEscape(a.Device) + "/session"
	return c.call(ctx, "DELETE", path, nil, nil)
}

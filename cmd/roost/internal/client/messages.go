package client

import (
	"context"
	"net/url"
)

// Message asks what has become of a push that is kept.
func (c *Client) Message(ctx context.Context, id string) (Answer, error) {
	var a Answer
	err := c.call(ctx, "GET", "/v1/messages/"+url.PathEscape(id), nil, &a)
	return a, err
}

// Cancel withdraws a push that is kept from everybody who has not acked it, and returns
// what has become of it.
func (c *Client) Cancel(ctx context.Context, id string) (Answer, error) {
	var a Answer
	err := c.call(ctx, "DELETE", "/v1/messages/"+url.PathEscape(id), nil, &a)
	return a, err
}

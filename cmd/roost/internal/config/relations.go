package config

import (
	"strings"

	"github.com/roostpush/roost/session"
)

// relations checks the settings of the node itself, and what no package can
// check alone because it concerns two of them.
func (c Config) relations() Problems {
	var ps checks
	if c.Node != "" {
		if err := session.CheckNode(c.Node); err != nil {
			ps.add("node", "%s", err)
		}
	}
	ps.listener("listen", c.Listen)
	ps.listener("internal", c.Internal)
	if c.Listen == c.Internal && !strings.HasSuffix(c.Listen, ":0") {
		ps.add("internal", "%s is the public listener too; services and operators need their own", c.Internal)
	}
	if c.Data == "" {
		ps.add("data", "is empty; a directory is wanted: ./data")
	}
	if err := c.Auth.CheckListener(c.Listen); err != nil {
		ps.add("auth.mode", "%s", strings.TrimPrefix(err.Error(), "auth: "))
	}
	ps.less("auth.token_bytes_max", c.Auth.TokenBytesMax, "netpoll.request_bytes_max", c.Netpoll.RequestBytesMax,
		"the token is part of the request")
	ps.less("auth.attrs_bytes_max", c.Auth.AttrsBytesMax, "store.attrs_bytes_max", c.Store.AttrsBytesMax+1,
		"a larger object would be left out of the records")
	return Problems(ps)
}

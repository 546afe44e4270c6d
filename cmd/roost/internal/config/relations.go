package config

import (
	"cmp"
	"net"
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
	ps.listener("internal", c.Internal)
	ps.oneOf("mailbox_store", c.MailboxStore, MailboxStoreDisk, MailboxStoreRedis)
	if c.Deviceless {
		c.processorRelations(&ps)
	} else {
		c.listenerRelations(&ps)
	}
	if c.Data == "" {
		ps.add("data", "is empty; a directory is wanted: ./data")
	}
	ps.less("auth.token_bytes_max", c.Auth.TokenBytesMax, "netpoll.request_bytes_max", c.Netpoll.RequestBytesMax,
		"the token is part of the request")
	ps.less("auth.attrs_bytes_max", c.Auth.AttrsBytesMax, "store.attrs_bytes_max", c.Store.AttrsBytesMax+1,
		"a larger object would be left out of the records")
	ps.less("api.push.payload_bytes_max", c.API.Push.PayloadBytesMax, "deliver.payload_bytes_max", c.Deliver.PayloadBytesMax+1,
		"every larger push would be too_large")
	ps.less("relay.payload_bytes_max", c.Relay.PayloadBytesMax, "deliver.payload_bytes_max", c.Deliver.PayloadBytesMax+1,
		"every larger message would be too_large")
	ps.less("api.push.payload_bytes_max", c.API.Push.PayloadBytesMax, "mailbox.device_bytes_max", c.Mailbox.DeviceBytesMax+1,
		"no mailbox would take a larger push")
	ps.less("relay.payload_bytes_max", c.Relay.PayloadBytesMax, "mailbox.device_bytes_max", c.Mailbox.DeviceBytesMax+1,
		"no mailbox would take a larger message")
	ps.less("processor.payload_bytes_max", c.Processor.PayloadBytesMax, "deliver.payload_bytes_max", c.Deliver.PayloadBytesMax+1,
		"every larger record would be too_large")
	ps.less("processor.payload_bytes_max", c.Processor.PayloadBytesMax, "mailbox.device_bytes_max", c.Mailbox.DeviceBytesMax+1,
		"no mailbox would take a larger record")
	ps.less("mailbox.idempotency_age_ms", c.Mailbox.IdempotencyAgeMS, "store.outcome_retention (ms)", int(c.Store.OutcomeRetention.Milliseconds())+1,
		"who repeats a push would get the id of one whose outcomes are forgotten")
	ps.less("mailbox.bytes_max", c.Mailbox.BytesMax, "store.mail_bytes_max", c.Store.MailBytesMax,
		"the payloads, and what is noted beside them, are what is on that disk")
	// A payload is longest on the socket as base64, four bytes for three, with
	// its frame around it.
	ps.less("deliver.payload_bytes_max", c.Deliver.PayloadBytesMax/3*4+frameBytes, "netpoll.queued_hard_bytes", c.Netpoll.QueuedHardBytes,
		"as base64 in its frame one payload alone would close the connection with 4004")
	ps.less("topics.replay_bytes_max", 2*c.Topics.ReplayBytesMax, "netpoll.queued_hard_bytes", c.Netpoll.QueuedHardBytes,
		"twice that, as base64 in its frames, would close the connection that is sent it with 4004")
	if c.Cluster.Enabled {
		ps.less("topics.replay_bytes_max", c.Topics.ReplayBytesMax, "peer.frame_bytes_max", c.Peer.FrameBytesMax-frameBytes,
			"what a node keeps of a topic would not fit into its answer to another one")
		ps.sooner("cluster.mail.answer_timeout", c.Cluster.Mail.AnswerTimeout, "api.push.timeout", c.API.Push.Timeout,
			"whoever pushes would be gone before this node keeps the message in place of a home that is silent")
		ps.sooner("cluster.mail.key_timeout", c.Cluster.Mail.KeyTimeout, "cluster.mail.answer_timeout", c.Cluster.Mail.AnswerTimeout,
			"while a home asks who knows the idempotency key of a push, the node that has sent it would keep it itself")
		c.reachableLinks(&ps)
	}
	return Problems(ps)
}

// listenerRelations are those of the public listener.
func (c Config) listenerRelations(ps *checks) {
	ps.listener("listen", c.Listen)
	if c.Listen == c.Internal && !strings.HasSuffix(c.Listen, ":0") {
		ps.add("internal", "%s is the public listener too; services and operators need their own", c.Internal)
	}
	if err := c.Auth.CheckListener(c.Listen); err != nil {
		ps.add("auth.mode", "%s", strings.TrimPrefix(err.Error(), "auth: "))
	}
}

// processorRelations are what a processor needs: records, and others to push them to.
func (c Config) processorRelations(ps *checks) {
	if !c.Cluster.Enabled {
		ps.add("cluster.enabled", "is false; a processor holds no devices, so that it needs the nodes of a cluster that do")
	}
	if !c.Kafka.Enabled && !c.JetStream.Enabled {
		ps.add("kafka.enabled", "is false, and jetstream.enabled is too; a processor without a queue has nothing to do")
	}
}

// reachableLinks wants links to be where gossip is: a node that listens for others on all
// interfaces, or on one, and takes their links on loopback is a member that nobody can
// link to.
func (c Config) reachableLinks(ps *checks) {
	gossip := cmp.Or(c.Gossip.Advertise, c.Gossip.Listen)
	if c.Advertise.Links == "" && isLoopback(c.Peer.Listen) && !isLoopback(gossip) {
		ps.add("peer.listen", "%s is loopback, and other nodes are to find this one at %s: set it to an address that they can dial, or to :8082 for every interface, or name what they can dial in advertise.links",
			c.Peer.Listen, gossip)
	}
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// frameBytes is room for what is around a payload in its frame: member names, ids,
// the sender's name.
const frameBytes = 1 << 10

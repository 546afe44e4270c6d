package config

import (
	"cmp"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/lifecycle"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/mailbox/redis"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/presence"
	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/jetstream"
	"github.com/roostpush/roost/session/processor/kafka"
	"github.com/roostpush/roost/session/protocol"
	"github.com/roostpush/roost/session/records"
	"github.com/roostpush/roost/session/relay"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/topics"
	"github.com/roostpush/roost/session/trace"
	"github.com/roostpush/roost/store"
)

// Config is everything an operator can set. It is a value: once loaded nobody
// changes it, and everybody may read it.
type Config struct {
	Node           string `yaml:"node" doc:"this node's id, 1 to 24 of a-z, 0-9 and '-', unique in the cluster; empty: the host's name made to fit, which is stable where one node runs on a host"`
	Listen         string `yaml:"listen" doc:"host:port of the public listener, for devices; 8080 because it needs no privileges"`
	Internal       string `yaml:"internal" doc:"host:port of the internal listener, for services and operators; loopback, because whoever reaches it may push to everybody"`
	Data           string `yaml:"data" doc:"directory of the node's store, created if absent; one process at a time may have it open"`
	MaxConnections int    `yaml:"max_connections" doc:"connections held at most, above which upgrades get 503; 0 derives it: as many as RLIMIT_NOFILE allows, less netpoll.descriptors_reserved"`

	Log   LogConfig             `yaml:"log" doc:"what is logged, and how"`
	Drain lifecycle.DrainConfig `yaml:"drain" doc:"how the node leaves when it is told to stop"`

	Auth     auth.Config     `yaml:"auth" doc:"who may connect, and as whom"`
	Protocol protocol.Config `yaml:"protocol" doc:"what devices may do, and for how long"`
	Relay    relay.Config    `yaml:"relay" doc:"messages between the devices of an account"`
	Topics   topics.Config   `yaml:"topics" doc:"what devices may subscribe to, and what is kept of it"`
	Mailbox  mailbox.Config  `yaml:"mailbox" doc:"messages that are kept until their device has acknowledged them"`

	MailboxStore string       `yaml:"mailbox_store" doc:"where those messages are: disk, in the store under data, or redis, for clusters in which they must survive the loss of a node's disk. Changing it moves nothing: what waits in the other one waits until it is changed back"`
	Redis        redis.Config `yaml:"redis" doc:"the Redis server of mailbox_store redis, which counts only then"`

	Presence presence.Config `yaml:"presence" doc:"what devices are told of others of their account that come and go"`
	Deliver  deliver.Config  `yaml:"deliver" doc:"messages on their way to devices"`
	API      api.Config      `yaml:"api" doc:"the internal listener"`
	Netpoll  netpoll.Config  `yaml:"netpoll" doc:"the reactor: event loops, and the limits of one connection"`
	Store    store.Config    `yaml:"store" doc:"what is kept on disk, and how it gets there"`

	Trace     trace.Config     `yaml:"trace" doc:"what the node remembers of where messages were"`
	Processor processor.Config `yaml:"processor" doc:"asynchronous push: what queues hand in, and the turns of the mailbox"`
	Kafka     kafka.Config     `yaml:"kafka" doc:"records to push that come from Kafka topics"`
	JetStream jetstream.Config `yaml:"jetstream" doc:"messages to push that come from a stream of NATS JetStream"`

	// Deviceless is set by roost processor, which holds no devices, and by nothing else.
	Deviceless bool `yaml:"-"`

	Cluster   ClusterConfig   `yaml:"cluster" doc:"whether there are other nodes, and what all of them have in common"`
	Advertise AdvertiseConfig `yaml:"advertise" doc:"addresses that other nodes and roost nodes show of this one, where they are not those of its listeners: behind a translation of addresses, for example"`
	Gossip    gossip.Config   `yaml:"gossip" doc:"how nodes find each other, and who is a member"`
	Peer      peer.Config     `yaml:"peer" doc:"the links between nodes, for messages and logs"`
	Route     route.Config    `yaml:"route" doc:"the table: which node every device is on"`
	Replica   replica.Config  `yaml:"replica" doc:"how the table is kept alike on all nodes"`
}

// Where messages for devices are kept (Config.MailboxStore).
const (
	MailboxStoreDisk  = "disk"
	MailboxStoreRedis = "redis"
)

// moved names the settings of packages that the node sets under another key,
// because flags and people use that one. Their own keys do not exist.
var moved = map[string]string{
	"api.listen":              "internal",
	"netpoll.max_connections": "max_connections",
	"store.directory":         "data",
}

// settled returns c with the moved settings copied to where the packages read
// them.
func (c Config) settled() Config {
	c.Netpoll.MaxConnections = c.MaxConnections
	c.Store.Directory = c.Data
	c.API.Listen = c.Internal
	return c
}

// following returns c with the settings that nobody has set and that follow from others.
func (c Config) following(set Origins) Config {
	if _, ok := set["presence.grace"]; !ok {
		// A device that was told to wait and comes back as it was told has not gone (PROTOCOL.md
		// section 1, goaway).
		c.Presence.Grace = min(max(c.Protocol.ReconnectMax, c.Drain.ReconnectMax)+presence.ConnectTime, time.Hour)
	}
	return c
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error; info has no line for a connection, so it stays readable at any load"`
	Format string `yaml:"format" doc:"text, json, or auto: text when standard error is a terminal, json otherwise, since then a machine reads it"`
}

// ClusterConfig says whether there are other nodes.
type ClusterConfig struct {
	Enabled bool   `yaml:"enabled" doc:"whether this node looks for others and lets others link to it; gossip, peer, route and replica count only then"`
	HashKey string `yaml:"hash_key" secret:"true" doc:"key of the hashes by which nodes know devices, 32 hexadecimal digits, the same on all nodes for ever: openssl rand -hex 16 makes one"`

	Keep  records.Config `yaml:"keep" doc:"how the records of devices get to the home of their account, the node that keeps them"`
	Mail  MailConfig     `yaml:"mail" doc:"how messages that are kept get there"`
	Lists ListsConfig    `yaml:"lists" doc:"what is remembered of other nodes' answers about the devices of an account"`
}

// MailConfig holds the limits of messages that are kept at the home of their account.
type MailConfig struct {
	InFlightMax   int           `yaml:"in_flight_max" doc:"pushes with a ttl that wait for the home of their account to have them on its disk; beyond it they are overloaded"`
	InFlightBytes int           `yaml:"in_flight_bytes" doc:"memory for the payloads of those, bytes"`
	AnswerTimeout time.Duration `yaml:"answer_timeout" doc:"time a home has to put a push on its disk and say so, before this node keeps it itself; the device may then get it twice. Below push.timeout, so that its caller hears"`
	MissedTimeout time.Duration `yaml:"missed_timeout" doc:"time a home has to say how many messages wait for a device that connects here, which its greeting waits for; then that says what this node knows"`
	MissedMax     int           `yaml:"missed_max" doc:"devices for which homes are being asked that; beyond it none is, so that a reconnect storm is not slowed"`
	AcksMax       int           `yaml:"acks_max" doc:"acks of devices that wait for a link to the node that keeps their message; beyond it they are dropped, and those devices get the message once more"`
	MoveMax       int           `yaml:"move_max" doc:"messages on their way to their new homes at one time when this node leaves, and from nodes that leave, count; some 100,000 a second at a round trip of 10 ms"`
	MoveBytes     int           `yaml:"move_bytes" doc:"memory for the payloads of those, bytes; half of peer.control_queue_bytes leaves room for the logs"`
	StraysMax     int           `yaml:"strays_max" doc:"messages of which this node remembers that another one keeps them than their id names, because that has left: the ack goes there. Beyond it the oldest is forgotten, and its ack goes to the home of the account"`
	KeyTimeout    time.Duration `yaml:"key_timeout" doc:"time that other nodes have to say whether they know an idempotency key, which the home of its account asks those that have not given away all keys that belong elsewhere, as after a change of the members. Then the push is kept, maybe for the second time, and counted (roost_mail_keys_unsure_total). Below answer_timeout, or the node that has sent the push would keep it in place of this one"`
	LeaveTimeout  time.Duration `yaml:"leave_timeout" doc:"time that a node which leaves may take to hand over the messages it keeps, and the idempotency keys, once its devices are gone; it begins beside their drain. What is left stays on its disk, and is told in the log. What was published to topics is handed over in the same time; what is left of that is gone with the node. With drain.over and the rest it should stay below the 30s of Kubernetes"`
}

// DefaultMail returns the limits of a node that nobody configured.
func DefaultMail() MailConfig {
	return MailConfig{InFlightMax: 50_000, InFlightBytes: 64 << 20, AnswerTimeout: 3 * time.Second, MissedTimeout: 250 * time.Millisecond, MissedMax: 1000, AcksMax: 20_000,
		MoveMax: 1024, MoveBytes: 2 << 20, StraysMax: 20_000, KeyTimeout: 500 * time.Millisecond, LeaveTimeout: 5 * time.Second}
}

// ListsConfig holds the limits of what is remembered of other nodes' answers about the
// devices of an account.
type ListsConfig struct {
	EntriesMax int           `yaml:"entries_max" doc:"accounts whose devices are remembered, count; the one asked for longest ago makes room"`
	BytesMax   int           `yaml:"bytes_max" doc:"memory for them, bytes; a device with its attributes is some 500"`
	AgeMin     time.Duration `yaml:"age_min" doc:"time for which an answer is believed at first. Devices that come and go are heard of at once; their records reach the account's home a moment later, some store.loss_window, and nobody says when"`
	AgeMax     time.Duration `yaml:"age_max" doc:"time up to which that is doubled, each time it is asked for again and no device of the account has come or gone; last_seen_ms of devices that stay away may be as old"`
}

// DefaultLists returns the limits of a node that nobody configured.
func DefaultLists() ListsConfig {
	return ListsConfig{EntriesMax: 8192, BytesMax: 16 << 20, AgeMin: time.Second, AgeMax: time.Minute}
}

// Validate says what is wrong with the values.
func (c ListsConfig) Validate() error {
	var ps checks
	within(&ps, "entries_max", c.EntriesMax, 1, 1<<24)
	within(&ps, "bytes_max", c.BytesMax, 64<<10, 1<<32)
	within(&ps, "age_min", c.AgeMin, 10*time.Millisecond, time.Hour)
	within(&ps, "age_max", c.AgeMax, 10*time.Millisecond, time.Hour)
	if c.AgeMax < c.AgeMin {
		ps.add("age_max", "%v is below age_min (%v)", c.AgeMax, c.AgeMin)
	}
	return ps.err()
}

// Validate says what is wrong with the values.
func (c MailConfig) Validate() error {
	var ps checks
	within(&ps, "in_flight_max", c.InFlightMax, 1, 10_000_000)
	within(&ps, "in_flight_bytes", c.InFlightBytes, 1<<20, 1<<36)
	within(&ps, "answer_timeout", c.AnswerTimeout, 10*time.Millisecond, 10*time.Minute)
	within(&ps, "missed_timeout", c.MissedTimeout, time.Millisecond, 10*time.Second)
	within(&ps, "missed_max", c.MissedMax, 1, 1_000_000)
	within(&ps, "acks_max", c.AcksMax, 1, 10_000_000)
	within(&ps, "move_max", c.MoveMax, 1, 1_000_000)
	within(&ps, "move_bytes", c.MoveBytes, 64<<10, 1<<32)
	within(&ps, "strays_max", c.StraysMax, 1, 10_000_000)
	within(&ps, "key_timeout", c.KeyTimeout, time.Millisecond, time.Minute)
	within(&ps, "leave_timeout", c.LeaveTimeout, 10*time.Millisecond, time.Hour)
	return ps.err()
}

// Key returns the hash key.
func (c ClusterConfig) Key() (k route.Key, err error) {
	b, err := hex.DecodeString(c.HashKey)
	if err != nil || len(b) != len(k) {
		return k, errors.New("hash_key is not 32 hexadecimal digits: openssl rand -hex 16 makes one, for all nodes of the cluster")
	}
	return route.Key(b), nil
}

// Validate says what is wrong with the values.
func (c ClusterConfig) Validate() error {
	if !c.Enabled && c.HashKey == "" {
		return nil
	}
	_, err := c.Key()
	return err
}

// AdvertiseConfig says what other nodes are told of this one's listeners. The gossip
// listener has a setting of its own, gossip.advertise.
type AdvertiseConfig struct {
	Public   string `yaml:"public" doc:"host:port at which devices reach this node; empty: listen, with the host of the gossip address where that is a wildcard, and nothing where only this host reaches it"`
	Internal string `yaml:"internal" doc:"host:port at which services and operators reach this node; empty: the setting internal, by the same rules"`
	Links    string `yaml:"links" doc:"host:port at which other nodes link to this one; empty: peer.listen, by the same rules, but the node does not start where other hosts could not dial that"`
}

// Validate says what is wrong with the values.
func (c AdvertiseConfig) Validate() error {
	var ps checks
	ps.dialable("public", c.Public)
	ps.dialable("internal", c.Internal)
	ps.dialable("links", c.Links)
	return ps.err()
}

// Default returns the settings that a node runs with when nothing is said.
func Default() Config {
	c := Config{
		Listen:   ":8080",
		Internal: "127.0.0.1:8081",
		Data:     "./data",
		Log:      LogConfig{Level: "info", Format: "auto"},
		Drain:    lifecycle.DefaultDrain(),
		Auth:     auth.Default(),
		Protocol: protocol.Default(),
		Relay:    relay.Default(),
		Topics:   topics.Default(),
		Mailbox:  mailbox.Default(),
		Redis:    redis.Default(),
		Presence: presence.Default(),
		Deliver:  deliver.Default(),
		API:      api.Default(),
		Netpoll:  netpoll.Default(),
		Store:    store.Default(),
		Cluster:  ClusterConfig{Keep: records.Default(), Mail: DefaultMail(), Lists: DefaultLists()},
		Gossip:   gossip.Default(),
		Peer:     peer.Default(),
		Route:    route.Default(),
		Replica:  replica.Default(),

		MailboxStore: MailboxStoreDisk,

		Trace:     trace.Default(),
		Processor: processor.Default(),
		Kafka:     kafka.Default(),
		JetStream: jetstream.Default(),
	}
	return c.following(nil).settled()
}

// Validate returns every problem with the values, and with their relations
// across packages, as a Problems; nil when there is none.
func (c Config) Validate() error {
	c, defaults := c.settled(), Default()
	return validate(tree(&c), tree(&defaults), c.relations).err()
}

// Validate says what is wrong with the values.
func (c LogConfig) Validate() error {
	var ps checks
	ps.oneOf("level", c.Level, "debug", "info", "warn", "error")
	ps.oneOf("format", c.Format, "auto", "text", "json")
	return ps.err()
}

// NodeID returns the node's id: Node, or hostname made to fit the rules for ids
// (session.CheckNode) when Node is empty.
func (c Config) NodeID(hostname string) string {
	if c.Node != "" {
		return c.Node
	}
	host, _, _ := strings.Cut(strings.ToLower(hostname), ".")
	id := strings.Map(func(r rune) rune {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return '-'
		}
		return r
	}, host)
	id = strings.Trim(id[:min(len(id), session.NodeBytesMax)], "-")
	return cmp.Or(id, "roost")
}

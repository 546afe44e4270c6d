package gossip

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// Config says with whom this node forms a cluster. It is a value: read once by Start,
// except the files it names, which are read again.
type Config struct {
	Cluster   string `yaml:"cluster" doc:"the cluster's name, 1 to 64 of letters, digits, '.', '-' and '_'; a node of another cluster is refused, and both log it"`
	Listen    string `yaml:"listen" doc:"host:port of the gossip listener, TCP and UDP; the host is an IP address"`
	Advertise string `yaml:"advertise" doc:"host:port at which the other nodes reach the gossip listener, the host an IP address; empty: listen, and where that is a wildcard a private address of this host"`

	Join            []string      `yaml:"join" doc:"addresses to find the cluster at: host:port, where a host name means all its A and AAAA records, or the name of SRV records, which begins with '_'. They are asked for ever, so it does no harm to list nodes that are down, or this one"`
	JoinFile        string        `yaml:"join_file" doc:"file with further addresses, one a line, '#' begins a comment line; read again at every look; empty: none"`
	AddressesMax    int           `yaml:"addresses_max" doc:"discovery addresses used at most, count; further ones are left out and counted"`
	DiscoverEvery   time.Duration `yaml:"discover_every" doc:"time between two looks at join and join_file; DNS is asked that often"`
	DiscoverTimeout time.Duration `yaml:"discover_timeout" doc:"time for all of the names to resolve"`

	Keys      []string      `yaml:"keys" secret:"true" doc:"AES keys for all gossip, 16, 24 or 32 bytes in base64; the first is used to send, all to receive. Empty and no keys_file: gossip is open to whoever reaches the port"`
	KeysFile  string        `yaml:"keys_file" doc:"file with the keys instead, one a line, '#' begins a comment line; read again when it changes. To rotate: add the new key behind on every node, then move it to the front on every node, then take the old one out"`
	KeysEvery time.Duration `yaml:"keys_every" doc:"time between two looks at keys_file"`

	ProbeInterval time.Duration `yaml:"probe_interval" doc:"time between two probes of some member; with suspicion_mult it decides how soon a silent node is dead: at 3 nodes within 3 + suspicion_mult intervals, 3.5s by default"`
	ProbeTimeout  time.Duration `yaml:"probe_timeout" doc:"time for an answer before others are asked to try; less than half of probe_interval, or what they say comes too late"`
	SuspicionMult int           `yaml:"suspicion_mult" doc:"intervals a suspected member has to speak up, count, times log10 of the members; more forgives longer pauses"`
	SuspicionMax  int           `yaml:"suspicion_max" doc:"how many times longer than that a suspicion lasts while too few others confirm it, count; it matters from 4 nodes on, and on the small side of a split"`
	AwarenessMax  int           `yaml:"awareness_max" doc:"how many times slower a node probes that notices its own slowness, count"`

	GossipInterval time.Duration `yaml:"gossip_interval" doc:"time between two packets of news to each of gossip_nodes; nothing is sent when there is no news"`
	GossipNodes    int           `yaml:"gossip_nodes" doc:"members told at each interval, count"`
	SyncInterval   time.Duration `yaml:"sync_interval" doc:"time between two full exchanges with some member over TCP, longer in clusters above 32 nodes; repairs what packets lost"`
	ForgetAfter    time.Duration `yaml:"forget_after" doc:"time the dead are still told what is said of them, so that a live one can object"`
	PacketBytes    int           `yaml:"packet_bytes" doc:"largest packet of news, bytes; must pass the network unfragmented"`

	HelloTimeout   time.Duration `yaml:"hello_timeout" doc:"time for a connection to be made and to say who it is"`
	StreamTimeout  time.Duration `yaml:"stream_timeout" doc:"time for a full exchange over TCP"`
	StreamsMax     int           `yaml:"streams_max" doc:"connections from others at one time, count; beyond it they are closed at once"`
	StreamBytesMax int           `yaml:"stream_bytes_max" doc:"bytes read from one connection; a full exchange has some 300 for each member"`

	RejoinMin      time.Duration `yaml:"rejoin_min" doc:"pause before an address that is no live member's is asked again; doubles up to rejoin_max, and each is drawn from its upper half"`
	RejoinMax      time.Duration `yaml:"rejoin_max" doc:"longest such pause while the loss is recent, and for discovery addresses always; how soon a healed split is noticed"`
	RejoinEager    time.Duration `yaml:"rejoin_eager" doc:"how long a loss is recent"`
	RejoinSlow     time.Duration `yaml:"rejoin_slow" doc:"longest pause after that"`
	RejoinsAtOnce  int           `yaml:"rejoins_at_once" doc:"addresses asked at one time, count"`
	RejoinsASecond int           `yaml:"rejoins_a_second" doc:"addresses asked within a second, count; one answer of a lost half brings back all of it"`

	MembersMax int `yaml:"members_max" doc:"nodes known at most, dead ones included, count; beyond it newcomers are refused and counted"`

	HintsMax     int           `yaml:"hints_max" doc:"hints of reset links being followed at one time, count; beyond it they are dropped and counted, and the ordinary detection decides"`
	HintTries    int           `yaml:"hint_tries" doc:"times the host of a hinted member must say that nobody listens before it is dead, count"`
	HintPause    time.Duration `yaml:"hint_pause" doc:"time between two such tries; tries and pauses together cover the moment between an old process and its successor"`
	HintTimeout  time.Duration `yaml:"hint_timeout" doc:"time for one try; no answer decides nothing"`
	HintRecheck  time.Duration `yaml:"hint_recheck" doc:"time between two questions to a member that was declared dead by a hint while memberlist still hears it"`
	LeaveTimeout time.Duration `yaml:"leave_timeout" doc:"time for the members to be told that this node goes, or has another state"`

	MinorityWindow time.Duration `yaml:"minority_window" doc:"how long a member that died counts as missing; when more than half of those expected are missing, this node is on the minority side of a split"`
	MinorityReady  bool          `yaml:"minority_ready" doc:"whether a node on the minority side stays ready for traffic; false: /readyz says no, so that load balancers send devices to the other side"`

	LogEvery time.Duration `yaml:"log_every" doc:"time before the same complaint is logged again"`
}

// Default returns the configuration a node starts with.
func Default() Config {
	return Config{
		Cluster:         "roost",
		Listen:          "0.0.0.0:7946",
		AddressesMax:    256,
		DiscoverEvery:   10 * time.Second,
		DiscoverTimeout: 5 * time.Second,
		KeysEvery:       5 * time.Second,
		ProbeInterval:   500 * time.Millisecond,
		ProbeTimeout:    200 * time.Millisecond,
		SuspicionMult:   4,
		SuspicionMax:    2,
		AwarenessMax:    4,
		GossipInterval:  100 * time.Millisecond,
		GossipNodes:     4,
		SyncInterval:    30 * time.Second,
		ForgetAfter:     30 * time.Second,
		PacketBytes:     1400,
		HelloTimeout:    2 * time.Second,
		StreamTimeout:   10 * time.Second,
		StreamsMax:      128,
		StreamBytesMax:  4 << 20,
		RejoinMin:       500 * time.Millisecond,
		RejoinMax:       2 * time.Second,
		RejoinEager:     10 * time.Minute,
		RejoinSlow:      time.Minute,
		RejoinsAtOnce:   8,
		RejoinsASecond:  32,
		MembersMax:      4096,
		HintsMax:        64,
		HintTries:       3,
		HintPause:       50 * time.Millisecond,
		HintTimeout:     200 * time.Millisecond,
		HintRecheck:     time.Second,
		LeaveTimeout:    2 * time.Second,
		MinorityWindow:  30 * time.Minute,
		LogEvery:        time.Minute,
	}
}

// Validate reports everything that is wrong, each with the setting's name.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(isClusterName(c.Cluster), "cluster is %.80q: 1 to 64 of letters, digits, '.', '-' and '_' are allowed", c.Cluster)
	_, _, err := splitIP(c.Listen)
	check(err == nil, "listen: %v", err)
	if c.Advertise != "" {
		ip, port, err := splitIP(c.Advertise)
		check(err == nil, "advertise: %v", err)
		check(err != nil || (port != 0 && !ip.IsUnspecified()), "advertise is %q: nobody could reach that", c.Advertise)
	}
	for _, a := range c.Join {
		err := checkJoin(a)
		check(err == nil, "join: %v", err)
	}
	if _, err := parseKeys(c.Keys); err != nil {
		errs = append(errs, err)
	}
	check(len(c.Keys) == 0 || c.KeysFile == "", "keys and keys_file are both set: use one")
	for _, n := range c.counts() {
		check(n.v >= n.low && n.v <= n.high, "%s is %d: %d to %d are allowed", n.name, n.v, n.low, n.high)
	}
	for _, d := range c.durations() {
		check(d.v >= d.low && d.v <= d.high, "%s is %v: %v to %v are allowed", d.name, d.v, d.low, d.high)
	}
	check(2*c.ProbeTimeout < c.ProbeInterval, "probe_timeout (%v) is not below half of probe_interval (%v): what others say of a member would come too late", c.ProbeTimeout, c.ProbeInterval)
	check(c.RejoinMin <= c.RejoinMax && c.RejoinMax <= c.RejoinSlow, "rejoin_min (%v), rejoin_max (%v) and rejoin_slow (%v) do not grow", c.RejoinMin, c.RejoinMax, c.RejoinSlow)
	return errors.Join(errs...)
}

type countLimit struct {
	name         string
	v, low, high int
}

func (c Config) counts() []countLimit {
	return []countLimit{
		{"addresses_max", c.AddressesMax, 1, 1 << 16},
		{"suspicion_mult", c.SuspicionMult, 2, 100},
		{"suspicion_max", c.SuspicionMax, 1, 100},
		{"awareness_max", c.AwarenessMax, 1, 100},
		{"gossip_nodes", c.GossipNodes, 1, 100},
		{"packet_bytes", c.PacketBytes, 1024, 65000}, // one member with its meta, label and seal must fit
		{"streams_max", c.StreamsMax, 2, 1 << 16},
		{"stream_bytes_max", c.StreamBytesMax, 64 << 10, 20 << 20}, // memberlist's own limit
		{"rejoins_at_once", c.RejoinsAtOnce, 1, 1 << 10},
		{"rejoins_a_second", c.RejoinsASecond, 1, 1 << 16},
		{"members_max", c.MembersMax, 1, 1 << 16},
		{"hints_max", c.HintsMax, 1, 1 << 16},
		{"hint_tries", c.HintTries, 1, 100},
	}
}

type durationLimit struct {
	name         string
	v, low, high time.Duration
}

func (c Config) durations() []durationLimit {
	const ms = time.Millisecond
	return []durationLimit{
		{"discover_every", c.DiscoverEvery, 10 * ms, 24 * time.Hour},
		{"discover_timeout", c.DiscoverTimeout, 10 * ms, 5 * time.Minute},
		{"keys_every", c.KeysEvery, 10 * ms, 24 * time.Hour},
		{"probe_interval", c.ProbeInterval, 20 * ms, time.Minute},
		{"probe_timeout", c.ProbeTimeout, ms, time.Minute},
		{"gossip_interval", c.GossipInterval, 5 * ms, time.Minute},
		{"sync_interval", c.SyncInterval, 100 * ms, time.Hour},
		{"forget_after", c.ForgetAfter, 100 * ms, 24 * time.Hour},
		{"hello_timeout", c.HelloTimeout, 10 * ms, time.Minute},
		{"stream_timeout", c.StreamTimeout, 100 * ms, 5 * time.Minute},
		{"rejoin_min", c.RejoinMin, 10 * ms, time.Hour},
		{"rejoin_max", c.RejoinMax, 10 * ms, 24 * time.Hour},
		{"rejoin_eager", c.RejoinEager, 0, 240 * time.Hour},
		{"rejoin_slow", c.RejoinSlow, 10 * ms, 24 * time.Hour},
		{"hint_pause", c.HintPause, 0, 10 * time.Second},
		{"hint_timeout", c.HintTimeout, ms, 10 * time.Second},
		{"hint_recheck", c.HintRecheck, 10 * ms, time.Minute},
		{"leave_timeout", c.LeaveTimeout, 10 * ms, time.Minute},
		{"minority_window", c.MinorityWindow, time.Second, 240 * time.Hour},
		{"log_every", c.LogEvery, 10 * ms, 24 * time.Hour},
	}
}

func isClusterName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}

// splitIP reads ip:port.
func splitIP(s string) (net.IP, int, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, 0, fmt.Errorf("%q is not host:port", s)
	}
	ip := net.ParseIP(host)
	n, err := strconv.ParseUint(port, 10, 16)
	if ip == nil || err != nil {
		return nil, 0, fmt.Errorf("%q is not an IP address and a port", s)
	}
	return ip, int(n), nil
}

// memberlist returns the settings as memberlist wants them.
func (c Config) memberlist() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.ProtocolVersion = memberlist.ProtocolVersionMax
	m.Label = c.Cluster
	m.EnableCompression = false // packets of news are small, and its writer costs 64 KB of garbage each
	m.ProbeInterval, m.ProbeTimeout = c.ProbeInterval, c.ProbeTimeout
	m.SuspicionMult, m.AwarenessMaxMultiplier = c.SuspicionMult, c.AwarenessMax
	m.SuspicionMaxTimeoutMult = c.SuspicionMax
	m.GossipInterval, m.GossipNodes = c.GossipInterval, c.GossipNodes
	m.PushPullInterval = c.SyncInterval
	m.GossipToTheDeadTime = c.ForgetAfter
	m.UDPBufferSize = c.PacketBytes
	m.TCPTimeout = c.StreamTimeout
	// Names are never used again, except by two processes that started with one id and
	// epoch at one moment; the address of the one that gave up may be taken at once.
	m.DeadNodeReclaimTime = time.Second
	return m
}

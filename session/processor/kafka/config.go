package kafka

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/roostpush/roost/session/processor"
)

// Where a group begins that has committed nothing.
const (
	StartEarliest = "earliest"
	StartLatest   = "latest"
)

// What is kept in order (Config.Order).
const (
	OrderDevice    = "device"
	OrderAccount   = "account"
	OrderPartition = "partition"
)

// Config says from where records come, and where what becomes of them is told. It is a
// value, read once by New, except the files it names, which are read then.
type Config struct {
	Enabled bool `yaml:"enabled" doc:"whether records are consumed from Kafka; the rest counts only then"`

	Connection ConnectionConfig `yaml:"connection" doc:"how the brokers are reached"`

	Group    string `yaml:"group" doc:"the consumer group; all nodes that share the topics have the same one, and each partition is on one of them"`
	Instance string `yaml:"instance" doc:"static id of this member (KIP-345), unique in the group: a restart within session_timeout gets its partitions back without a rebalance; empty: none"`
	Start    string `yaml:"start" doc:"where a group begins that has committed nothing: earliest or latest"`
	Order    string `yaml:"order" doc:"what is kept in order: account (all records of an account, so that each device gets those of a partition in their order, those for the whole account included; one slow device holds up its siblings), device (records for one device among themselves, and those for a whole account among themselves), or partition (one record after the other, which is slow)"`

	HighTopics   []string `yaml:"high_topics" doc:"topics whose records have priority high"`
	NormalTopics []string `yaml:"normal_topics" doc:"topics whose records have priority normal"`
	LowTopics    []string `yaml:"low_topics" doc:"topics whose records have priority low"`

	DeadLetterTopic string `yaml:"dead_letter_topic" doc:"topic for records that can never succeed, as they came, with the reason in headers roost-error-code and roost-error; empty: they are counted, logged and dropped"`
	ResultsTopic    string `yaml:"results_topic" doc:"topic that is told what became of each record, JSON with the record's roost-id as key; empty: nobody is told"`

	HeldMax       int `yaml:"held_max" doc:"fetched records of one priority that wait for room in its lane, count; above it the topics of that priority are not fetched, the others are"`
	HeldBytesMax  int `yaml:"held_bytes_max" doc:"the same in bytes of keys, values and headers; one fetch more may be held"`
	WindowMax     int `yaml:"window_max" doc:"records of one partition between its first that is not final and its newest, count; above it the partition is not fetched. What a crash repeats at most"`
	PollMax       int `yaml:"poll_max" doc:"records taken from the client at a time, count; also what held_max and window_max may be overrun by"`
	FetchBytesMax int `yaml:"fetch_bytes_max" doc:"bytes asked of one broker at a time; as much is buffered for each broker, beside what is held"`

	FetchPartitionBytesMax int `yaml:"fetch_partition_bytes_max" doc:"bytes asked of one partition at a time; a larger record is fetched all the same"`

	PauseAfter       time.Duration `yaml:"pause_after" doc:"how long nothing is polled while a lane or a window has no room, before its topics or its partition are not fetched: that makes way for the others, but what was fetched of them already is thrown away and fetched again"`
	FetchWait        time.Duration `yaml:"fetch_wait" doc:"how long a broker may wait for records before it answers that there are none"`
	CommitInterval   time.Duration `yaml:"commit_interval" doc:"time between two commits; what was final within it comes again after a crash"`
	CommitTimeout    time.Duration `yaml:"commit_timeout" doc:"time for one commit; one that fails is made again at the next interval"`
	SessionTimeout   time.Duration `yaml:"session_timeout" doc:"silence after which the group gives this member's partitions to others"`
	RebalanceTimeout time.Duration `yaml:"rebalance_timeout" doc:"time the members have to agree who gets what"`
	RevokeTimeout    time.Duration `yaml:"revoke_timeout" doc:"how long partitions that go to another member wait for the results of what is in work; the rest comes again there"`
	StopTimeout      time.Duration `yaml:"stop_timeout" doc:"the same at the end of Run; also for each of the last commit and the farewell to the group"`
	StartTimeout     time.Duration `yaml:"start_timeout" doc:"time for the brokers to answer when the source starts; after that they may come and go"`
	ReportTimeout    time.Duration `yaml:"report_timeout" doc:"time for a dead letter or result to be acknowledged by its broker, before it is sent again"`
	ReportRetry      time.Duration `yaml:"report_retry" doc:"pause before a dead letter or result that no broker took is sent again"`
	LagInterval      time.Duration `yaml:"lag_interval" doc:"time between two questions for the ends of the partitions, from which the lag follows"`
	LogEvery         time.Duration `yaml:"log_every" doc:"time before the same complaint is logged again"`
}

// Default returns the values that a source starts from. They want brokers and topics.
func Default() Config {
	return Config{
		Connection:             DefaultConnection(),
		Group:                  "roost",
		Start:                  StartEarliest,
		Order:                  OrderAccount,
		HeldMax:                2048,
		HeldBytesMax:           16 << 20,
		WindowMax:              20_000,
		PollMax:                512,
		FetchBytesMax:          8 << 20,
		FetchPartitionBytesMax: 1 << 20,
		PauseAfter:             100 * time.Millisecond,
		FetchWait:              time.Second,
		CommitInterval:         500 * time.Millisecond,
		CommitTimeout:          5 * time.Second,
		SessionTimeout:         30 * time.Second,
		RebalanceTimeout:       60 * time.Second,
		RevokeTimeout:          5 * time.Second,
		StopTimeout:            10 * time.Second,
		StartTimeout:           10 * time.Second,
		ReportTimeout:          30 * time.Second,
		ReportRetry:            time.Second,
		LagInterval:            10 * time.Second,
		LogEvery:               time.Minute,
	}
}

// Validate reports everything that is wrong, each with the setting's name; nothing when
// it is not enabled.
func (c Config) Validate() error {
	if !c.Enabled {
		return nil
	}
	p := processor.Problems{Section: section}
	if err := c.Connection.Check(); err != nil {
		p.Check(false, "%s", strings.TrimPrefix(strings.ReplaceAll(err.Error(), section, section+"connection."), section))
	}
	p.Check(c.Group != "" && len(c.Group) <= nameBytesMax, "group is %.80q: 1 to %d bytes are allowed", c.Group, nameBytesMax)
	p.Check(len(c.Instance) <= nameBytesMax, "instance is %d bytes long, at most %d are allowed", len(c.Instance), nameBytesMax)
	p.Check(c.Start == StartEarliest || c.Start == StartLatest, "start is %q: write earliest or latest", c.Start)
	p.Check(slices.Contains([]string{OrderDevice, OrderAccount, OrderPartition}, c.Order), "order is %q: write account, device or partition", c.Order)
	c.checkTopics(&p)
	c.checkLimits(&p)
	p.Check(c.FetchPartitionBytesMax <= c.FetchBytesMax, "fetch_partition_bytes_max (%d) is above fetch_bytes_max (%d)", c.FetchPartitionBytesMax, c.FetchBytesMax)
	p.Check(c.RevokeTimeout+c.CommitTimeout < c.RebalanceTimeout, "revoke_timeout (%v) and commit_timeout (%v) together are not below rebalance_timeout (%v): the group would throw this member out while it still finishes", c.RevokeTimeout, c.CommitTimeout, c.RebalanceTimeout)
	return p.Err()
}

func (c Config) checkTopics(p *processor.Problems) {
	seen := map[string]string{}
	topics := func(setting string, names ...string) {
		for _, name := range names {
			if err := checkTopic(name); err != nil {
				p.Check(false, "%s: %v", setting, err)
				continue
			}
			p.Check(seen[name] == "", "%s has %s, which is in %s already", setting, name, seen[name])
			seen[name] = setting
		}
	}
	topics("high_topics", c.HighTopics...)
	topics("normal_topics", c.NormalTopics...)
	topics("low_topics", c.LowTopics...)
	p.Check(len(seen) > 0 || p.Any(), "high_topics is empty, and so are normal_topics and low_topics: there is nothing to consume")
	p.Check(len(seen) <= topicsMax, "there are %d topics: at most %d are allowed", len(seen), topicsMax)
	if c.DeadLetterTopic != "" {
		topics("dead_letter_topic", c.DeadLetterTopic)
	}
	if c.ResultsTopic != "" {
		topics("results_topic", c.ResultsTopic)
	}
}

// section stands in front of all complaints.
const section = "kafka: "

// Limits of Kafka itself, or of what is sane.
const (
	nameBytesMax  = 249 // of a topic's name, as Kafka has it; more than enough for the others
	topicsMax     = 64
	heldMaxLimit  = 1 << 20
	bytesMaxLimit = 1 << 30
)

// checkTopic holds a name against Kafka's own rule (org.apache.kafka.common.internals.Topic).
func checkTopic(s string) error {
	legal := s != "" && s != "." && s != ".." && len(s) <= nameBytesMax && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
	if !legal {
		return fmt.Errorf("topic %.80q: 1 to %d of letters, digits, '.', '_' and '-' are allowed", s, nameBytesMax)
	}
	return nil
}

// checkLimits checks what is a number.
func (c Config) checkLimits(p *processor.Problems) {
	const ms = time.Millisecond
	p.Count("held_max", c.HeldMax, 1, heldMaxLimit)
	p.Count("held_bytes_max", c.HeldBytesMax, 1<<10, bytesMaxLimit)
	p.Count("window_max", c.WindowMax, 1, heldMaxLimit)
	p.Count("poll_max", c.PollMax, 1, heldMaxLimit)
	p.Count("fetch_bytes_max", c.FetchBytesMax, 1<<10, bytesMaxLimit)
	p.Count("fetch_partition_bytes_max", c.FetchPartitionBytesMax, 1<<10, bytesMaxLimit)
	p.Duration("pause_after", c.PauseAfter, ms, 10*time.Second)
	p.Duration("fetch_wait", c.FetchWait, ms, time.Minute)
	p.Duration("commit_interval", c.CommitInterval, ms, 10*time.Minute)
	p.Duration("commit_timeout", c.CommitTimeout, 10*ms, 5*time.Minute)
	p.Duration("session_timeout", c.SessionTimeout, 100*ms, 30*time.Minute)
	p.Duration("rebalance_timeout", c.RebalanceTimeout, 100*ms, time.Hour)
	p.Duration("revoke_timeout", c.RevokeTimeout, ms, time.Hour)
	p.Duration("stop_timeout", c.StopTimeout, ms, time.Hour)
	p.Duration("start_timeout", c.StartTimeout, 10*ms, 10*time.Minute)
	p.Duration("report_timeout", c.ReportTimeout, time.Second, 10*time.Minute)
	p.Duration("report_retry", c.ReportRetry, ms, 10*time.Minute)
	p.Duration("lag_interval", c.LagInterval, 10*ms, time.Hour)
	p.Duration("log_every", c.LogEvery, 10*ms, 24*time.Hour)
}

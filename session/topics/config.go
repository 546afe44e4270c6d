package topics

import (
	"fmt"
	"time"
)

// Config holds the limits of topics. It is read once, by New.
type Config struct {
	SubscriptionsMax        int           `yaml:"subscriptions_max" doc:"subscriptions of all devices of this node together; each takes some 50 bytes, a device's first some 200. Above it overloaded"`
	SessionSubscriptionsMax int           `yaml:"session_subscriptions_max" doc:"topics and patterns that one device may have subscribed to at a time. Above it overloaded"`
	ReplaysMax              int           `yaml:"replays_max" doc:"subscribe frames that wait for their answer at one moment: with since, for what is sent again, above it overloaded; without, until other nodes know of their topics, above it they are answered before that"`
	ReplayMessagesMax       int           `yaml:"replay_messages_max" doc:"messages that one subscribe frame with since is sent again, and as many that may be held back for it meanwhile; of more the newest, and the result says complete: false"`
	ReplayBytesMax          int           `yaml:"replay_bytes_max" doc:"payloads of those messages together, bytes; with the frames around them they must fit into what a connection may have waiting"`
	InterestsMax            int           `yaml:"interests_max" doc:"topics and patterns that are noted of one other node; each takes some 150 bytes. A node that has more is sent everything that is published"`
	Window                  WindowConfig  `yaml:"window" doc:"what is kept of topics, in memory, so that since has something to send again"`
	AskTimeout              time.Duration `yaml:"ask_timeout" doc:"time another node has to say what its window holds; after it the result says complete: false. And time it has to take what this node hands over when it leaves; after it that is sent again"`
}

// WindowConfig holds the limits of what is kept of topics.
type WindowConfig struct {
	Topics     int           `yaml:"topics" doc:"topics of which anything is kept; of more those published to last"`
	Messages   int           `yaml:"messages" doc:"messages kept of one topic; of more the newest"`
	TopicBytes int           `yaml:"topic_bytes" doc:"memory for the messages of one topic, bytes; a larger message is not kept"`
	Bytes      int           `yaml:"bytes" doc:"memory for the messages of all topics, bytes; beyond it those go whose topics were published to longest ago. As much again may be handed over by nodes that leave"`
	MoveBytes  int           `yaml:"move_bytes" doc:"memory for what is on its way to the homes of now when this node leaves, bytes; a quarter of peer.control_queue_bytes leaves room for the logs"`
	Age        time.Duration `yaml:"age" doc:"time for which a message is kept; as long as a device may be away without missing anything"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{
		SubscriptionsMax: 1_000_000, SessionSubscriptionsMax: 100,
		ReplaysMax: 10_000, ReplayMessagesMax: 500, ReplayBytesMax: 256 << 10,
		InterestsMax: 100_000, AskTimeout: 2 * time.Second,
		Window: WindowConfig{Topics: 10_000, Messages: 100, TopicBytes: 256 << 10, Bytes: 64 << 20, MoveBytes: 2 << 20, Age: 5 * time.Minute},
	}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	for _, limit := range [...]struct {
		name     string
		value    int
		min, max int
	}{
		{"subscriptions_max", c.SubscriptionsMax, 1, 1 << 28},
		{"session_subscriptions_max", c.SessionSubscriptionsMax, 1, 10_000},
		{"replays_max", c.ReplaysMax, 1, 1 << 20},
		{"replay_messages_max", c.ReplayMessagesMax, 1, 100_000},
		{"replay_bytes_max", c.ReplayBytesMax, 1 << 10, 64 << 20},
		{"interests_max", c.InterestsMax, 1, 1 << 24},
		{"window.topics", c.Window.Topics, 1, 100_000},
		{"window.messages", c.Window.Messages, 1, 10_000},
		{"window.topic_bytes", c.Window.TopicBytes, 1 << 10, 1 << 30},
		{"window.bytes", c.Window.Bytes, c.Window.TopicBytes, 1 << 36},
		{"window.move_bytes", c.Window.MoveBytes, 64 << 10, 1 << 32},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("topics: %s is %d: it must be %d to %d", limit.name, limit.value, limit.min, limit.max)
		}
	}
	switch {
	case c.Window.Age < time.Second || c.Window.Age > 24*time.Hour:
		return fmt.Errorf("topics: window.age is %v: it must be 1s to 24h", c.Window.Age)
	case c.AskTimeout < 10*time.Millisecond || c.AskTimeout > time.Minute:
		return fmt.Errorf("topics: ask_timeout is %v: it must be 10ms to 1m", c.AskTimeout)
	}
	return nil
}

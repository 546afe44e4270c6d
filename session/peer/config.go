package peer

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/roostpush/roost/session/wire"
)

// Config holds the limits of the links between nodes. It is read once, by New; the
// files that the tls settings name are read at each handshake.
type Config struct {
	Listen string `yaml:"listen" doc:"address on which other nodes connect to this one, host:port. It must be reachable by them and by nobody else: without certificates whoever reaches it is believed"`

	TLSCert  string `yaml:"tls_cert" doc:"file with this node's certificate and intermediates, PEM; it must be good for servers and for clients. Empty: links are not encrypted. A renewed file is used from the next connection on"`
	TLSKey   string `yaml:"tls_key" doc:"file with the certificate's private key, PEM"`
	TLSCA    string `yaml:"tls_ca" doc:"file with the authorities that sign the nodes' certificates, PEM; a node with another certificate is refused"`
	TLSNames bool   `yaml:"tls_names" doc:"refuse a node whose id is not one of its certificate's DNS names, so that one node cannot pose as another"`

	LinksMax   int `yaml:"links_max" doc:"nodes linked at most, count; each costs two descriptors and two read buffers"`
	PendingMax int `yaml:"pending_max" doc:"connections that have not finished their hello, count; more are closed at once, so that strangers cannot hold many"`

	QueueMessages      int `yaml:"queue_messages" doc:"messages waiting for one link, count; beyond it they are overloaded"`
	QueueBytes         int `yaml:"queue_bytes" doc:"bytes of messages waiting for one link; beyond it they are overloaded. A link may hold twice that: one buffer is filled while the other is written"`
	AnswerQueueBytes   int `yaml:"answer_queue_bytes" doc:"bytes of outcomes waiting for one link; beyond it they are dropped and counted, and their senders get timeout"`
	ControlQueueFrames int `yaml:"control_queue_frames" doc:"control frames waiting for one link, count; beyond it they are refused to their sender, which tries again"`
	ControlQueueBytes  int `yaml:"control_queue_bytes" doc:"bytes of control frames waiting for one link"`
	InFlightMax        int `yaml:"in_flight_max" doc:"messages of one link whose outcome is awaited, count; beyond it they are overloaded. Each takes 48 bytes, in pages as needed"`
	QuestionsMax       int `yaml:"questions_max" doc:"questions of one link whose answer is awaited, count"`

	FrameBytesMax    int `yaml:"frame_bytes_max" doc:"size of a frame that is taken or sent, bytes; a message with a payload of 1 MiB and its names must fit"`
	BatchBytes       int `yaml:"batch_bytes" doc:"size up to which messages share a frame, bytes"`
	WriteBufferBytes int `yaml:"write_buffer_bytes" doc:"size of the buffers in which frames wait to be written, bytes; they are shared by all links and taken as needed, larger frames have one of their own. A payload of 64 KiB and its names should fit"`
	ReadBufferBytes  int `yaml:"read_buffer_bytes" doc:"read buffer of each connection, bytes; it grows to frame_bytes_max while a frame needs that. A payload of 64 KiB and its names should fit"`

	Tick             time.Duration `yaml:"tick" doc:"step in which the timeouts below, and those of messages, are looked at"`
	DialTimeout      time.Duration `yaml:"dial_timeout" doc:"time for a connection to another node to come about"`
	HelloTimeout     time.Duration `yaml:"hello_timeout" doc:"time for the hellos of both connections, TLS included"`
	PingInterval     time.Duration `yaml:"ping_interval" doc:"time without a frame to a node after which it gets a ping"`
	SilenceMax       time.Duration `yaml:"silence_max" doc:"time without a byte from a node after which its link is given up; a dead path must be noticed within 5s"`
	StallMax         time.Duration `yaml:"stall_max" doc:"time for the kernel to take one batch; a node that takes longer does not read"`
	GoodbyeTimeout   time.Duration `yaml:"goodbye_timeout" doc:"time for what is queued and the goodbye to reach the other node when a link is closed"`
	MessageTimeout   time.Duration `yaml:"message_timeout" doc:"time for outcomes of a message that says no other (PROTOCOL.md section 0: 5s)"`
	AnswerGrace      time.Duration `yaml:"answer_grace" doc:"time on top of a message's own in which the outcomes may still travel, before it is timeout here"`
	RedialMin        time.Duration `yaml:"redial_min" doc:"longest pause before the first attempt to link a node again; each is drawn at random"`
	RedialMax        time.Duration `yaml:"redial_max" doc:"longest pause between two attempts, which doubles with each that fails"`
	AcceptRetryPause time.Duration `yaml:"accept_retry_pause" doc:"pause when the process has no descriptor left for a connection of another node"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{
		Listen:             "127.0.0.1:8082",
		LinksMax:           1024,
		PendingMax:         128,
		QueueMessages:      64 << 10,
		QueueBytes:         16 << 20,
		AnswerQueueBytes:   8 << 20,
		ControlQueueFrames: 4096,
		ControlQueueBytes:  8 << 20,
		InFlightMax:        128 << 10,
		QuestionsMax:       4096,
		FrameBytesMax:      2 << 20,
		BatchBytes:         32 << 10,
		WriteBufferBytes:   96 << 10,
		ReadBufferBytes:    96 << 10,
		Tick:               100 * time.Millisecond,
		DialTimeout:        2 * time.Second,
		HelloTimeout:       3 * time.Second,
		PingInterval:       time.Second,
		SilenceMax:         4 * time.Second,
		StallMax:           5 * time.Second,
		GoodbyeTimeout:     500 * time.Millisecond,
		MessageTimeout:     5 * time.Second,
		AnswerGrace:        200 * time.Millisecond,
		RedialMin:          50 * time.Millisecond,
		RedialMax:          2 * time.Second,
		AcceptRetryPause:   50 * time.Millisecond,
	}
}

// Validate reports everything that is wrong, each with the setting's name.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("peer: "+format, args...))
		}
	}
	count := func(name string, v, low, high int) {
		check(v >= low && v <= high, "%s is %d: %d to %d are allowed", name, v, low, high)
	}
	between := func(name string, v, low, high time.Duration) {
		check(v >= low && v <= high, "%s is %v: %v to %v are allowed", name, v, low, high)
	}
	_, _, err := net.SplitHostPort(c.Listen)
	check(err == nil, "listen is %q: write host:port", c.Listen)
	all := c.TLSCert != "" && c.TLSKey != "" && c.TLSCA != ""
	none := c.TLSCert == "" && c.TLSKey == "" && c.TLSCA == ""
	check(all || none, "tls_cert, tls_key and tls_ca belong together: name all three or none")
	check(all || !c.TLSNames, "tls_names needs tls_cert, tls_key and tls_ca")
	count("links_max", c.LinksMax, 1, 1<<16)
	count("pending_max", c.PendingMax, 2, 1<<16)
	count("queue_messages", c.QueueMessages, 1, 1<<24)
	count("queue_bytes", c.QueueBytes, 1<<10, 1<<30)
	count("answer_queue_bytes", c.AnswerQueueBytes, 1<<10, 1<<30)
	count("control_queue_frames", c.ControlQueueFrames, 2, 1<<20)
	count("control_queue_bytes", c.ControlQueueBytes, 1<<10, 1<<30)
	count("in_flight_max", c.InFlightMax, 1, 1<<24)
	count("questions_max", c.QuestionsMax, 1, 1<<20)
	count("frame_bytes_max", c.FrameBytesMax, wire.HelloBytesMax, 64<<20)
	count("batch_bytes", c.BatchBytes, 64, 1<<20)
	count("write_buffer_bytes", c.WriteBufferBytes, 1<<10, 16<<20)
	count("read_buffer_bytes", c.ReadBufferBytes, wire.HelloBytesMax, 16<<20)
	check(c.QueueBytes >= c.FrameBytesMax, "queue_bytes (%d) is below frame_bytes_max (%d): a large message would never be sent", c.QueueBytes, c.FrameBytesMax)
	check(c.ControlQueueBytes >= c.FrameBytesMax, "control_queue_bytes (%d) is below frame_bytes_max (%d): a large frame would never be sent", c.ControlQueueBytes, c.FrameBytesMax)
	check(c.BatchBytes <= c.FrameBytesMax, "batch_bytes (%d) is above frame_bytes_max (%d)", c.BatchBytes, c.FrameBytesMax)
	between("tick", c.Tick, time.Millisecond, time.Second)
	between("dial_timeout", c.DialTimeout, time.Millisecond, time.Minute)
	between("hello_timeout", c.HelloTimeout, time.Millisecond, time.Minute)
	between("ping_interval", c.PingInterval, c.Tick, time.Minute)
	between("silence_max", c.SilenceMax, 3*c.Tick, 10*time.Minute)
	between("stall_max", c.StallMax, 3*c.Tick, 10*time.Minute)
	check(c.SilenceMax >= 2*c.PingInterval, "silence_max (%v) is below twice ping_interval (%v): healthy links would be given up", c.SilenceMax, c.PingInterval)
	between("goodbye_timeout", c.GoodbyeTimeout, time.Millisecond, time.Minute)
	between("message_timeout", c.MessageTimeout, time.Millisecond, time.Hour)
	between("answer_grace", c.AnswerGrace, 0, time.Minute)
	between("redial_min", c.RedialMin, time.Millisecond, time.Minute)
	between("redial_max", c.RedialMax, c.RedialMin, time.Hour)
	between("accept_retry_pause", c.AcceptRetryPause, time.Millisecond, time.Minute)
	return errors.Join(errs...)
}

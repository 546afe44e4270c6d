package jetstream

import (
	"net/url"
	"strings"
	"time"

	"github.com/roostpush/roost/session/processor"
)

// Config says from where messages come. It is a value, read once by New; files that it
// names are read when the source connects.
type Config struct {
	Enabled bool `yaml:"enabled" doc:"whether messages are consumed from NATS JetStream; the rest counts only then"`

	Connection ConnectionConfig `yaml:"connection" doc:"how the servers are reached"`

	Stream         string   `yaml:"stream" doc:"the stream that has the subjects; it must exist"`
	Durable        string   `yaml:"durable" doc:"begin of the names of the consumers, which are made where they are missing: -high, -normal and -low are appended. All nodes that share the stream have the same one"`
	HighSubjects   []string `yaml:"high_subjects" doc:"subjects whose messages have priority high; wildcards are allowed"`
	NormalSubjects []string `yaml:"normal_subjects" doc:"subjects whose messages have priority normal"`
	LowSubjects    []string `yaml:"low_subjects" doc:"subjects whose messages have priority low"`

	DeadLetterSubject string `yaml:"dead_letter_subject" doc:"subject of a stream for messages that can never succeed, as they came, with the reason in headers roost-error-code and roost-error; it must be none of those consumed. Empty: they are counted, logged and dropped"`

	InWorkMax      int `yaml:"in_work_max" doc:"messages of one priority on this node between fetch and final result, count; of all nodes with this durable together the server allows as many (MaxAckPending)"`
	InWorkBytesMax int `yaml:"in_work_bytes_max" doc:"bytes of those on this node above which nothing more of that priority is fetched; one fetch more may be in work"`
	FetchMax       int `yaml:"fetch_max" doc:"messages asked for at a time, count"`
	FetchBytesMax  int `yaml:"fetch_bytes_max" doc:"bytes asked for at a time; at least as much as the server's max_payload is asked for, or its largest message would never come"`

	FetchWait     time.Duration `yaml:"fetch_wait" doc:"how long the server may wait for messages before it answers that there are none; the end of Run waits for it"`
	AckWait       time.Duration `yaml:"ack_wait" doc:"silence about a message after which the server gives it to somebody again; a third of it is the time between two signs of life"`
	RoomTimeout   time.Duration `yaml:"room_timeout" doc:"how long messages wait here for room in their lane before they are given back for other nodes"`
	NakDelay      time.Duration `yaml:"nak_delay" doc:"time after which a message that was given back comes again"`
	LetterTimeout time.Duration `yaml:"letter_timeout" doc:"time for the dead letter subject's stream to acknowledge; after that the message comes again"`
	StartTimeout  time.Duration `yaml:"start_timeout" doc:"time for the servers to answer when the source starts; after that they may come and go"`
	StopTimeout   time.Duration `yaml:"stop_timeout" doc:"how long the end of Run waits for the results of what is in work; the rest comes again elsewhere"`
	LagInterval   time.Duration `yaml:"lag_interval" doc:"time between two questions for how many messages wait in the stream"`
	LogEvery      time.Duration `yaml:"log_every" doc:"time before the same complaint is logged again"`
}

// ConnectionConfig says how the servers are reached.
type ConnectionConfig struct {
	Servers       []string      `yaml:"servers" doc:"URLs of some of the servers, nats://host:4222 or tls://host:4222; the others are found through them"`
	Name          string        `yaml:"name" doc:"name under which servers list this client"`
	DialTimeout   time.Duration `yaml:"dial_timeout" doc:"time for a connection to a server to be made"`
	ReconnectWait time.Duration `yaml:"reconnect_wait" doc:"pause before a server is tried again; it is tried for ever"`

	User            string `yaml:"user" doc:"user, for servers with passwords"`
	Password        string `yaml:"password" secret:"true" doc:"password of user, for servers with passwords"`
	Token           string `yaml:"token" secret:"true" doc:"token, for servers with one"`
	CredentialsFile string `yaml:"credentials_file" doc:"file with JWT and seed as nsc writes them (.creds), for servers with accounts"`

	TLSCAFile   string `yaml:"tls_ca_file" doc:"certificates in PEM of who may sign the servers' ones; empty: those of the system. tls:// in servers turns TLS on"`
	TLSCertFile string `yaml:"tls_cert_file" doc:"this client's certificate in PEM, for servers that ask for one; empty: none"`
	TLSKeyFile  string `yaml:"tls_key_file" doc:"the key of tls_cert_file in PEM"`
}

// Default returns the values that a source starts from. They want servers, a stream and
// subjects.
func Default() Config {
	return Config{
		Connection: ConnectionConfig{
			Name:          "roost",
			DialTimeout:   5 * time.Second,
			ReconnectWait: time.Second,
		},
		Durable:        "roost",
		InWorkMax:      2000,
		InWorkBytesMax: 16 << 20,
		FetchMax:       256,
		FetchBytesMax:  8 << 20,
		FetchWait:      2 * time.Second,
		AckWait:        30 * time.Second,
		RoomTimeout:    5 * time.Second,
		NakDelay:       5 * time.Second,
		LetterTimeout:  5 * time.Second,
		StartTimeout:   10 * time.Second,
		StopTimeout:    10 * time.Second,
		LagInterval:    10 * time.Second,
		LogEvery:       time.Minute,
	}
}

// section stands in front of all complaints.
const section = "jetstream: "

// Limits of what is sane.
const (
	nameBytesMax  = 128
	subjectsMax   = 64
	inWorkLimit   = 1 << 20
	bytesMaxLimit = 1 << 30
)

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
	p.Check(isName(c.Stream), "stream is %.80q: 1 to %d bytes without spaces, '.', '*', '>', '/' and '\\' are allowed", c.Stream, nameBytesMax)
	p.Check(isName(c.Durable), "durable is %.80q: 1 to %d bytes without spaces, '.', '*', '>', '/' and '\\' are allowed", c.Durable, nameBytesMax)
	seen := map[string]string{}
	for _, l := range c.subjects() {
		for _, subject := range l.subjects {
			p.Check(isSubject(subject, true), "%s has %.80q, which is no subject: parts joined by '.', '*' for one part, '>' at the end for the rest", l.setting, subject)
			p.Check(seen[subject] == "", "%s has %s, which is in %s already", l.setting, subject, seen[subject])
			seen[subject] = l.setting
		}
	}
	p.Check(len(seen) > 0, "high_subjects is empty, and so are normal_subjects and low_subjects: there is nothing to consume")
	p.Check(len(seen) <= subjectsMax, "there are %d subjects: at most %d are allowed", len(seen), subjectsMax)
	if d := c.DeadLetterSubject; d != "" {
		p.Check(isSubject(d, false), "dead_letter_subject is %.80q: parts joined by '.', without wildcards", d)
		for subject, setting := range seen {
			p.Check(!covers(subject, d), "dead_letter_subject (%s) is among %s (%s): dead letters would come back for ever", d, setting, subject)
		}
	}
	p.Count("in_work_max", c.InWorkMax, 1, inWorkLimit)
	p.Count("in_work_bytes_max", c.InWorkBytesMax, 1<<10, bytesMaxLimit)
	p.Count("fetch_max", c.FetchMax, 1, inWorkLimit)
	p.Count("fetch_bytes_max", c.FetchBytesMax, 1<<10, bytesMaxLimit)
	p.Check(c.FetchMax <= c.InWorkMax, "fetch_max (%d) is above in_work_max (%d)", c.FetchMax, c.InWorkMax)
	const ms = time.Millisecond
	p.Duration("fetch_wait", c.FetchWait, 10*ms, 30*time.Second)
	p.Duration("ack_wait", c.AckWait, 100*ms, time.Hour)
	p.Duration("room_timeout", c.RoomTimeout, ms, time.Hour)
	p.Duration("nak_delay", c.NakDelay, ms, time.Hour)
	p.Duration("letter_timeout", c.LetterTimeout, 10*ms, 5*time.Minute)
	p.Duration("start_timeout", c.StartTimeout, 10*ms, 10*time.Minute)
	p.Duration("stop_timeout", c.StopTimeout, ms, time.Hour)
	p.Duration("lag_interval", c.LagInterval, 10*ms, time.Hour)
	p.Duration("log_every", c.LogEvery, 10*ms, 24*time.Hour)
	return p.Err()
}

// Check reports everything that is wrong, each with the setting's name. It is not called
// Validate, so that nobody asks the section of a source that is not enabled.
func (c ConnectionConfig) Check() error {
	p := processor.Problems{Section: section}
	p.Check(len(c.Servers) > 0, "servers is empty: the URL of one server is needed, nats://host:4222")
	for _, s := range c.Servers {
		u, err := url.Parse(s)
		ok := err == nil && u.Host != "" && (u.Scheme == "nats" || u.Scheme == "tls" || u.Scheme == "ws" || u.Scheme == "wss")
		p.Check(ok, "servers has one that is no URL: write nats://host:4222, or tls:// in front")
		p.Check(!ok || u.User == nil, "servers has one with a user in its URL: use user, password or token, which are not shown")
	}
	p.Check(c.Name != "" && len(c.Name) <= nameBytesMax, "name is %.80q: 1 to %d bytes are allowed", c.Name, nameBytesMax)
	p.Duration("dial_timeout", c.DialTimeout, 10*time.Millisecond, 5*time.Minute)
	p.Duration("reconnect_wait", c.ReconnectWait, time.Millisecond, 5*time.Minute)
	ways := 0
	for _, way := range []string{c.User, c.Token, c.CredentialsFile} {
		if way != "" {
			ways++
		}
	}
	p.Check(ways <= 1, "user, token and credentials_file: more than one is set, use one")
	p.Check(c.User != "" || c.Password == "", "password is set, user is not")
	p.Check((c.TLSCertFile == "") == (c.TLSKeyFile == ""), "tls_cert_file and tls_key_file belong together: one is set, the other is not")
	return p.Err()
}

func isName(s string) bool {
	return s != "" && len(s) <= nameBytesMax && !strings.ContainsAny(s, " \t\r\n.*>/\\")
}

func isSubject(s string, wildcards bool) bool {
	if s == "" || len(s) > 1024 || strings.ContainsAny(s, " \t\r\n") {
		return false
	}
	parts := strings.Split(s, ".")
	for i, part := range parts {
		switch {
		case part == "":
			return false
		case part == "*" || part == ">" && i == len(parts)-1:
			if !wildcards {
				return false
			}
		case strings.ContainsAny(part, "*>"):
			return false
		}
	}
	return true
}

// covers reports whether a subject, with or without wildcards, means the other one, which
// has none.
func covers(pattern, subject string) bool {
	for {
		p, patternRest, patternMore := strings.Cut(pattern, ".")
		s, subjectRest, subjectMore := strings.Cut(subject, ".")
		switch {
		case p == ">":
			return true
		case p != "*" && p != s, patternMore != subjectMore:
			return false
		case !patternMore:
			return true
		}
		pattern, subject = patternRest, subjectRest
	}
}

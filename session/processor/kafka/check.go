package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Check asks the brokers for everything that the source needs, within
// Config.StartTimeout, and says what is wrong and what would be right: nobody answers,
// this client is refused, a topic does not exist, the group may not be used. Run calls it
// first.
func (s *Source) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.WithLogger(clientLog{s.log})}, s.opts...)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	settings := map[string]string{}
	for setting, topics := range map[string][]string{
		"high_topics": s.cfg.HighTopics, "normal_topics": s.cfg.NormalTopics, "low_topics": s.cfg.LowTopics,
		"dead_letter_topic": {s.cfg.DeadLetterTopic}, "results_topic": {s.cfg.ResultsTopic},
	} {
		for _, topic := range topics {
			if topic != "" {
				settings[topic] = setting
			}
		}
	}
	if err := checkTopics(ctx, client, s.cfg.Connection, &s.dialer, settings); err != nil {
		return err
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorKeys = s.cfg.Group, []string{s.cfg.Group}
	answer, err := find.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
		for _, c := range answer.Coordinators {
			err = errors.Join(err, kerr.ErrorForCode(c.ErrorCode))
		}
	}
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return fmt.Errorf("kafka: %s may not use the consumer group %q: allow it READ on that group, or set another group", s.cfg.Connection.who(), s.cfg.Group)
	case err != nil:
		return s.cfg.Connection.unreached(err, &s.dialer)
	}
	return nil
}

// checkTopics holds that each topic exists and may be used; topics names the setting of each.
func checkTopics(ctx context.Context, client *kgo.Client, c ConnectionConfig, d *dialer, topics map[string]string) error {
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	for topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		request.Topics = append(request.Topics, t)
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return c.unreached(err, d)
	}
	var errs []error
	for _, t := range answer.Topics {
		if t.Topic == nil {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil:
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			errs = append(errs, fmt.Errorf("kafka: topic %q (%s) does not exist: create it, kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 12", *t.Topic, topics[*t.Topic], c.Brokers[0], *t.Topic))
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			errs = append(errs, fmt.Errorf("kafka: %s may not use topic %q (%s): allow it READ where it consumes, WRITE where it reports, and DESCRIBE", c.who(), *t.Topic, topics[*t.Topic]))
		case kerr.IsRetriable(err): // a leader is being elected; the client waits for it
		default:
			errs = append(errs, fmt.Errorf("kafka: topic %q (%s): %w", *t.Topic, topics[*t.Topic], err))
		}
	}
	return errors.Join(errs...)
}

// who names this client to somebody who gives permissions.
func (c ConnectionConfig) who() string {
	if c.SASL == SASLNone {
		return "this client, which has no user (sasl is none),"
	}
	return fmt.Sprintf("user %q", c.User)
}

// unreached says why no broker gave an answer, and what to do.
func (c ConnectionConfig) unreached(err error, d *dialer) error {
	brokers := strings.Join(c.Brokers, ", ")
	var first *kgo.ErrFirstReadEOF
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return fmt.Errorf("kafka: a broker of %s refuses user %q by sasl %s: check user, password and that the broker's listener has this mechanism: %w", brokers, c.User, c.SASL, err)
	case errors.As(err, &first), errors.Is(err, io.EOF):
		return fmt.Errorf("kafka: a broker of %s ends the connection at the first word: it wants tls or sasl where there is none (tls is %t, sasl is %s), or the port is not Kafka's: %w", brokers, c.TLS, c.SASL, err)
	}
	_, last := d.failed()
	switch {
	case last != nil:
		err = last
	case c.SASL != SASLNone:
		return fmt.Errorf("kafka: the brokers of %s take connections and give no answer: some end the connection when user %q or the password is wrong, or when they lack the mechanism %s: %w", brokers, c.User, c.SASL, err)
	}
	return fmt.Errorf("kafka: no broker of %s answers: check brokers, and that they run: %w", brokers, err)
}

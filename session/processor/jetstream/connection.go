package jetstream

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// connect makes a connection that comes back by itself for ever once it was there.
func (s *Source) connect() (*nats.Conn, error) {
	c := s.cfg.Connection
	opts := []nats.Option{
		nats.Name(c.Name),
		nats.Timeout(c.DialTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(c.ReconnectWait),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				s.count.disconnects.Add(1)
				s.log.Complain("disconnect", "jetstream: the connection is lost; it is made again", "err", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.count.clientErrors.Add(1)
			s.log.Complain("client", "jetstream: the client reports an error", "err", err)
		}),
	}
	switch {
	case c.User != "":
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	case c.Token != "":
		opts = append(opts, nats.Token(c.Token))
	case c.CredentialsFile != "":
		opts = append(opts, nats.UserCredentials(c.CredentialsFile))
	}
	if c.TLSCAFile != "" {
		opts = append(opts, nats.RootCAs(c.TLSCAFile))
	}
	if c.TLSCertFile != "" {
		opts = append(opts, nats.ClientCert(c.TLSCertFile, c.TLSKeyFile))
	}
	conn, err := nats.Connect(strings.Join(c.Servers, ","), opts...)
	servers := strings.Join(c.Servers, ", ")
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return nil, fmt.Errorf("jetstream: a server of %s refuses this client: check user and password, token or credentials_file: %w", servers, err)
	case errors.Is(err, nats.ErrSecureConnRequired):
		return nil, fmt.Errorf("jetstream: a server of %s wants TLS: write tls:// in servers: %w", servers, err)
	case err != nil:
		return nil, fmt.Errorf("jetstream: no server of %s answers: check servers, and that they run: %w", servers, err)
	}
	return conn, nil
}

// missing says what a server lacks, and what to do.
func (s *Source) missing(err error) error {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("jetstream: the servers of %s have no JetStream for this client: turn it on (jetstream {} in nats-server's configuration): %w", strings.Join(s.cfg.Connection.Servers, ", "), err)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("jetstream: stream %q does not exist: create it, nats stream add %s --subjects ...: %w", s.cfg.Stream, s.cfg.Stream, err)
	}
	return fmt.Errorf("jetstream: stream %q: %w", s.cfg.Stream, err)
}

// consumer returns the settings of the durable consumer of a lane.
func (s *Source) consumer(l *lane) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        s.cfg.Durable + "-" + l.priority.String(),
		Description:    "roost: " + strings.Join(l.subjects, " "),
		FilterSubjects: l.subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        s.cfg.AckWait,
		MaxAckPending:  s.cfg.InWorkMax,
		MaxDeliver:     -1, // what can never succeed is known by its result, not by its number of tries
		MaxWaiting:     maxWaiting,
	}
}

// maxWaiting is how many nodes may ask the server for messages of one durable at a time.
const maxWaiting = 512

// errorPause is how long a lane waits after an error before it fetches again.
const errorPause = 250 * time.Millisecond

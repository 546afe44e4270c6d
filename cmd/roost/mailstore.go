package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostpush/roost/cmd/roost/internal/cluster"
	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/mailbox/redis"
	"github.com/roostpush/roost/store"
)

// openStores opens what the node keeps things in: Redis first if messages are kept there,
// because it knows the node's last epoch when the disk is new, and an epoch twice would be
// ids twice.
func (n *node) openStores(ctx context.Context) (err error) {
	cfg := n.cfg.Store
	if n.cfg.Cluster.Enabled {
		known, err := cluster.Epoch(ctx, n.cfg.Gossip, n.origin.Node, n.log)
		if err != nil {
			return err
		}
		cfg.EpochMin = known + 1
	}
	if n.cfg.MailboxStore == config.MailboxStoreRedis {
		if n.redis, err = redis.Open(n.cfg.Redis, n.origin.Node); err != nil {
			return err
		}
		last, err := n.redis.LastEpoch()
		if err != nil {
			return errors.Join(err, n.redis.Close())
		}
		cfg.EpochMin = max(cfg.EpochMin, last+1)
	}
	if n.store, err = store.Open(cfg, n.origin.Node, n.log, n.now); err != nil {
		if n.redis != nil {
			err = errors.Join(err, n.redis.Close())
		}
		return err
	}
	n.origin.Epoch = n.store.Epoch()
	if n.redis != nil {
		n.lookForLeftMail()
		if err := n.redis.Begin(n.origin.Epoch); err != nil {
			return errors.Join(err, n.closeStores())
		}
	}
	return nil
}

// lookForLeftMail warns of messages on the disk of a node that keeps them in Redis now.
func (n *node) lookForLeftMail() {
	left := false
	err := n.store.Mailboxes(func(session.Address, session.ID, int64, string) bool { left = true; return false })
	if left || err != nil {
		n.log.Warn("messages on this node's disk wait for their devices, and mailbox_store is redis: they go out when it is disk again", "error", err)
	}
}

// closeStores writes what has still to be written and closes the stores.
func (n *node) closeStores() error {
	var err error
	if n.redis != nil {
		err = n.redis.Close()
	}
	return errors.Join(err, n.store.Close())
}

// mailHealth says why no message can be kept now; nil: it can.
func (n *node) mailHealth() error {
	if n.redis == nil {
		return n.store.MailHealth()
	}
	if why := n.redis.Health(); why != "" {
		return fmt.Errorf("redis: %s", why)
	}
	return nil
}

// mailStore returns what messages are kept in.
func (n *node) mailStore() mailbox.Store {
	if n.redis != nil {
		return n.redis
	}
	return mailStore{n.store}
}

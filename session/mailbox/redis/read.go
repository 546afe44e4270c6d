package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	client "github.com/redis/go-redis/v9"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
)

const (
	mailPage  = 32   // messages read at one time: payloads may be large
	scanPage  = 1000 // members without payloads
	lexNone   = "-"
	lexNoMore = "+"
)

// Mail reads a device's messages: see mailbox.Store.
func (s *Store) Mail(dst []session.Kept, a session.Address, after session.ID, n, bytesMax int) ([]session.Kept, error) {
	a = session.Address{Account: strings.Clone(a.Account), Device: strings.Clone(a.Device)}
	from := lexNone
	if after != (session.ID{}) {
		// Behind all members of that id: they have a 0 where this has a 1. An id without a node
		// is before all that have one.
		bound := appendPlace(nil, after)
		if after.Node != "" {
			bound = append(append(bound, after.Node...), 1)
		}
		from = "(" + string(bound)
	}
	first := true
	for n > 0 {
		members, err := s.members(s.deviceKey("order", a), from, min(n, mailPage))
		if err != nil || len(members) == 0 {
			return dst, err
		}
		from = "(" + members[len(members)-1]
		values, err := s.messages(s.deviceKey("mail", a), members)
		if err != nil {
			return dst, err
		}
		for i, value := range values {
			k := session.Kept{Address: a}
			text, ok := value.(string)
			if !ok {
				continue // settled between the two reads
			}
			if parseMember(members[i], &k) != nil || parseMessage([]byte(text), &k) != nil {
				s.count.garbage.Add(1)
				continue
			}
			if bytesMax -= len(k.Payload); bytesMax < 0 && !first {
				return dst, nil
			}
			first = false
			dst = append(dst, k)
			n--
		}
	}
	return dst, nil
}

// members reads at most n members of a sorted set.
func (s *Store) members(key, from string, n int) ([]string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	members, err := s.redis.ZRangeArgs(ctx, client.ZRangeArgs{Key: key, Start: from, Stop: lexNoMore, ByLex: true, Count: int64(n)}).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: read %s: %w", key, err)
	}
	return members, nil
}

func (s *Store) messages(key string, members []string) ([]any, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	values, err := s.redis.HMGet(ctx, key, members...).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: read %s: %w", key, err)
	}
	return values, nil
}

// Mailboxes goes through all that waits: see mailbox.Store. A device that gets its first
// message, or loses its last, meanwhile may come twice or not at all.
func (s *Store) Mailboxes(emit func(a session.Address, id session.ID, expiresMS int64, collapse string) bool) error {
	cursor := uint64(0)
	for {
		devices, next, err := s.scan(cursor)
		if err != nil {
			return err
		}
		for _, device := range devices {
			a, err := session.ParseAddress(device)
			if err != nil {
				s.count.garbage.Add(1)
				continue
			}
			if more, err := s.mailboxOf(a, emit); err != nil || !more {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (s *Store) scan(cursor uint64) (devices []string, next uint64, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	devices, next, err = s.redis.SScan(ctx, s.prefix+"devices", cursor, "", scanPage).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("redis: read %sdevices: %w", s.prefix, err)
	}
	return devices, next, nil
}

// mailboxOf emits what waits for one device; more is false when emit wants no more.
func (s *Store) mailboxOf(a session.Address, emit func(a session.Address, id session.ID, expiresMS int64, collapse string) bool) (more bool, err error) {
	from := lexNone
	for {
		members, err := s.members(s.deviceKey("order", a), from, scanPage)
		if err != nil {
			return false, err
		}
		for _, member := range members {
			var k session.Kept
			if parseMember(member, &k) != nil {
				s.count.garbage.Add(1)
				continue
			}
			if !emit(a, k.ID, k.ExpiresMS, k.Collapse) {
				return false, nil
			}
		}
		if len(members) < scanPage {
			return true, nil
		}
		from = "(" + members[len(members)-1]
	}
}

// Fates returns what is noted of a message: see mailbox.Store. The devices are in the order
// of their names.
func (s *Store) Fates(id session.ID) (account string, list []mailbox.Fate, found bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	key := s.fateKey(id)
	fields, err := s.redis.HGetAll(ctx, key).Result()
	if err != nil {
		return "", nil, false, fmt.Errorf("redis: read %s: %w", key, err)
	}
	for name, text := range fields {
		device, ok := strings.CutPrefix(name, "device ")
		if !ok {
			continue
		}
		word, at, _ := strings.Cut(text, " ")
		o, ok := session.ParseOutcome(word)
		atMS, err := strconv.ParseInt(at, 10, 64)
		if !ok || err != nil {
			s.count.garbage.Add(1)
			continue
		}
		list = append(list, mailbox.Fate{Device: device, Outcome: o, AtMS: atMS})
	}
	slices.SortFunc(list, func(a, b mailbox.Fate) int { return strings.Compare(a.Device, b.Device) })
	return fields["account"], list, len(list) > 0, nil
}

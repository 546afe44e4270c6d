package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/roostpush/roost/session"
)

// Post keeps messages: see mailbox.Store. It copies the list.
func (s *Store) Post(list []session.Kept, done func(error)) {
	e := entry{list: slices.Clone(list), done: done}
	if len(list) > 0 && list[0].Key.GoneMS > 0 {
		e.keys = []session.FiledKey{{Key: list[0].Key, ID: list[0].ID, Devices: len(list)}}
		e.keys[0].Node = strings.Clone(e.keys[0].Node)
	}
	for i := range e.list {
		k := &e.list[i]
		k.Payload = slices.Clone(k.Payload)
		k.Address = session.Address{Account: strings.Clone(k.Account), Device: strings.Clone(k.Device)}
		k.From, k.Collapse, k.Trace, k.Node = strings.Clone(k.From), strings.Clone(k.Collapse), strings.Clone(k.Trace), strings.Clone(k.Node)
		e.bytes += len(k.Payload)
	}
	s.promise(e)
}

// promise puts what somebody waits for into the queue, or refuses it.
func (s *Store) promise(e entry) {
	s.mu.Lock()
	var err error
	switch {
	case s.closing:
		err = ErrClosed
	case s.queued >= s.cfg.QueueMax:
		err = fmt.Errorf("%w: queue_max: %d wait for the server already%s", ErrFull, s.queued, s.becauseLocked())
	case s.bytes+e.bytes > s.cfg.QueueBytesMax:
		err = fmt.Errorf("%w: queue_bytes_max: payloads of %d bytes wait for the server already%s", ErrFull, s.bytes, s.becauseLocked())
	default:
		s.waiting = append(s.waiting, e)
		s.queued += e.weight()
		s.bytes += e.bytes
	}
	s.mu.Unlock()
	if err != nil {
		s.count.refused.Add(1)
		e.done(err)
		return
	}
	s.wake()
}

func (s *Store) becauseLocked() string {
	if s.failed == "" {
		return ""
	}
	return " (" + s.failed + ")"
}

// Settle notes an outcome: see mailbox.Store.
func (s *Store) Settle(a session.Address, id session.ID, o session.Outcome, atMS int64) {
	s.put(entry{address: a, id: id, outcome: o, atMS: atMS})
}

// Note notes an outcome without a message: see mailbox.Store.
func (s *Store) Note(a session.Address, id session.ID, o session.Outcome, atMS int64) {
	s.put(entry{address: a, id: id, outcome: o, atMS: atMS, noted: true})
}

// put has an outcome noted; its strings are borrowed.
func (s *Store) put(e entry) {
	e.address = session.Address{Account: strings.Clone(e.address.Account), Device: strings.Clone(e.address.Device)}
	e.id.Node = strings.Clone(e.id.Node)
	s.mu.Lock()
	closing := s.closing
	if !closing {
		s.waiting = append(s.waiting, e)
		s.queued++
	}
	s.mu.Unlock()
	if closing {
		s.count.dropped.Add(1)
		return
	}
	s.wake()
}

// write sends what waits, one transaction after another, until the store is closed.
func (s *Store) write() {
	defer close(s.ended)
	for {
		group := s.next()
		if group == nil {
			return
		}
		err := s.send(group)
		for _, e := range group {
			switch {
			case !e.forget.IsZero(): // it goes by itself, later
			case e.done == nil && err == nil:
				s.count.settled.Add(1)
			case e.done == nil && s.ctx.Err() != nil:
				s.count.dropped.Add(1)
			case e.done != nil && err == nil:
				s.count.posted.Add(uint64(len(e.list)))
				e.done(nil)
			case e.done != nil:
				s.count.refused.Add(1)
				e.done(err)
			}
		}
		if err != nil && s.ctx.Err() == nil { // the server has no memory: outcomes give it some
			s.putBack(slices.DeleteFunc(group, func(e entry) bool { return e.done != nil }))
		}
	}
}

// next takes what is to be sent together, and waits for it. It returns nil when the store
// is closed and nothing is left.
func (s *Store) next() []entry {
	for {
		s.mu.Lock()
		n, weight := 0, 0
		for ; n < len(s.waiting); n++ {
			if weight += s.waiting[n].weight(); n > 0 && weight > s.cfg.GroupMax {
				break // one that is larger goes alone
			}
			s.queued -= s.waiting[n].weight()
			s.bytes -= s.waiting[n].bytes
		}
		group := slices.Clone(s.waiting[:n])
		clear(s.waiting[:n])
		s.waiting = s.waiting[n:] // not moved to the front: whoever adds to it holds locks
		closing := s.closing
		s.mu.Unlock()
		switch {
		case n > 0:
			return group
		case closing:
			return nil
		}
		<-s.more
	}
}

// putBack has outcomes sent first.
func (s *Store) putBack(group []entry) {
	s.mu.Lock()
	s.waiting = slices.Insert(s.waiting, 0, group...)
	s.queued += len(group)
	s.mu.Unlock()
}

// send makes the group one transaction and sends it until the server has taken it. An error
// is that the server has no memory for it, or that the store is closed.
func (s *Store) send(group []entry) error {
	s.count.groups.Add(1)
	for {
		err := s.try(group)
		if err == nil {
			s.fails("")
			return nil
		}
		if s.ctx.Err() != nil {
			return ErrClosed
		}
		s.fails(err.Error())
		if outOfMemory(err) && slices.ContainsFunc(group, func(e entry) bool { return e.done != nil }) {
			return fmt.Errorf("%w: the server's maxmemory is reached", ErrFull)
		}
		s.count.repeated.Add(1)
		select {
		case <-s.ctx.Done():
		case <-time.After(s.cfg.RetryInterval):
		}
	}
}

// outOfMemory reports whether the server has refused a write because of its maxmemory.
func outOfMemory(err error) bool { return strings.Contains(err.Error(), "OOM ") }

func (s *Store) fails(why string) {
	s.mu.Lock()
	s.failed = why
	s.mu.Unlock()
}

// errReplicas says that too few replicas have what the server has.
var errReplicas = errors.New("redis: too few replicas have answered")

// try sends the group once.
func (s *Store) try(group []entry) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	commands, err := s.redis.TxPipelined(ctx, func(p client.Pipeliner) error {
		for i := range group {
			switch e := &group[i]; {
			case e.done != nil:
				s.post(ctx, p, e)
			case !e.forget.IsZero():
				s.forget(ctx, p, &e.forget)
			case e.noted:
				p.Eval(ctx, noteScript, []string{s.fateKey(e.id)}, "device "+e.address.Device, fateText(e.outcome, e.atMS))
			default:
				s.settle(ctx, p, e)
			}
		}
		return nil
	})
	for _, c := range commands {
		if e := c.Err(); e != nil && outOfMemory(e) {
			return e // rather than that the transaction was given up because of it
		}
	}
	if err != nil || s.cfg.ReplicasMin == 0 {
		return err
	}
	// WAIT counts the replicas that have everything up to the last write of its own
	// connection, and the transaction may have gone over another one. So it gets a write.
	p := s.redis.Pipeline()
	p.Set(ctx, s.prefix+"written", s.count.groups.Load(), 0)
	wait := p.Do(ctx, "wait", s.cfg.ReplicasMin, s.cfg.ReplicasTimeout.Milliseconds())
	if _, err := p.Exec(ctx); err != nil {
		return err
	}
	if n, err := wait.Int(); err != nil || n < s.cfg.ReplicasMin {
		return fmt.Errorf("%w: %d of %d", errReplicas, n, s.cfg.ReplicasMin)
	}
	return nil
}

// post adds a promise to the transaction. Done twice, it is as if done once.
func (s *Store) post(ctx context.Context, p client.Pipeliner, e *entry) {
	for i := range e.keys {
		s.fileKey(ctx, p, &e.keys[i])
	}
	for i := range e.list {
		k := &e.list[i]
		member := appendMember(nil, k)
		p.ZAdd(ctx, s.deviceKey("order", k.Address), client.Z{Member: member})
		p.HSet(ctx, s.deviceKey("mail", k.Address), member, appendMessage(nil, k))
		p.SAdd(ctx, s.prefix+"devices", k.Address.String())
		p.HSet(ctx, s.fateKey(k.ID), "account", k.Account, "left", len(e.list), "device "+k.Device, fateText(session.Queued, k.SentMS))
	}
}

// settleScript takes a message out and notes its outcome. The last one of a message lets
// the outcomes go after a while. Done twice, it is as if done once.
//
// KEYS: order, mail, devices, fate. ARGV: the least of the members and what they are less
// than, the address, the device's field, the outcome, retention in milliseconds.
const settleScript = `
local members = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2])
for _, member in ipairs(members) do
	redis.call('ZREM', KEYS[1], member)
	redis.call('HDEL', KEYS[2], member)
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[3], ARGV[3]) end
local before = redis.call('HGET', KEYS[4], ARGV[4])
if before and string.sub(before, 1, 7) == 'queued ' then
	redis.call('HSET', KEYS[4], ARGV[4], ARGV[5])
	if redis.call('HINCRBY', KEYS[4], 'left', -1) <= 0 then redis.call('PEXPIRE', KEYS[4], ARGV[6]) end
end
return 0`

// settle adds an outcome to the transaction.
func (s *Store) settle(ctx context.Context, p client.Pipeliner, e *entry) {
	member := appendID(nil, e.id)
	upTo := slices.Clone(member)
	upTo[len(upTo)-1] = 1
	p.Eval(ctx, settleScript,
		[]string{s.deviceKey("order", e.address), s.deviceKey("mail", e.address), s.prefix + "devices", s.fateKey(e.id)},
		"["+string(member), "("+string(upTo), e.address.String(), "device "+e.address.Device,
		fateText(e.outcome, e.atMS), s.cfg.Retention.Milliseconds())
}

// noteScript notes the outcome of a device that a message is not kept for, if anything is
// known of the message still: what else would let it go again?
//
// KEYS: fate. ARGV: the device's field, the outcome.
const noteScript = `
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) end
return 0`

// fateText is an outcome as it is kept.
func fateText(o session.Outcome, atMS int64) string {
	return o.String() + " " + strconv.FormatInt(atMS, 10)
}

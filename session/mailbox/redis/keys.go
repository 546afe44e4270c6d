package redis

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/roostpush/roost/session"
)

// Idempotency keys are in the transaction of the messages that came with them: both are there or
// neither. A key is, behind a byte that says which layout it has:
//
//	sum 8, hash of the account 8 (both big endian), when it goes (varint, Unix milliseconds),
//	devices (uvarint), and the id of the message as a device's sorted set has it, without the 0
//
// It is set whatever was there: the mailbox has looked, and a key that it has forgotten before its time
// must not stand in the way of the next one.
const keyLayout = 1

// FileKeys keeps keys of messages that other nodes keep, or did: see mailbox.KeyStore. It copies the list.
func (s *Store) FileKeys(list []session.FiledKey, done func(error)) {
	e := entry{keys: slices.Clone(list), done: done}
	for i := range e.keys {
		k := &e.keys[i]
		if err := session.CheckNode(k.Node); err != nil {
			done(fmt.Errorf("redis: an idempotency key of message %s is not kept: %w", k.ID.Text(), err))
			return
		}
		k.Node = strings.Clone(k.Node)
	}
	s.promise(e)
}

// ForgetKey removes a key before its time: see mailbox.KeyStore.
func (s *Store) ForgetKey(k session.Key) { s.put(entry{forget: k}) }

func (s *Store) keyKey(hash [16]byte) string { return s.prefix + "key:" + string(hash[:]) }

// fileKey adds a key to a transaction. Done twice, it is as if done once. Those whose time is over
// leave the sorted set on this occasion; their strings have gone by themselves.
func (s *Store) fileKey(ctx context.Context, p client.Pipeliner, k *session.FiledKey) {
	p.Eval(ctx, fileScript, []string{s.keyKey(k.Hash), s.prefix + "keys"},
		string(appendKey(nil, k)), k.GoneMS, string(k.Hash[:]), time.Now().UnixMilli())
}

// fileScript sets a key. Its time is absolute, so that to send it again does not prolong it.
//
// KEYS: key, keys. ARGV: the value, when it goes, the hash, and the time now, Unix milliseconds.
const fileScript = `
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[4])
return 0`

// forget adds the end of a key to a transaction.
func (s *Store) forget(ctx context.Context, p client.Pipeliner, k *session.Key) {
	p.Eval(ctx, forgetScript, []string{s.keyKey(k.Hash), s.prefix + "keys"}, k.GoneMS, string(k.Hash[:]))
}

// forgetScript removes a key, unless another one has taken its place since.
//
// KEYS: key, keys. ARGV: when it goes, the hash.
const forgetScript = `
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2])) == tonumber(ARGV[1]) then
	redis.call('DEL', KEYS[1])
	redis.call('ZREM', KEYS[2], ARGV[2])
end
return 0`

// Keys emits what is kept, those that go first before the others: see mailbox.KeyStore. It blocks.
func (s *Store) Keys(nowMS int64, emit func(k session.Key, id session.ID, devices int) bool) error {
	for offset := int64(0); ; offset += scanPage {
		hashes, values, err := s.keyPage(nowMS, offset)
		if err != nil {
			return err
		}
		for i, value := range values {
			text, ok := value.(string)
			if !ok {
				continue // its time was over between the two reads, by the server's clock
			}
			var k session.FiledKey
			if len(hashes[i]) != len(k.Hash) || !parseKey([]byte(text), &k) {
				s.count.garbage.Add(1)
				continue
			}
			copy(k.Hash[:], hashes[i])
			if !emit(k.Key, k.ID, k.Devices) {
				return nil
			}
		}
		if len(hashes) < scanPage {
			return nil
		}
	}
}

// keyPage reads some keys that go after nowMS.
func (s *Store) keyPage(nowMS, offset int64) (hashes []string, values []any, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	hashes, err = s.redis.ZRangeArgs(ctx, client.ZRangeArgs{
		Key: s.prefix + "keys", ByScore: true, Start: "(" + strconv.FormatInt(nowMS, 10), Stop: "+inf", Offset: offset, Count: scanPage,
	}).Result()
	if err == nil && len(hashes) > 0 {
		var names []string
		for _, hash := range hashes {
			names = append(names, s.prefix+"key:"+hash)
		}
		values, err = s.redis.MGet(ctx, names...).Result()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("redis: read %skeys: %w", s.prefix, err)
	}
	return hashes, values, nil
}

func appendKey(dst []byte, k *session.FiledKey) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, keyLayout), k.Sum)
	dst = binary.BigEndian.AppendUint64(dst, k.Account)
	dst = binary.AppendUvarint(binary.AppendVarint(dst, k.GoneMS), uint64(max(k.Devices, 0)))
	return append(appendPlace(dst, k.ID), k.Node...)
}

// parseKey reads what appendKey has appended into k, but for the hash.
func parseKey(b []byte, k *session.FiledKey) (ok bool) {
	if len(b) < 1+8+8 || b[0] != keyLayout {
		return false
	}
	k.Sum, k.Account = binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
	goneMS, n := binary.Varint(b[17:])
	if n <= 0 {
		return false
	}
	b = b[17+n:]
	devices, n := binary.Uvarint(b)
	if n <= 0 || devices > 1<<31-1 || len(b) < n+16 {
		return false
	}
	b = b[n:]
	k.GoneMS, k.Devices = goneMS, int(devices)
	k.Epoch, k.Number, k.Node = binary.BigEndian.Uint64(b), session.MessageID(binary.BigEndian.Uint64(b[8:])), string(b[16:])
	return session.CheckNode(k.Node) == nil
}

package store

import (
	"encoding/binary"

	"github.com/roostpush/roost/session"
)

// The keys, by their first byte; i, j, k, m, n, o and w in the database of messages, the
// others in that of records. Names hold no control character (PROTOCOL.md
// section 0), so a zero byte ends an account.
//
//	e                                    uvarint: the newest epoch; in both
//	g <node> 0 <epoch, 8 bytes>          heartbeat of another node: see epoch.go
//	h <epoch, 8 bytes>                   heartbeat of this one
//	i <second, 4 bytes> <hash, 16 bytes>   an idempotency key, until that second: see idempotency.go
//	j <epoch, 8 bytes> <group, 8 bytes>  messages that are young, of one group: see mailyoung.go
//	k <epoch, 8 bytes> <group, 8 bytes>  which young messages ended, noted in that group
//	m <account> 0 <device> 0 <id>        a message that waits: see mailvalue.go
//	n                                    uvarint: how many messages wait
//	o <second, 4 bytes> <id / 64> 0 <epoch, 8 bytes> <group, 8 bytes>   outcomes, until that second: see outcomes.go
//	r <account> 0 <device>               facts: see record.go; joined by Pebble
//	s                                    uvarint: minute below which the index is swept
//	w <id> 0 <account> 0 <device>        varint: that message waits since, Unix milliseconds
//	x <minute, 4 bytes> <account> 0 <device>   empty: look at the record after that minute
//
// An id is its epoch, 8 bytes, its number, 8 bytes, and its node.
const (
	keyEpoch       = 'e'
	keyForeign     = 'g'
	keyHeartbeat   = 'h'
	keyIdempotency = 'i'
	keyYoung       = 'j'
	keyYoungEnds   = 'k'
	keyMail        = 'm'
	keyMailCount   = 'n'
	keyOutcome     = 'o'
	keyRecord      = 'r'
	keySwept       = 's'
	keyWaiting     = 'w'
	keyExpiry      = 'x'
)

const expiryPrefixBytes = 1 + 4

func appendRecordKey(dst []byte, account, device string) []byte {
	dst = append(dst, keyRecord)
	dst = append(dst, account...)
	dst = append(dst, 0)
	return append(dst, device...)
}

// parseRecordKey reads the address out of a record's key.
func parseRecordKey(key []byte) (a session.Address, ok bool) {
	if len(key) == 0 || key[0] != keyRecord {
		return a, false
	}
	for i := 1; i < len(key); i++ {
		if key[i] == 0 {
			return session.Address{Account: string(key[1:i]), Device: string(key[i+1:])}, true
		}
	}
	return a, false
}

func appendHeartbeatKey(dst []byte, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, keyHeartbeat), epoch)
}

func appendForeignKey(dst []byte, o session.Origin) []byte {
	dst = append(append(dst, keyForeign), o.Node...)
	return binary.BigEndian.AppendUint64(append(dst, 0), o.Epoch)
}

// parseForeignKey reads the process out of the key of its heartbeat.
func parseForeignKey(key []byte) (o session.Origin, ok bool) {
	end := len(key) - 9
	if end < 1 || key[0] != keyForeign || key[end] != 0 {
		return o, false
	}
	return session.Origin{Node: string(key[1:end]), Epoch: binary.BigEndian.Uint64(key[end+1:])}, true
}

// appendExpiryKey files the record whose key is recordKey under a minute. A nil
// recordKey gives the bound that lies before all entries of the minute.
func appendExpiryKey(dst []byte, minute uint32, recordKey []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, keyExpiry), minute)
	if len(recordKey) > 0 {
		dst = append(dst, recordKey[1:]...)
	}
	return dst
}

package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// memory is where the client decodes batches to: records, and what they have been
// decompressed to, lie in slices that come back when each record of their batch was given
// back (flight.recycle), and are garbage when one is not. A node that takes as many
// records as it can would otherwise collect several hundred bytes for each. Any goroutine
// may call its methods; it is kgo's PoolRecords and PoolDecompressBytes.
type memory struct {
	records, bytes sync.Pool // of *[]kgo.Record and *[]byte
}

// A slice that is much too large for its batch is not used for it: the few records would
// keep all of it, and the client clears all of what it gives back.
const (
	recordsSpare    = 64 // more than what is needed, and four times that
	bytesSpare      = 4 << 10
	bytesCompressed = 64 // bytes that one compressed byte stands for, at most
)

// GetRecords returns room for n records, or less: the client makes it longer.
func (m *memory) GetRecords(n int) []kgo.Record {
	if p, ok := m.records.Get().(*[]kgo.Record); ok {
		if cap(*p) <= 4*n+recordsSpare {
			return *p
		}
		m.records.Put(p)
	}
	return nil
}

// PutRecords takes it back.
func (m *memory) PutRecords(s []kgo.Record) { m.records.Put(&s) }

// GetDecompressBytes returns room for what a batch is decompressed to. How much that is the
// decoder knows: it makes more, and that comes back.
func (m *memory) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	if p, ok := m.bytes.Get().(*[]byte); ok {
		if cap(*p) <= bytesCompressed*len(compressed)+bytesSpare {
			return *p
		}
		m.bytes.Put(p)
	}
	return nil
}

// PutDecompressBytes takes it back.
func (m *memory) PutDecompressBytes(s []byte) { m.bytes.Put(&s) }

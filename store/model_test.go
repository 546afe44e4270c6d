package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// model is what a store must show, written the obvious way: all facts of all
// sessions in maps, nothing merged, nothing indexed.
type model struct {
	epoch     uint64
	heartbeat map[uint64]int64
	devices   map[session.Address]map[[2]uint64]*modelSession
}

type modelSession struct {
	openedMS, closedMS int64
	opened, closed     bool
	userAgent          string
	code               uint16
}

func (m *model) session(a session.Address, number uint64, openedMS int64) *modelSession {
	if m.devices[a] == nil {
		m.devices[a] = map[[2]uint64]*modelSession{}
	}
	id := [2]uint64{m.epoch, number}
	if m.devices[a][id] == nil {
		m.devices[a][id] = &modelSession{openedMS: openedMS}
	}
	return m.devices[a][id]
}

// clone is a deep copy: what is on disk.
func (m *model) clone() *model {
	c := &model{epoch: m.epoch, heartbeat: map[uint64]int64{}, devices: map[session.Address]map[[2]uint64]*modelSession{}}
	for e, ms := range m.heartbeat {
		c.heartbeat[e] = ms
	}
	for a, all := range m.devices {
		c.devices[a] = map[[2]uint64]*modelSession{}
		for id, s := range all {
			copied := *s
			c.devices[a][id] = &copied
		}
	}
	return c
}

// record is what the store must answer at a time, and whether it must answer.
func (m *model) record(a session.Address, now time.Time, retention time.Duration) (text string, ok bool) {
	var newest [2]uint64
	var s *modelSession
	for id, other := range m.devices[a] {
		if s == nil || id[0] > newest[0] || id[0] == newest[0] && id[1] > newest[1] {
			newest, s = id, other
		}
	}
	if s == nil {
		return "", false
	}
	rec := session.Record{Address: a, Node: "n1", Session: session.Origin{Node: "n1", Epoch: newest[0]}.Text(newest[1]),
		OpenedMS: s.openedMS, UserAgent: s.userAgent}
	end := max(s.openedMS, m.heartbeat[newest[0]])
	switch {
	case s.closed:
		end, rec.ClosedMS, rec.CloseCode = s.closedMS, s.closedMS, s.code
	case newest[0] < m.epoch:
		rec.ClosedMS, rec.CloseCode = end, 1006
	}
	rec.SeenMS = end
	return fmt.Sprintf("%+v", rec), rec.Online() || now.Before(time.UnixMilli(end).Add(retention))
}

// TestStoreAgainstModel runs random histories, with crashes that lose whatever
// was not flushed, and compares every device with the model after each step.
func TestStoreAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const retention = 10 * time.Hour
		c := newClock()
		fs := vfs.NewCrashableMem()
		cfg := testConfig("d")
		cfg.Retention, cfg.SweepBucket, cfg.SweepEntriesMax = retention, 2*time.Hour, 3
		m := &model{heartbeat: map[uint64]int64{}, devices: map[session.Address]map[[2]uint64]*modelSession{}}
		var s *Store
		var onDisk *model // as of the last sync
		start := func() {
			var err error
			if s, err = open(cfg, "n1", quiet, c.now, fs); err != nil {
				t.Fatal(err)
			}
			if m.epoch++; s.Epoch() != m.epoch {
				t.Fatalf("epoch %d, want %d", s.Epoch(), m.epoch)
			}
			m.heartbeat[m.epoch] = c.ms.Load()
			onDisk = m.clone()
		}
		flush := func() {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			onDisk = m.clone()
		}
		start()
		defer func() { _ = s.Close() }()
		draw := func() *session.Session {
			number := rapid.Uint64Range(1, 4).Draw(t, "number")
			sess := newSession(rapid.SampledFrom([]string{"a", "ab"}).Draw(t, "account"), rapid.SampledFrom([]string{"p", "pq"}).Draw(t, "device"), number, c.ms.Load())
			// A session is opened once: its time is the one that the model has.
			if known := m.devices[sess.Address][[2]uint64{m.epoch, number}]; known != nil {
				sess.OpenedMS = known.openedMS
			}
			return sess
		}
		// A device whose record is over may be swept, and with it the knowledge of
		// its newest session; the registry never lets an older one speak up then.
		past := func(sess *session.Session) bool {
			if _, ok := m.record(sess.Address, c.now(), retention); ok || m.devices[sess.Address] == nil {
				return false
			}
			for id := range m.devices[sess.Address] {
				if id[0] == m.epoch && id[1] >= sess.Number {
					return true
				}
			}
			return false
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(*rapid.T) {
				sess := draw()
				if past(sess) {
					return
				}
				ua := fmt.Sprint("ua", m.epoch, ".", sess.Number)
				s.Opened(sess, ua, "", nil)
				known := m.session(sess.Address, sess.Number, sess.OpenedMS)
				known.opened, known.userAgent = true, ua
			},
			"close": func(*rapid.T) {
				sess := draw()
				known := m.devices[sess.Address][[2]uint64{m.epoch, sess.Number}]
				if known == nil || known.closed || past(sess) {
					return
				}
				known.closed, known.closedMS, known.code = true, c.ms.Load(), 1000
				s.Closed(sess, known.closedMS, known.code)
			},
			"time": func(t *rapid.T) {
				c.advance(time.Duration(rapid.IntRange(1, 600).Draw(t, "minutes")) * time.Minute)
			},
			"heartbeat": func(*rapid.T) {
				flush() // one order of syncs for store and model
				if err := s.beat(pebble.Sync); err != nil {
					t.Fatal(err)
				}
				m.heartbeat[m.epoch] = c.ms.Load()
				onDisk = m.clone()
			},
			"sweep": func(*rapid.T) {
				if err := s.sweepDue(); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(*rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				m.heartbeat[m.epoch] = c.ms.Load()
				start()
			},
			"crash": func(*rapid.T) {
				after := fs.CrashClone(vfs.CrashCloneCfg{})
				if err := s.Close(); err != nil { // of the process that is dead to us
					t.Fatal(err)
				}
				fs, m = after, onDisk
				start()
			},
			"": func(*rapid.T) {
				flush()
				for _, account := range []string{"a", "ab"} {
					listed := map[string]string{}
					records, err := s.Account(account, 100)
					if err != nil {
						t.Fatal(err)
					}
					for _, rec := range records {
						listed[rec.Device] = fmt.Sprintf("%+v", rec)
					}
					for _, device := range []string{"p", "pq"} {
						a := session.Address{Account: account, Device: device}
						rec, ok, err := s.Device(a)
						if err != nil {
							t.Fatal(err)
						}
						want, wantOK := m.record(a, c.now(), retention)
						if got := fmt.Sprintf("%+v", rec); ok != wantOK || ok && got != want {
							t.Fatalf("%s: store says %v\n %s\nmodel says %v\n %s", a, ok, got, wantOK, want)
						}
						if _, in := listed[device]; in != ok || ok && listed[device] != want {
							t.Fatalf("%s: Device and Account differ: %s", a, listed[device])
						}
					}
				}
			},
		})
		// Whatever happened, a retention after the end nothing is left.
		c.advance(2 * retention)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		m.heartbeat[m.epoch] = c.ms.Load()
		start()
		for range 8 {
			c.advance(retention)
			if err := s.sweepDue(); err != nil {
				t.Fatal(err)
			}
		}
		if n := countKeys(s, keyRecord) + countKeys(s, keyExpiry); n != 0 {
			t.Fatalf("%d keys are left in the end", n)
		}
		if n := countKeys(s, keyHeartbeat); n != 1 {
			t.Fatalf("%d heartbeats are left in the end", n)
		}
	})
}

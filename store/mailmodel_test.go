package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// mailModel is what a store must show of kept messages, in one map.
type mailModel map[modelMailKey]modelMail

type modelMailKey struct {
	session.ID
	session.Address
}

type modelMail struct {
	kept    string // payload
	outcome session.Outcome
	atMS    int64
}

func (m mailModel) clone() mailModel {
	c := mailModel{}
	for k, v := range m {
		c[k] = v
	}
	return c
}

// TestMailAgainstModel runs random histories, with crashes that lose whatever was not
// synced, and compares mailboxes and outcomes after each step. What was settled since the last
// promise may survive a crash or not, since the writer commits when it files young messages,
// too; but it does so in order, so what survives is a beginning of it.
func TestMailAgainstModel(t *testing.T) {
	addresses := []string{"a/d", "a/de", "ab/d"}
	rapid.Check(t, func(t *rapid.T) {
		hashMask := rapid.SampledFrom([]uint64{1<<64 - 1, 1}).Draw(t, "hash mask") // 1: hashes collide all the time
		c := newClock()
		fs := vfs.NewCrashableMem()
		cfg := testConfig("d")
		cfg.OutcomeRetention = 80 * time.Minute
		cfg.MailYoungAge = rapid.SampledFrom([]time.Duration{time.Millisecond, 10 * time.Millisecond, time.Minute}).Draw(t, "young age")
		now, onDisk := mailModel{}, mailModel{}
		var settled []modelMailKey // since onDisk, in order
		var s *Store
		epoch, number := uint64(0), uint64(0)
		start := func() {
			var err error
			if s, err = open(cfg, "n1", quiet, c.now, fs); err != nil {
				t.Fatal(err)
			}
			s.mail.mu.Lock()
			s.mail.hashMask = hashMask
			s.mail.mu.Unlock()
			epoch++
		}
		start()
		defer func() { _ = s.Close() }()
		waiting := func(t *rapid.T) (modelMailKey, bool) {
			var keys []modelMailKey
			for k, v := range now {
				if v.outcome == session.Queued {
					keys = append(keys, k)
				}
			}
			if len(keys) == 0 {
				return modelMailKey{}, false
			}
			slices.SortFunc(keys, func(a, b modelMailKey) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			return rapid.SampledFrom(keys).Draw(t, "message"), true
		}
		synced := func() { onDisk, settled = now.clone(), settled[:0] }
		post := func(list []session.Kept) {
			if err := postErr(s, list...); err != nil {
				t.Fatal(err)
			}
			for _, k := range list {
				now[modelMailKey{k.ID, k.Address}] = modelMail{kept: string(k.Payload), outcome: session.Queued, atMS: k.SentMS}
			}
			synced() // and with them what was settled before
		}
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) {
				number++
				list := []session.Kept{}
				for _, a := range addresses {
					if len(list) == 0 || rapid.Bool().Draw(t, a) {
						k := keptFor(a, epoch, number, fmt.Sprint("payload", number))
						k.SentMS = c.ms.Load()
						list = append(list, k)
					}
				}
				post(list)
			},
			"take over": func(t *rapid.T) {
				k := keptFor(rapid.SampledFrom(addresses).Draw(t, "address"), rapid.Uint64Range(1, 3).Draw(t, "epoch"), rapid.Uint64Range(1, 3).Draw(t, "number"), fmt.Sprint("foreign", number))
				k.Node, k.SentMS = "n2", c.ms.Load()
				if v, ok := now[modelMailKey{k.ID, k.Address}]; ok && v.outcome != session.Queued {
					return // who hands over asks first
				}
				post([]session.Kept{k})
			},
			"settle": func(t *rapid.T) {
				if k, ok := waiting(t); ok {
					o := rapid.SampledFrom([]session.Outcome{session.Acked, session.Expired, session.Cancelled}).Draw(t, "outcome")
					s.Settle(k.Address, k.ID, o, c.ms.Load())
					now[k] = modelMail{outcome: o, atMS: c.ms.Load()}
					settled = append(settled, k)
				}
			},
			"time": func(t *rapid.T) {
				c.advance(time.Duration(rapid.IntRange(1, 60).Draw(t, "minutes")) * time.Minute)
			},
			"sweep": func(*rapid.T) {
				if err := s.sweepOutcomes(); err != nil {
					t.Fatal(err)
				}
			},
			"mailboxes": func(t *rapid.T) {
				inOrder := []string{}
				for k, v := range now {
					if v.outcome == session.Queued {
						inOrder = append(inOrder, fmt.Sprintf("%-5s %020d %020d %s", k.Address, k.Epoch, k.Number, k.Node))
					}
				}
				slices.Sort(inOrder)
				var seen []string
				err := s.Mailboxes(func(a session.Address, id session.ID, _ int64, _ string) bool {
					seen = append(seen, fmt.Sprintf("%-5s %020d %020d %s", a, id.Epoch, id.Number, id.Node))
					return true
				})
				synced() // it has everything committed
				if err != nil || !slices.Equal(seen, inOrder) && len(seen)+len(inOrder) > 0 {
					t.Fatalf("mailboxes %v, want %v, %v", seen, inOrder, err)
				}
				if n := s.MailStats().Messages; n != int64(len(inOrder)) {
					t.Fatalf("%d messages wait, want %d", n, len(inOrder))
				}
			},
			"flush": func(*rapid.T) {
				if err := s.mail.db.Flush(); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(*rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				synced()
				start()
			},
			"crash": func(*rapid.T) {
				after := fs.CrashClone(vfs.CrashCloneCfg{})
				if err := s.Close(); err != nil { // of the process that is dead to us
					t.Fatal(err)
				}
				fs = after
				start()
				survived := onDisk.clone()
				for _, k := range settled {
					list, err := s.Mail(nil, k.Address, session.ID{}, 1<<20, 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					if slices.ContainsFunc(list, func(m session.Kept) bool { return m.ID == k.ID }) {
						break
					}
					survived[k] = now[k]
				}
				now = survived
				synced()
			},
			"": func(t *rapid.T) {
				ids := map[session.ID][]string{}
				mail := map[string][]string{}
				for k, v := range now {
					ids[k.ID] = append(ids[k.ID], "")
					a := k.Address.String()
					if v.outcome == session.Queued {
						mail[a] = append(mail[a], fmt.Sprintf("%020d %020d %s %s", k.Epoch, k.Number, k.Node, v.kept))
					} else if c.ms.Load()-v.atMS > cfg.OutcomeRetention.Milliseconds() {
						continue
					}
					ids[k.ID] = append(ids[k.ID], fmt.Sprintf("%s=%s@%d", a, v.outcome, v.atMS))
				}
				for id, want := range ids {
					list, _, err := s.Fates(id)
					got := []string{}
					for _, f := range list {
						got = append(got, fmt.Sprintf("%s=%s@%d", f.Address, f.Outcome, f.AtMS))
					}
					want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
					slices.Sort(want)
					slices.Sort(got)
					if err != nil || !slices.Equal(got, want) {
						t.Fatalf("fates of %s: %v, want %v, %v", id.Text(), got, want, err)
					}
				}
				for _, a := range addresses {
					slices.Sort(mail[a])
					list, err := s.Mail(nil, addressOf(a), session.ID{}, 1<<20, 1<<20)
					got := []string{}
					for _, k := range list {
						got = append(got, fmt.Sprintf("%020d %020d %s %s", k.Epoch, k.Number, k.Node, k.Payload))
					}
					if err != nil || !slices.Equal(got, mail[a]) && len(got)+len(mail[a]) > 0 {
						t.Fatalf("mail of %s: %v, want %v, %v", a, got, mail[a], err)
					}
				}
			},
		})
		if n := s.MailStats().Repeated; n != 0 {
			t.Fatalf("%d keys were set more than once and removed as if they were not", n)
		}
	})
}

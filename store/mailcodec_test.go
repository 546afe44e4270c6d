package store

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

func drawKept(t *rapid.T) session.Kept {
	name := func(what string) string { return rapid.StringMatching(`[a-zA-Z0-9!é-]{1,6}`).Draw(t, what) }
	maybe := func(what string) string { return rapid.StringN(0, 5, -1).Draw(t, what) }
	return session.Kept{
		ID: session.ID{Origin: session.Origin{Node: rapid.StringMatching(`[a-z0-9-]{1,24}`).Draw(t, "node"), Epoch: rapid.Uint64().Draw(t, "epoch")},
			Number: session.MessageID(rapid.Uint64().Draw(t, "number"))},
		Address: session.Address{Account: name("account"), Device: name("device")},
		Kind:    session.Kind(rapid.IntRange(0, int(session.Binary)).Draw(t, "kind")),
		Payload: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "payload"),
		From:    maybe("from"), Collapse: maybe("collapse"), Trace: maybe("trace"),
		SentMS:    rapid.Int64Range(-5, 1<<42).Draw(t, "sent"),
		ExpiresMS: rapid.Int64Range(-5, 1<<42).Draw(t, "expires"),
		Priority:  session.Priority(rapid.IntRange(0, session.PriorityCount-1).Draw(t, "priority")),
		First:     rapid.Bool().Draw(t, "first"),
	}
}

func TestMailParseAppendIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKept(t)
		value := append(appendMailHead(nil, &k), k.Payload...)
		got, err := parseMail(value)
		if err != nil {
			t.Fatal(err)
		}
		got.ID, got.Address = k.ID, k.Address
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", k) {
			t.Fatalf("got\n%+v, want\n%+v", got, k)
		}
		key := appendID(appendMailboxKey(nil, k.Address), k.ID)
		if a, id, ok := parseMailKey(key); !ok || a != k.Address || id != k.ID || len(key) != mailboxKeyBytes(k.Address)+idHeadBytes+len(k.Node) {
			t.Fatalf("key %x: %v %v %v", key, a, id, ok)
		}
		key = appendWaitingKey(nil, k.ID, k.Address)
		if a, ok := parseWaitingKey(key, len(appendWaitingPrefix(nil, k.ID))); !ok || a != k.Address || len(key) != waitingKeyBytes(k.ID, k.Address) {
			t.Fatalf("key %x: %v %v", key, a, ok)
		}
	})
}

func TestKeysOfMailKeepTheOrderOfIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, l := drawKept(t), drawKept(t)
		l.Address = k.Address
		if rapid.Bool().Draw(t, "same epoch") {
			l.Epoch = k.Epoch
		}
		before := k.Epoch < l.Epoch || k.Epoch == l.Epoch && (k.Number < l.Number || k.Number == l.Number && k.Node < l.Node)
		key := func(k *session.Kept) []byte { return appendID(appendMailboxKey(nil, k.Address), k.ID) }
		if got := bytes.Compare(key(&k), key(&l)) < 0; got != before {
			t.Fatalf("%+v before %+v: %v, their keys say %v", k.ID, l.ID, before, got)
		}
	})
}

func FuzzMail(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendMailHead(nil, &session.Kept{}))
	f.Add(append(appendMailHead(nil, &session.Kept{Kind: session.Binary, From: "tablet", SentMS: 5, ExpiresMS: -7, Priority: session.PriorityLow, Collapse: "c", First: true, Trace: "00-ab-cd-01"}), "payload"...))
	f.Fuzz(func(t *testing.T, value []byte) {
		k, err := parseMail(value)
		if err != nil {
			if k.From != "" || k.Payload != nil {
				t.Fatalf("an error came with a message: %+v", k)
			}
			return
		}
		again := append(appendMailHead(nil, &k), k.Payload...)
		l, err := parseMail(again)
		if err != nil || fmt.Sprintf("%+v", k) != fmt.Sprintf("%+v", l) || len(again) > len(value) {
			t.Fatalf("%x -> %x: %v\n%+v\n%+v", value, again, err, k, l)
		}
	})
}

func FuzzMailKey(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendID(appendMailboxKey(nil, session.Address{Account: "a", Device: "d"}), session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 2}))
	f.Add(appendWaitingKey(nil, session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 2}, session.Address{Account: "a", Device: "d"}))
	f.Fuzz(func(t *testing.T, key []byte) {
		if a, id, ok := parseMailKey(key); ok {
			if again := appendID(appendMailboxKey(nil, a), id); !bytes.Equal(again, key) {
				t.Fatalf("%x -> %x", key, again)
			}
		}
		prefix := min(len(key), 4)
		if a, ok := parseWaitingKey(key, prefix); ok {
			again := append(append(append(bytes.Clone(key[:prefix]), a.Account...), 0), a.Device...)
			if !bytes.Equal(again, key) {
				t.Fatalf("%x -> %x", key, again)
			}
		}
	})
}

func FuzzOutcomes(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendOutcomesHead(nil, 5))
	f.Add(appendOutcome(appendOutcome(appendOutcomesHead(nil, 1_800_000_000_000), 63, session.Acked, 7, []byte("acme"), []byte("phone")), 64, session.Expired, -9, []byte("b"), nil))
	f.Fuzz(func(t *testing.T, value []byte) {
		var again []byte
		base := int64(0)
		collect := func(share byte, f Fate) {
			if again == nil {
				base = f.AtMS
				again = appendOutcomesHead(nil, base)
			}
			again = appendOutcome(again, session.MessageID(share), f.Outcome, f.AtMS-base, []byte(f.Account), []byte(f.Device))
		}
		list := func(value []byte) (text string, err error) {
			err = parseOutcomes(value, func(share byte, f Fate) { text += fmt.Sprintln(share, f) })
			return text, err
		}
		want, err := list(value)
		if err != nil || want == "" {
			return
		}
		if err := parseOutcomes(value, collect); err != nil {
			t.Fatal(err)
		}
		if got, err := list(again); err != nil || got != want {
			t.Fatalf("%x -> %x: %v\n%s\n%s", value, again, err, got, want)
		}
	})
}

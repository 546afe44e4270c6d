package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// linkCodec is one body between nodes: its sample is in testdata/link, and it takes
// part in every test and fuzz target of bodies.
type linkCodec struct {
	name   string
	sample any
	append func(dst []byte, v any) []byte
	parse  func(b []byte) (v any, err error) // of a body that is one entry
}

func codec[T any](name string, sample T, app func([]byte, *T) []byte, parse func([]byte, *T) error) linkCodec {
	return linkCodec{name, &sample,
		func(dst []byte, v any) []byte { return app(dst, v.(*T)) },
		func(b []byte) (any, error) { v := new(T); err := parse(b, v); return v, err }}
}

// single makes a parser of entries one of bodies.
func single[T any](parse func([]byte, *T) ([]byte, error)) func([]byte, *T) error {
	return func(b []byte, v *T) error {
		rest, err := parse(b, v)
		if err == nil && len(rest) > 0 {
			return &Error{CodeTrailing, "rest", 0}
		}
		return err
	}
}

var (
	authorSample = session.Origin{Node: "node-2", Epoch: 300}
	changeSample = Change{Address: 0x0102030405060708, Account: 0x1112131415161718, Version: VersionMax}
	closedSample = Change{Address: 1, Account: 2, Version: 3, Closed: true}
)

var factSample = session.Fact{
	Address: session.Address{Account: "alice", Device: "phone"}, Origin: authorSample,
	Number: 1 << 28, Version: VersionMax, OpenedMS: 1700000000000, SeenMS: 1700000000001,
	Detailed: true, UserAgent: "curl/8", Remote: "10.0.0.1:99", Attrs: []byte(`{"a":1}`),
	Closed: true, ClosedMS: 1700000000002, CloseCode: 4001,
}

var idSample = session.ID{Origin: authorSample, Number: 1 << 40}

var keySample = MailKey{FiledKey: session.FiledKey{Key: session.Key{Hash: [16]byte{1, 15: 2}, Sum: 3 << 56, Account: 4 << 56}, ID: idSample, Devices: 300}, LeftMS: 3600000}

var endSample = session.Fact{
	Address: session.Address{Account: "å", Device: "tv"}, Origin: session.Origin{Node: "a", Epoch: 1},
	Number: 1, Version: 2, OpenedMS: 3, Closed: true, ClosedMS: 4, CloseCode: 1006,
}

var linkCodecs = []linkCodec{
	codec("hello", LinkHello{Major: LinkMajor, Minor: 7, Channel: ChannelMessages, Pair: 0xfeed, Cluster: "prod.eu", Node: "node-1", Epoch: 12, KeyFingerprint: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, FrameBytesMax: 2 << 20, Addr: "10.0.0.1:8082"}, AppendLinkHello, ParseLinkHello),
	codec("goodbye", Goodbye{Reason: GoodbyeCluster, Detail: "my cluster is \"a\", yours \"b\""}, AppendGoodbye, ParseGoodbye),
	codec("forward", Forward{Ref: 1<<32 | 5, ID: 1 << 40, Account: "alice", Device: "phone", Kind: session.Text, Wait: session.WaitAcked, Payload: []byte("hi"), From: "tv", SentMS: 1700000000000, TimeoutMS: 5000}, AppendForward, single(ParseForward)),
	codec("forward-account", Forward{ID: 1, Account: "ålice", Except: "tv", Wait: session.WaitNone, Payload: []byte("{}")}, AppendForward, single(ParseForward)),
	codec("forward-all", Forward{Ref: 1, ID: 2, All: true, Kind: session.Binary, Payload: bytes.Repeat([]byte{7}, 200)}, AppendForward, single(ParseForward)),
	codec("outcomes-one", Outcomes{Ref: 9, Devices: []DeviceOutcome{{"", session.Written}}, Final: true}, AppendOutcomes, single(ParseOutcomes)),
	codec("outcomes-account", Outcomes{Ref: 9, Devices: []DeviceOutcome{{"phone", session.Acked}, {"tv", session.Offline}}}, AppendOutcomes, single(ParseOutcomes)),
	codec("outcomes-all", Outcomes{Ref: 9, Devices: []DeviceOutcome{{"", session.Lost}}, Counts: [session.OutcomeCount]uint32{session.Written: 40000, session.Cancelled: 1}, Final: true}, AppendOutcomes, single(ParseOutcomes)),
	codec("delta", Delta{authorSample, 1 << 30, 1_700_000_000_000, []Change{changeSample, closedSample}}, AppendDelta, ParseDelta),
	codec("heads", Heads{true, 1_700_000_000_000, []Head{{authorSample, 77}, {session.Origin{Node: "a", Epoch: 1}, 0}}}, AppendHeads, ParseHeads),
	codec("log-request", LogRequest{authorSample, 78}, AppendLogRequest, ParseLogRequest),
	codec("snapshot", SnapshotChunk{authorSample, 99, 3, true, []Change{changeSample}}, AppendSnapshotChunk, ParseSnapshotChunk),
	codec("question", LinkQuestion{Ref: 4, Kind: QuestionHolds, Account: "alice", Device: "phone", Version: 300, Session: 1, Body: []byte("more")}, AppendLinkQuestion, ParseLinkQuestion),
	codec("answer", LinkAnswer{Ref: 4, Held: true, Version: 301, Error: "why", Body: []byte("[]")}, AppendLinkAnswer, ParseLinkAnswer),
	codec("keep", Keep{7, KeepState{true, true}, []session.Fact{factSample, endSample}}, AppendKeep, ParseKeep),
	codec("kept", Kept{7, true}, AppendKept, ParseKept),
	codec("mail", Mail{Ref: 7, Watch: true, Account: "alice", Device: "phone", Kind: session.Text, Priority: session.PriorityLow, From: "tv", SentMS: 1700000000000, LeftMS: 86400000, Collapse: "cart_-9", Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Payload: []byte("hi")}, AppendMail, ParseMail),
	codec("mail-account", Mail{Ref: 7, Account: "å", Except: "tv", Kind: session.Binary, Priority: session.PriorityHigh, First: true, Payload: bytes.Repeat([]byte{7}, 200)}, AppendMail, ParseMail),
	codec("mail-keyed", Mail{Ref: 7, Account: "alice", Device: "phone", LeftMS: 5, Key: session.Key{Hash: [16]byte{1, 15: 2}, Sum: 3 << 56}, Payload: []byte("hi")}, AppendMail, ParseMail),
	codec("mailed", Mailed{Ref: 7, ID: idSample, Devices: 300}, AppendMailed, ParseMailed),
	codec("mailed-refused", Mailed{Ref: 7, ID: idSample, Refused: session.Overloaded, Why: "mailbox.messages_max"}, AppendMailed, ParseMailed),
	codec("mail-fate", MailFate{idSample, "phone", session.Acked}, AppendMailFate, ParseMailFate),
	codec("mail-ack", MailAck{idSample, "alice", "phone", true, false}, AppendMailAck, ParseMailAck),
	codec("mail-withdrawn", MailAck{idSample, "alice", "phone", false, true}, AppendMailAck, ParseMailAck),
	codec("mail-move", MailMove{Ref: 7, LeftMS: 86400000, Kept: session.Kept{ID: idSample, Address: session.Address{Account: "alice", Device: "phone"}, Kind: session.Text, Priority: session.PriorityLow, First: true, From: "tv", SentMS: 1700000000000, Collapse: "cart_-9", Trace: traceparent, Payload: []byte("hi")}}, AppendMailMove, ParseMailMove),
	codec("mail-moved", MailMoved{Ref: 7, Taken: true, Outcome: session.Queued}, AppendMailMoved, ParseMailMoved),
	codec("mail-not-moved", MailMoved{Ref: 7, Why: "mailbox.messages_max"}, AppendMailMoved, ParseMailMoved),
	codec("mail-unwatch", MailUnwatch{idSample}, AppendMailUnwatch, ParseMailUnwatch),
	codec("mail-keys", MailKeys{Ref: 7, Keys: []MailKey{keySample, {FiledKey: session.FiledKey{Key: session.Key{Hash: [16]byte{15: 9}}, ID: session.ID{Origin: session.Origin{Node: "a", Epoch: 1}, Number: 1}}}}}, AppendMailKeys, ParseMailKeys),
	codec("mail-key", keySample, AppendMailKey, ParseMailKey),
	codec("mail-filed", MailFiled{Ref: 7, Filed: true}, AppendMailFiled, ParseMailFiled),
	codec("mail-settled", MailSettled{Settled: true, Members: 0xfeed}, AppendMailSettled, ParseMailSettled),
	codec("mail-unsettled", MailSettled{}, AppendMailSettled, ParseMailSettled),
	codec("mail-not-filed", MailFiled{Ref: 7, Why: "store: full"}, AppendMailFiled, ParseMailFiled),
	codec("topic-move", TopicMove{Ref: 7, Keeper: authorSample, Gone: TopicGone{300, 1700000000000}, GoneElse: TopicGone{2, 1600000000000}, Topic: "news.eu", Messages: []TopicKept{
		{ID: idSample, Kind: session.Text, Position: 301, SentMS: 1700000000001, AgeMS: 299_999, Payload: []byte("hi")},
		{ID: session.ID{Origin: session.Origin{Node: "a", Epoch: 1}, Number: 1}, Kind: session.Binary, Position: 400, SentMS: 1700000000000, Payload: []byte{1, 2}},
	}}, AppendTopicMove, ParseTopicMove),
	codec("topic-moved", TopicMoved{Ref: 7, Taken: true}, AppendTopicMoved, ParseTopicMoved),
	codec("topic-not-moved", TopicMoved{Ref: 7, Why: "topics.window.bytes"}, AppendTopicMoved, ParseTopicMoved),
	codec("forward-topic", Forward{Ref: 1, ID: 2, Topic: "news.eu", Kind: session.Text, Payload: []byte("hi"), SentMS: 1700000000000}, AppendForward, single(ParseForward)),
	codec("interest", Interest{Begin: true, Last: true, Changes: []InterestChange{{"news.*", false}, {"user.1", true}}}, AppendInterest, ParseInterest),
	codec("replay-question", ReplayQuestion{session.ID{Origin: authorSample, Number: 5}, []string{"news.*", "user.1"}}, AppendReplayQuestion, ParseReplayQuestion),
	codec("replay-answer", ReplayAnswer{true, true, 1700000000000, 1600000000000, []ReplayMessage{{authorSample, session.Message{ID: 9, Kind: session.Binary, Payload: []byte{1, 2}, SentMS: 1700000000001, Topic: "user.1"}}}}, AppendReplayAnswer, ParseReplayAnswer),
	codec("names", []string{"phone", "å", strings.Repeat("x", 128)},
		func(dst []byte, names *[]string) []byte { return AppendNames(dst, *names) },
		func(b []byte, names *[]string) (err error) { *names, err = ParseNames(b); return err }),
	codec("outcomes-collision", Outcomes{Ref: 9, Devices: []DeviceOutcome{{"", session.Misrouted}}, Final: true, Collision: true}, AppendOutcomes, single(ParseOutcomes)),
	codec("forward-kept", Forward{Ref: 3, ID: 4, Origin: session.Origin{Node: "b", Epoch: 200}, Account: "alice", Device: "tv", Ack: true, Payload: []byte("1"), SentMS: 5}, AppendForward, single(ParseForward)),
	codec("forward-first", Forward{Ref: 3, ID: 4, Account: "alice", Wait: session.WaitAcked, First: true, Payload: []byte("1"), SentMS: 5}, AppendForward, single(ParseForward)),
	codec("forward-traced", Forward{Ref: 3, ID: 4, Account: "alice", Device: "tv", Payload: []byte("1"), SentMS: 5, Trace: traceparent}, AppendForward, single(ParseForward)),
	codec("forward-cancel", Forward{ID: 4, Origin: session.Origin{Node: "b", Epoch: 200}, Account: "alice", Device: "tv", Cancel: true, Payload: []byte{}}, AppendForward, single(ParseForward)),
}

// TestLinkGolden holds the bytes between nodes: a change there is another major
// version.
func TestLinkGolden(t *testing.T) {
	for _, c := range linkCodecs {
		t.Run(c.name, func(t *testing.T) {
			got := c.append(nil, c.sample)
			path := filepath.Join("testdata", "link", c.name+".hex")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(got) != strings.TrimSpace(string(want)) {
				t.Errorf("got %x\nwant %s", got, want)
			}
			v, err := c.parse(got)
			if err != nil || !reflect.DeepEqual(v, c.sample) {
				t.Errorf("parsed %+v, %v\nwant %+v", v, err, c.sample)
			}
		})
	}
}

// TestLinkTruncated cuts every sample at every byte. Only where an open body follows
// may a shorter one be a frame too; it must then mean something else.
func TestLinkTruncated(t *testing.T) {
	for _, c := range linkCodecs {
		whole := c.append(nil, c.sample)
		for n := range whole {
			v, err := c.parse(whole[:n:n])
			if err == nil && bytes.Equal(c.append(nil, v), whole) {
				t.Errorf("%s: the first %d of %d bytes mean all of it", c.name, n, len(whole))
			}
		}
		if _, err := c.parse(append(whole[:len(whole):len(whole)], 0)); (err == nil) != (c.name == "hello" || c.name == "goodbye" || c.name == "question" || c.name == "answer") {
			t.Errorf("%s with a byte behind it: %v", c.name, err)
		}
	}
}

// mailWith parses mail that has something wrong.
func mailWith(spoil func(*Mail)) error {
	m := Mail{Ref: 1, Account: "alice", Device: "phone", Payload: []byte("1")}
	spoil(&m)
	return ParseMail(AppendMail(nil, &m), new(Mail))
}

func TestLinkRefused(t *testing.T) {
	long := strings.Repeat("x", 129)
	hello := *linkCodecs[0].sample.(*LinkHello)
	with := func(change func(h *LinkHello)) []byte { h := hello; change(&h); return AppendLinkHello(nil, &h) }
	for _, c := range []struct {
		name, code string
		err        error
	}{
		{"channel", CodeValue, ParseLinkHello(with(func(h *LinkHello) { h.Channel = 9 }), new(LinkHello))},
		{"cluster", CodeValue, ParseLinkHello(with(func(h *LinkHello) { h.Cluster = "a b" }), new(LinkHello))},
		{"no cluster", CodeValue, ParseLinkHello(with(func(h *LinkHello) { h.Cluster = "" }), new(LinkHello))},
		{"node", CodeValue, ParseLinkHello(with(func(h *LinkHello) { h.Node = "A" }), new(LinkHello))},
		{"addr", CodeValue, ParseLinkHello(with(func(h *LinkHello) { h.Addr = "a\nb" }), new(LinkHello))},
		{"frames too small", CodeValue, ParseLinkHello(with(func(h *LinkHello) { h.FrameBytesMax = 10 }), new(LinkHello))},
		{"reason 0", CodeValue, ParseGoodbye([]byte{0, 0}, new(Goodbye))},
		{"detail", CodeValue, ParseGoodbye([]byte{1, 1, 0xff}, new(Goodbye))},
		{"nobody", CodeValue, parseForward(&Forward{})},
		{"all and one", CodeValue, parseForward(&Forward{All: true, Account: "a"})},
		{"device and except", CodeValue, parseForward(&Forward{Account: "a", Device: "b", Except: "c"})},
		{"kind", CodeValue, parseForward(&Forward{Account: "a", Kind: 3})},
		{"wait", CodeValue, parseForward(&Forward{Account: "a", Wait: 3})},
		{"more flags of nothing", CodeValue, single(ParseForward)([]byte{0x80, 0, 0, 0}, new(Forward))},
		{"more flags", CodeValue, single(ParseForward)([]byte{0x80, 16, 0, 0}, new(Forward))},
		{"no traceparent", CodeValue, parseForward(&Forward{Account: "a", Trace: "00-"})},
		{"topic and all", CodeValue, parseForward(&Forward{Topic: "t", All: true})},
		{"topic and device", CodeValue, parseForward(&Forward{Topic: "t", Device: "d"})},
		{"topic out of pattern", CodeValue, parseForward(&Forward{Topic: "t..u"})},
		{"forward to a pattern", CodeValue, parseForward(&Forward{Topic: "t.*"})},
		{"interest flags", CodeValue, ParseInterest([]byte{4}, new(Interest))},
		{"interest lost", CodeValue, ParseInterest([]byte{0, 2, 1, 'a'}, new(Interest))},
		{"interest out of pattern", CodeValue, ParseInterest([]byte{0, 0, 2, '.', '*'}, new(Interest))},
		{"interest empty", CodeValue, ParseInterest([]byte{0, 0, 0}, new(Interest))},
		{"replay of nothing", CodeValue, ParseReplayQuestion(AppendReplayQuestion(nil, &ReplayQuestion{Since: session.ID{Origin: authorSample}}), new(ReplayQuestion))},
		{"replay of too many", CodeLimit, ParseReplayQuestion(AppendReplayQuestion(nil, &ReplayQuestion{session.ID{Origin: authorSample}, strings.Split(strings.Repeat("a ", TopicsMax)+"a", " ")}), new(ReplayQuestion))},
		{"replay flags", CodeValue, ParseReplayAnswer([]byte{4, 0, 0}, new(ReplayAnswer))},
		{"replay kind", CodeValue, ParseReplayAnswer(AppendReplayAnswer(nil, &ReplayAnswer{Messages: []ReplayMessage{{authorSample, session.Message{Kind: 3, Topic: "t"}}}}), new(ReplayAnswer))},
		{"cancel everybody", CodeValue, parseForward(&Forward{All: true, Cancel: true})},
		{"cancel with a payload", CodeValue, parseForward(&Forward{Account: "a", Cancel: true, Payload: []byte("1")})},
		{"acked by two ways", CodeValue, parseForward(&Forward{Account: "a", Ack: true, Wait: session.WaitAcked})},
		{"first of none", CodeValue, parseForward(&Forward{Account: "a", First: true})},
		{"origin", CodeValue, parseForward(&Forward{Account: "a", Origin: session.Origin{Node: "NO", Epoch: 1}})},
		{"more flags", CodeValue, single(ParseForward)([]byte{0x80, 16, 0}, new(Forward))},
		{"no more flags", CodeValue, single(ParseForward)([]byte{0x80, 0, 0}, new(Forward))},
		{"long account", CodeLimit, parseForward(&Forward{Account: long})},
		{"control character", CodeValue, parseForward(&Forward{Account: "a\x01"})},
		{"not UTF-8", CodeValue, parseForward(&Forward{Account: "a", From: "\xff"})},
		{"timeout", CodeLimit, parseForward(&Forward{Account: "a", TimeoutMS: 1 << 31})},
		{"outcome", CodeValue, parseOutcomes(&Outcomes{Devices: []DeviceOutcome{{"", 200}}})},
		{"devices", CodeLimit, parseOutcomes(&Outcomes{Devices: make([]DeviceOutcome, OutcomesListedMax+1)})},
		{"devices that are not there", CodeTruncated, single(ParseOutcomes)([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0x07, 0, 0}, new(Outcomes))},
		{"first 0", CodeValue, ParseDelta(AppendDelta(nil, &Delta{authorSample, 0, 0, []Change{changeSample}}), new(Delta))},
		{"no changes", CodeValue, ParseDelta(AppendDelta(nil, &Delta{authorSample, 1, 0, nil}), new(Delta))},
		{"sequence wraps", CodeValue, ParseDelta(AppendDelta(nil, &Delta{authorSample, 1<<64 - 1, 0, []Change{changeSample, changeSample}}), new(Delta))},
		{"version", CodeValue, ParseDelta(AppendDelta(nil, &Delta{authorSample, 1, 0, []Change{{Version: VersionMax + 1}}}), new(Delta))},
		{"author", CodeValue, ParseDelta(AppendDelta(nil, &Delta{session.Origin{Node: "A"}, 1, 0, []Change{changeSample}}), new(Delta))},
		{"closing in a snapshot", CodeValue, ParseSnapshotChunk(AppendSnapshotChunk(nil, &SnapshotChunk{Author: authorSample, Changes: []Change{closedSample}}), new(SnapshotChunk))},
		{"heads that are not there", CodeTruncated, ParseHeads([]byte{0, 0, 0x80, 0x80, 1}, new(Heads))},
		{"too many heads", CodeLimit, ParseHeads([]byte{0, 0, 0x80, 0x80, 0x80, 1}, new(Heads))},
		{"long uvarint", CodeValue, ParseLogRequest([]byte{1, 'a', 1, 0x80, 0}, new(LogRequest))},
		{"flags of mail", CodeValue, mailWith(func(m *Mail) { m.Kind = 1 << 5 })},
		{"mail with no traceparent", CodeValue, mailWith(func(m *Mail) { m.Trace = "00-" })},
		{"mail of no kind", CodeValue, mailWith(func(m *Mail) { m.Kind = 3 })},
		{"mail of no priority", CodeValue, mailWith(func(m *Mail) { m.Priority = 3 })},
		{"mail for nobody", CodeValue, mailWith(func(m *Mail) { m.Account = "" })},
		{"mail for one but another", CodeValue, mailWith(func(m *Mail) { m.Except = "tv" })},
		{"mail of a strange key", CodeValue, mailWith(func(m *Mail) { m.Collapse = "a b" })},
		{"mail with a long trace", CodeLimit, mailWith(func(m *Mail) { m.Trace = long })},
		{"outcome of mail", CodeValue, ParseMailed([]byte{0, 0, 0, 0, 0, 0, 0, 1, 1, 'a', 1, 1, 99, 0, 0}, new(Mailed))},
		{"a fate without an outcome", CodeValue, ParseMailFate(AppendMailFate(nil, &MailFate{idSample, "tv", session.Pending}), new(MailFate))},
		{"the fate of nobody", CodeValue, ParseMailFate(AppendMailFate(nil, &MailFate{idSample, "", session.Acked}), new(MailFate))},
		{"an ack of nobody", CodeValue, ParseMailAck(AppendMailAck(nil, &MailAck{idSample, "alice", "", false, false}), new(MailAck))},
		{"nobody's mail handed over", CodeValue, ParseMailMove(AppendMailMove(nil, &MailMove{Kept: session.Kept{ID: idSample, Address: session.Address{Account: "alice"}}}), new(MailMove))},
		{"mail that is taken and pending", CodeValue, ParseMailMoved(AppendMailMoved(nil, &MailMoved{Taken: true}), new(MailMoved))},
		{"mail that is not taken and acked", CodeValue, ParseMailMoved(AppendMailMoved(nil, &MailMoved{Outcome: session.Acked}), new(MailMoved))},
		{"no keys", CodeValue, ParseMailKeys(AppendMailKeys(nil, &MailKeys{Ref: 7}), new(MailKeys))},
		{"too many keys", CodeLimit, ParseMailKeys(AppendMailKeys(nil, &MailKeys{Keys: slices.Repeat([]MailKey{keySample}, MailKeysMax+1)}), new(MailKeys))},
		{"a key that is none", CodeValue, ParseMailKey(AppendMailKey(nil, &MailKey{FiledKey: session.FiledKey{ID: idSample}}), new(MailKey))},
		{"nothing of a topic", CodeValue, topicMoveWith(func(m *TopicMove) { m.Messages = nil })},
		{"much of a topic", CodeLimit, topicMoveWith(func(m *TopicMove) {
			for i := range TopicMoveMax {
				next := m.Messages[0]
				next.Position += uint64(i) + 1
				m.Messages = append(m.Messages, next)
			}
		})},
		{"a window of nobody", CodeValue, topicMoveWith(func(m *TopicMove) { m.Keeper.Node = "" })},
		{"a pattern is handed over", CodeValue, topicMoveWith(func(m *TopicMove) { m.Topic = "news.*" })},
		{"a topic's message of no kind", CodeValue, topicMoveWith(func(m *TopicMove) { m.Messages[0].Kind = 3 })},
		{"a topic's message of nobody", CodeValue, topicMoveWith(func(m *TopicMove) { m.Messages[0].ID.Node = "" })},
		{"a topic's messages in no order", CodeValue, topicMoveWith(func(m *TopicMove) { m.Messages = append(m.Messages, m.Messages[0]) })},
		{"a topic's message without a position", CodeValue, topicMoveWith(func(m *TopicMove) { m.Messages[0].Position = 0 })},
		{"half moved", CodeValue, ParseTopicMoved([]byte{0, 0, 0, 0, 0, 0, 0, 1, 2, 0}, new(TopicMoved))},
		{"half filed", CodeValue, ParseMailFiled([]byte{0, 0, 0, 0, 0, 0, 0, 1, 2, 0}, new(MailFiled))},
		{"half settled", CodeValue, ParseMailSettled([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0}, new(MailSettled))},
		{"unsettled among members", CodeValue, ParseMailSettled([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1}, new(MailSettled))},
		{"what is kept", CodeValue, ParseKeep([]byte{2, 0, 0, 0, 0, 0, 0, 0, 1, 0}, new(Keep))},
		{"state", CodeValue, ParseKeep([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 4}, new(Keep))},
		{"a fact about nobody", CodeValue, parseFact(func(f *session.Fact) { f.Device = "" })},
		{"a fact of a strange node", CodeValue, parseFact(func(f *session.Fact) { f.Node = "A" })},
		{"version of a fact", CodeValue, parseFact(func(f *session.Fact) { f.Version++ })},
		{"user agent", CodeLimit, parseFact(func(f *session.Fact) { f.UserAgent = strings.Repeat("x", FactUserAgentBytesMax+1) })},
		{"remote", CodeLimit, parseFact(func(f *session.Fact) { f.Remote = strings.Repeat("x", FactRemoteBytesMax+1) })},
		{"attrs", CodeLimit, parseFact(func(f *session.Fact) { f.Attrs = make([]byte, FactAttrsBytesMax+1) })},
		{"flags of a fact", CodeValue, ParseKeep(append(BeginKeep(nil, 1, KeepState{}), 4), new(Keep))},
		{"refused", CodeValue, ParseKept([]byte{0, 0, 0, 0, 0, 0, 0, 1, 2}, new(Kept))},
		{"an empty name", CodeValue, parseNames([]string{"a", ""})},
		{"a name with a space", CodeValue, parseNames([]string{"a b"})},
		{"a long name", CodeLimit, parseNames([]string{long})},
		{"too many names", CodeLimit, parseNames(slices.Repeat([]string{"a"}, NamesMax), []string{"a"})},
		{"kind 0", CodeValue, ParseLinkQuestion(AppendLinkQuestion(nil, &LinkQuestion{}), new(LinkQuestion))},
	} {
		if codeOf(c.err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, c.err, c.code)
		}
	}
	var h LinkHello
	if err := ParseLinkHello([]byte{0, 9, 0, 1, 0xff}, &h); err != nil || h.Major != 9 {
		t.Errorf("of another major version only the version is read: %+v, %v", h, err)
	}
}

func parseForward(f *Forward) error { return single(ParseForward)(AppendForward(nil, f), new(Forward)) }
func parseFact(change func(*session.Fact)) error {
	f := factSample
	change(&f)
	return ParseKeep(AppendKeep(nil, &Keep{Facts: []session.Fact{f}}), new(Keep))
}
func parseNames(parts ...[]string) error {
	var b []byte
	for _, names := range parts {
		b = AppendNames(b, names)
	}
	_, err := ParseNames(b)
	return err
}
func parseOutcomes(o *Outcomes) error {
	return single(ParseOutcomes)(AppendOutcomes(nil, o), new(Outcomes))
}

func TestLinkFrames(t *testing.T) {
	b := AppendLinkFrame(nil, LinkTypePing, nil)
	start := len(b)
	b = append(BeginLinkFrame(b, LinkTypeDelta), "body"...)
	EndLinkFrame(b, start)
	for n := range len(b) + 1 {
		typ, body, size, err := ParseLinkFrame(b[:n], 64)
		switch {
		case err != nil, n >= 4 != (size == 5), n >= 5 != (body != nil), n >= 5 && typ != LinkTypePing:
			t.Errorf("%d bytes: %v %q %d %v", n, typ, body, size, err)
		}
	}
	if typ, body, size, err := ParseLinkFrame(b[5:], 9); typ != LinkTypeDelta || string(body) != "body" || size != 9 || err != nil {
		t.Errorf("%v %q %d %v", typ, body, size, err)
	}
	if _, _, _, err := ParseLinkFrame(b[5:], 8); codeOf(err) != CodeLimit {
		t.Errorf("a frame of 9 bytes, at most 8: %v", err)
	}
	if _, _, _, err := ParseLinkFrame([]byte{0, 0, 0, 0}, 8); codeOf(err) != CodeValue {
		t.Errorf("a frame without a type: %v", err)
	}
	for c := 0; c < 256; c++ {
		if LinkType(c).String() == "" || GoodbyeReason(c).String() == "" {
			t.Errorf("%d has no name", c)
		}
	}
}

// TestLinkBatch draws batches of entries and reads them with structs that are used
// again, as a link does.
func TestLinkBatch(t *testing.T) {
	name := rapid.StringMatching(`[a-z]{1,12}|é{64}|x{128}`)
	maybe := rapid.OneOf(rapid.Just(""), name)
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		var forwards []Forward
		for range rapid.IntRange(1, 5).Draw(t, "entries") {
			f := Forward{
				Ref: rapid.Uint64().Draw(t, "ref"), ID: session.MessageID(rapid.Uint64().Draw(t, "id")),
				Account: name.Draw(t, "account"), Device: maybe.Draw(t, "device"), From: maybe.Draw(t, "from"),
				Kind: session.Kind(rapid.IntRange(0, 2).Draw(t, "kind")), Wait: session.Wait(rapid.IntRange(0, 2).Draw(t, "wait")),
				Payload: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "payload"),
				Ack:     rapid.Bool().Draw(t, "ack"), First: rapid.Bool().Draw(t, "first"),
				SentMS: rapid.Int64Min(0).Draw(t, "sent"), TimeoutMS: rapid.Uint32Max(TimeoutMSMax).Draw(t, "timeout"),
			}
			f.Ack, f.First = f.Ack && f.Wait != session.WaitAcked, f.First && f.Wait == session.WaitAcked
			if rapid.Bool().Draw(t, "foreign") {
				f.Origin = session.Origin{Node: rapid.StringMatching(`[a-z0-9-]{1,24}`).Draw(t, "node"), Epoch: rapid.Uint64().Draw(t, "epoch")}
			}
			before := len(b)
			b = AppendForward(b, &f)
			if n := len(b) - before; n > f.SizeMax() {
				t.Fatalf("%d bytes, SizeMax is %d", n, f.SizeMax())
			}
			forwards = append(forwards, f)
		}
		var f Forward
		for _, want := range forwards {
			var err error
			if b, err = ParseForward(b, &f); err != nil || !reflect.DeepEqual(f, want) {
				t.Fatalf("got %+v, %v\nwant %+v", f, err, want)
			}
		}
		var o, got Outcomes
		for range rapid.IntRange(0, 5).Draw(t, "devices") {
			o.Devices = append(o.Devices, DeviceOutcome{maybe.Draw(t, "name"), session.Outcome(rapid.IntRange(0, session.OutcomeCount-1).Draw(t, "outcome"))})
		}
		for i := range o.Counts {
			o.Counts[i] = rapid.OneOf(rapid.Just(uint32(0)), rapid.Uint32()).Draw(t, "count")
		}
		encoded := AppendOutcomes(nil, &o)
		if _, err := ParseOutcomes(encoded, &got); err != nil || !reflect.DeepEqual(got.Devices, o.Devices) || got.Counts != o.Counts || len(encoded) > o.SizeMax() {
			t.Fatalf("got %+v, %v, %d bytes of %d\nwant %+v", got, err, len(encoded), o.SizeMax(), o)
		}
	})
}

func TestLinkAllocatesNothing(t *testing.T) {
	room := make([]byte, 0, 64<<10)
	var f Forward
	var o Outcomes
	var d Delta
	var h Heads
	var k Keep
	for _, c := range []struct {
		name string
		fn   func()
	}{
		{"forward", func() { _, _ = ParseForward(AppendForward(room, linkCodecs[2].sample.(*Forward)), &f) }},
		{"outcomes", func() { _, _ = ParseOutcomes(AppendOutcomes(room, linkCodecs[6].sample.(*Outcomes)), &o) }},
		{"delta", func() { _ = ParseDelta(AppendDelta(room, linkCodecs[8].sample.(*Delta)), &d) }},
		{"heads", func() { _ = ParseHeads(AppendHeads(room, linkCodecs[9].sample.(*Heads)), &h) }},
		{"keep", func() { _ = ParseKeep(AppendKeep(room, linkCodecs[14].sample.(*Keep)), &k) }},
	} {
		c.fn()
		if n := testing.AllocsPerRun(100, c.fn); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// FuzzLinkBody feeds a body to every parser. What one accepts means the same when it
// is appended again; hello and goodbye may have had more behind them.
func FuzzLinkBody(f *testing.F) {
	for i, c := range linkCodecs {
		f.Add(uint8(i), c.append(nil, c.sample))
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		c := linkCodecs[int(i)%len(linkCodecs)]
		v, err := c.parse(b)
		if err != nil {
			if codeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if h, ok := v.(*LinkHello); ok && h.Major != LinkMajor {
			return
		}
		again := c.append(nil, v)
		if _, ok := v.(*LinkHello); ok || c.name == "goodbye" {
			b = b[:min(len(b), len(again))]
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%s: %x\nbecomes %x", c.name, b, again)
		}
	})
}

// FuzzLinkFrame takes frames off a stream: whatever it holds, no byte is counted twice.
func FuzzLinkFrame(f *testing.F) {
	f.Add(AppendLinkFrame(AppendLinkFrame(nil, LinkTypePing, nil), LinkTypeDelta, []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		for rest := b; ; {
			typ, body, size, err := ParseLinkFrame(rest, 1<<10)
			if err != nil || body == nil {
				break
			}
			again = AppendLinkFrame(again, typ, body)
			rest = rest[size:]
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func BenchmarkLinkForward(b *testing.B) {
	sample := linkCodecs[2].sample.(*Forward)
	var f Forward
	room := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseForward(AppendForward(room, sample), &f)
	}
}

// topicMoveWith parses a frame that is right but for what change does to it.
func topicMoveWith(change func(m *TopicMove)) error {
	m := TopicMove{Ref: 7, Keeper: authorSample, Topic: "news.eu", Messages: []TopicKept{{ID: idSample, Position: 1, Payload: []byte("1")}}}
	change(&m)
	return ParseTopicMove(AppendTopicMove(nil, &m), new(TopicMove))
}

package jetstream

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/processortest"
)

// pushServer returns a server with the stream that the tests consume.
func pushServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t).connect()
	s.addStream("push", "push.>")
	return s
}

// TestFinal is the plain walk: every message is pushed in the order of its subject and
// acknowledged.
func TestFinal(t *testing.T) {
	srv := pushServer(t)
	for _, subject := range []string{"push.high", "push.normal.a", "push.low"} {
		srv.publish(subject, 0, 100)
	}
	c := srv.config()
	c.HighSubjects, c.NormalSubjects, c.LowSubjects = []string{"push.high"}, []string{"push.normal.*"}, []string{"push.low"}
	c.FetchMax = 32
	s := processortest.New(processortest.Always)
	r := run(t, c, s)
	for p, subject := range map[session.Priority]string{high: "push.high", normal: "push.normal.a", low: "push.low"} {
		eventually(t, subject+" is acknowledged", func() bool {
			final, _ := s.Count()
			return final == 300 && srv.waiting(c.Durable+"-"+p.String()) == 0
		})
		inOrder(t, s.Taken(), subject, 100)
	}
	keys := map[uint64]bool{}
	for _, key := range s.Keys() {
		keys[key] = true
	}
	if len(keys) != 3 || keys[0] {
		t.Errorf("3 devices have the keys %v", s.Keys())
	}
	eventually(t, "the lag is 0", func() bool { return r.Stats().Lag == processor.ByLane{} })
	r.stop()
	st := r.Stats()
	if st.Final != 300 || st.Taken != (processor.ByLane{100, 100, 100}) || st.Outcomes[session.Written] != 300 || st.Redelivered != 0 || st.Unheard != 0 || st.InWork != (processor.ByLane{}) {
		t.Errorf("counted %+v", st)
	}
}

// TestInProgress keeps a message for longer than ack_wait: it does not come again, since
// the server hears of it.
func TestInProgress(t *testing.T) {
	srv := pushServer(t)
	srv.publish("push.normal", 0, 1)
	c := srv.config()
	c.AckWait = 1500 * time.Millisecond
	s := processortest.New(processortest.Never)
	r := run(t, c, s)
	eventually(t, "it is in work", func() bool { _, kept := s.Count(); return kept == 1 })
	eventually(t, "the server has heard of it for twice ack_wait", func() bool { return r.Stats().InProgress >= 6 })
	if st := r.Stats(); st.Redelivered != 0 || srv.waiting(c.Durable+"-normal") != 1 {
		t.Errorf("counted %+v", st)
	}
	s.Release(processortest.Everything, *processortest.Written())
	eventually(t, "it is acknowledged", func() bool { return srv.waiting(c.Durable+"-normal") == 0 })
}

// TestGivenBack gives back what the sink gives up: it comes again until it is final.
func TestGivenBack(t *testing.T) {
	srv := pushServer(t)
	srv.publish("push.normal", 0, 10)
	c := srv.config()
	refused := 0
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if strings.HasSuffix(r.ID, "/4") && refused < 3 {
			refused++
			return &processor.Result{GivenUp: true}
		}
		return processortest.Written()
	})
	r := run(t, c, s)
	eventually(t, "all are acknowledged", func() bool { return srv.waiting(c.Durable+"-normal") == 0 })
	if final, _ := s.Count(); final != 10 || len(s.Taken()) != 13 {
		t.Errorf("%d are final, %d were taken, want 10 and 13", final, len(s.Taken()))
	}
	if st := r.Stats(); st.GivenBack != 3 || st.Redelivered != 3 {
		t.Errorf("counted %+v", st)
	}
}

// TestPoison sends what can never succeed to the dead letters, some by its headers and
// some by the sink's word, and it does not come again.
func TestPoison(t *testing.T) {
	srv := pushServer(t)
	srv.addStream("dead", "dead")
	srv.send("push.normal", "x", "roost-device", "d", "Nats-Msg-Id", "first")
	srv.send("push.normal", "x", "roost-account", "a", "roost-ttl-ms", "-1")
	srv.send("push.normal", "{", "roost-account", "a", "content-type", "application/json")
	srv.send("push.normal", "y", "roost-account", "a", "roost-id", "poison")
	srv.send("push.normal", "x", "roost-account", "a", "roost-device", "d", "roost-id", "good")
	c := srv.config()
	c.DeadLetterSubject = "dead"
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if r.ID == "poison" {
			return &processor.Result{Reject: &processor.Reject{Code: processor.CodePayloadTooLarge, Detail: "too large\nfor the sink"}}
		}
		return processortest.Written()
	})
	r := run(t, c, s)
	// A consumer that was just made may say that nothing waits before it has counted.
	eventually(t, "the good one was pushed, and nothing waits", func() bool { return s.IsFinal("good") && r.Stats().Final == 5 && srv.waiting(c.Durable+"-normal") == 0 })
	want := map[string]string{"1": processor.CodeAddressMissing, "2": processor.CodeTTLInvalid, "3": processor.CodePayloadInvalid, "4": processor.CodePayloadTooLarge}
	for _, m := range srv.read("dead", "dead", 4) {
		h := m.Headers()
		n := h.Get(headerSequence)
		if h.Get(processor.HeaderErrorCode) != want[n] || h.Get(processor.HeaderErrorDetail) == "" || h.Get(headerSubject) != "push.normal" || h.Get(headerStream) != "push" {
			t.Errorf("letter %s has the headers %v, want the code %s", n, h, want[n])
		}
		if n == "1" && (string(m.Data()) != "x" || h.Get("roost-device") != "d" || h.Get("Nats-Msg-Id") != "push-1") {
			t.Errorf("a letter is not as its message came: %q %v", m.Data(), h)
		}
		delete(want, n)
	}
	if st := r.Stats(); st.Rejected != 4 || st.DeadLetters != 4 || st.DeadDropped != 0 || st.Redelivered != 0 || st.Final != 5 || len(want) > 0 {
		t.Errorf("counted %+v, no letter for %v", st, want)
	}
}

// TestPoisonWithoutLetters drops and counts what can never succeed.
func TestPoisonWithoutLetters(t *testing.T) {
	srv := pushServer(t)
	srv.send("push.normal", "x")
	c := srv.config()
	r := run(t, c, processortest.New(processortest.Always))
	eventually(t, "nothing waits", func() bool { return srv.waiting(c.Durable+"-normal") == 0 })
	eventually(t, "it is counted", func() bool { st := r.Stats(); return st.Rejected == 1 && st.DeadDropped == 1 && st.Final == 1 })
}

// TestLargeLetters leaves out of a letter what its stream does not take.
func TestLargeLetters(t *testing.T) {
	srv := pushServer(t)
	for name, size := range map[string]int32{"novalue": 1000, "noheaders": 600, "nothing": 10} {
		if _, err := srv.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name}, MaxMsgSize: size}); err != nil {
			t.Fatal(err)
		}
	}
	for subject, want := range map[string]Stats{
		"novalue":   {DeadLetters: 1, DeadShrunk: 1},
		"noheaders": {DeadLetters: 1, DeadShrunk: 2},
		"nothing":   {DeadDropped: 1, DeadShrunk: 2},
	} {
		t.Run(subject, func(t *testing.T) {
			srv.send("push."+subject, strings.Repeat("x", 2000), "of-the-sender", strings.Repeat("y", 400))
			c := srv.config()
			c.NormalSubjects, c.DeadLetterSubject = []string{"push." + subject}, subject
			r := run(t, c, processortest.New(processortest.Always))
			eventually(t, "nothing waits", func() bool { return r.Stats().Final == 1 && srv.waiting(c.Durable+"-normal") == 0 })
			if st := r.Stats(); st.DeadLetters != want.DeadLetters || st.DeadShrunk != want.DeadShrunk || st.DeadDropped != want.DeadDropped {
				t.Errorf("counted %+v", st)
			}
		})
	}
}

// TestBackpressure fills the low lane of the sink: what is fetched stays bounded, and
// messages of high priority pass all the same.
func TestBackpressure(t *testing.T) {
	srv := pushServer(t)
	srv.publish("push.low", 0, 500)
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if r.Priority == high {
			return processortest.Written()
		}
		return nil
	})
	s.Limit(low, 10)
	c := srv.config()
	c.HighSubjects, c.NormalSubjects, c.LowSubjects = []string{"push.high"}, nil, []string{"push.low"}
	c.InWorkMax, c.FetchMax, c.RoomTimeout = 100, 40, time.Minute
	r := run(t, c, s)
	eventually(t, "the sink is full", func() bool { _, kept := s.Count(); return kept == 10 })
	srv.publish("push.high", 0, 300)
	eventually(t, "what is high passes", func() bool { final, _ := s.Count(); return final == 300 })
	if st := r.Stats(); st.InWork[low] < 10 || st.InWork[low] > 100 || st.Fetched[low] > 100 {
		t.Errorf("counted %+v", st)
	}
	eventually(t, "the lag says what waits", func() bool { st := r.Stats(); return st.Lag[low]+st.InWork[low] == 500 })
	s.Limit(low, 0)
	eventually(t, "all are acknowledged", func() bool {
		s.Release(processortest.Some, *processortest.Written())
		return srv.waiting(c.Durable+"-low") == 0
	})
	inOrder(t, s.Taken(), "push.low", 500)
}

// TestRoomless gives messages back for which the sink of one node has no room: another
// node pushes them.
func TestRoomless(t *testing.T) {
	srv := pushServer(t)
	srv.publish("push.normal", 0, 50)
	c := srv.config()
	c.RoomTimeout = 20 * time.Millisecond
	stuck, free := processortest.New(processortest.Never), processortest.New(processortest.Always)
	stuck.Limit(normal, 1)
	one := run(t, c, stuck)
	eventually(t, "some are given back", func() bool { return one.Stats().Roomless[normal] > 0 })
	run(t, c, free)
	eventually(t, "the other node has pushed the rest", func() bool { final, _ := free.Count(); return final == 49 })
	stuck.Release(processortest.Everything, *processortest.Written())
	eventually(t, "all are acknowledged", func() bool { return srv.waiting(c.Durable+"-normal") == 0 })
}

// TestTwoNodes lets a second node join in mid-flight and the first leave after it. Every
// message is final at least once.
func TestTwoNodes(t *testing.T) {
	srv := pushServer(t)
	n := 0
	more := func() { srv.publish("push.normal", n, 20); n += 20 }
	for range 10 {
		more()
	}
	c := srv.config()
	c.FetchMax, c.StopTimeout = 10, 100*time.Millisecond
	c.AckWait = time.Second
	one, two := processortest.New(processortest.Never), processortest.New(processortest.Never)
	step := func() {
		one.Release(processortest.Some, *processortest.Written())
		two.Release(processortest.Some, *processortest.Written())
	}
	first := run(t, c, one)
	eventually(t, "the first is at work", func() bool { step(); final, _ := one.Count(); return final > 20 })
	second := run(t, c, two)
	// The first may have all there is before the second asks for any.
	eventually(t, "both are at work", func() bool { more(); step(); final, _ := two.Count(); return final > 20 })
	stopped := make(chan struct{})
	go func() { first.stop(); close(stopped) }()
	eventually(t, "the first has left", func() bool {
		two.Release(processortest.Some, *processortest.Written()) // the first's sink is silent now
		select {
		case <-stopped:
			return true
		default:
			return false
		}
	})
	eventually(t, "all are acknowledged", func() bool { step(); return srv.waiting(c.Durable+"-normal") == 0 })
	for i := range n {
		if id := fmt.Sprintf("push.normal/%d", i); !one.IsFinal(id) && !two.IsFinal(id) {
			t.Errorf("%s is not final", id)
		}
	}
	if st := second.Stats(); st.Final == 0 {
		t.Errorf("the second counted %+v", st)
	}
}

// TestServerLoss ends the server in mid-flight. Acknowledgements that it does not hear are
// lost, so those messages come again, with the same ids; nothing is lost.
func TestServerLoss(t *testing.T) {
	srv := pushServer(t)
	srv.publish("push.normal", 0, 100)
	c := srv.config()
	c.AckWait = 2 * time.Second
	s := processortest.New(processortest.Never)
	r := run(t, c, s)
	eventually(t, "all are in work", func() bool { _, kept := s.Count(); return kept == 100 })
	s.Release(func(id string) bool { return len(id) == len("push.normal/0") }, *processortest.Written())
	eventually(t, "ten are acknowledged", func() bool { return srv.waiting(c.Durable+"-normal") == 90 })
	srv.shutdown()
	eventually(t, "the source notices", func() bool { return r.Stats().Disconnects > 0 })
	s.Release(processortest.Everything, *processortest.Written())
	srv.start()
	eventually(t, "the server is back", func() bool { return srv.waiting(c.Durable+"-normal") >= 0 })
	srv.publish("push.normal", 100, 20)
	// A server that has just begun may say that nothing waits and have more for the source.
	eventually(t, "all are final and acknowledged", func() bool {
		s.Release(processortest.Everything, *processortest.Written())
		final, _ := s.Count()
		return final == 120 && srv.waiting(c.Durable+"-normal") == 0
	})
}

// TestDuplicates ends a source that has results of nothing: all comes again, to the next
// one, with the same ids, each once. In which order is the server's choice (doc.go).
func TestDuplicates(t *testing.T) {
	srv := pushServer(t)
	srv.publish("push.normal", 0, 30)
	c := srv.config()
	c.StopTimeout, c.AckWait = 10*time.Millisecond, 2*time.Second
	one, two := processortest.New(processortest.Never), processortest.New(processortest.Always)
	first := run(t, c, one)
	eventually(t, "all are in work", func() bool { _, kept := one.Count(); return kept == 30 })
	first.stop()
	if st := first.Stats(); st.Abandoned != 30 {
		t.Errorf("counted %+v", st)
	}
	one.Release(processortest.Everything, *processortest.Written()) // after the end, which must harm nobody
	second := run(t, c, two)
	eventually(t, "all are acknowledged", func() bool { return srv.waiting(c.Durable+"-normal") == 0 })
	taken := two.Taken()
	slices.SortFunc(taken, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	inOrder(t, taken, "push.normal", 30)
	if st := second.Stats(); st.Redelivered != 30 {
		t.Errorf("counted %+v", st)
	}
}

// TestStartErrors holds that Run says at once which thing is wrong and what to do.
func TestStartErrors(t *testing.T) {
	srv := pushServer(t)
	secured := newServer(t, func(o *natsserver.Options) { o.Username, o.Password = "roost", "secret" })
	without := newServer(t, func(o *natsserver.Options) { o.JetStream = false })
	gone := newServer(t)
	gone.shutdown()
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"nobody answers", func(c *Config) { c.Connection.Servers = []string{gone.running.ClientURL()} }, []string{"no server of nats://127.41.7.3:", "answers: check servers"}},
		{"wrong password", func(c *Config) {
			c.Connection.Servers = []string{secured.running.ClientURL()}
			c.Connection.User, c.Connection.Password = "roost", "wrong"
		}, []string{"refuses this client: check user and password"}},
		{"no JetStream", func(c *Config) { c.Connection.Servers = []string{without.running.ClientURL()} }, []string{"have no JetStream", "turn it on"}},
		{"no stream", func(c *Config) { c.Stream = "elsewhere" }, []string{`stream "elsewhere" does not exist: create it, nats stream add elsewhere`}},
		{"no dead letters", func(c *Config) { c.DeadLetterSubject = "nowhere" }, []string{"no stream has the dead_letter_subject nowhere"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := srv.config()
			cfg.StartTimeout = 2 * time.Second
			c.change(&cfg)
			s, err := New(cfg, processortest.New(processortest.Always), discard)
			if err != nil {
				t.Fatal(err)
			}
			if err = s.Run(t.Context()); err == nil {
				t.Fatal("it ran")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error lacks %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

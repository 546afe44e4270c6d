package trace

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

func id(node string, n session.MessageID) session.ID {
	return session.ID{Origin: session.Origin{Node: node, Epoch: 7}, Number: n}
}

// TestRingModel: a ring has exactly the newest events of each shard, in the order in which
// they were noted, and all of what was said of them.
func TestRingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shards := session.MessageID(rapid.SampledFrom([]int{1, 2, 8, ringShardsMax}).Draw(t, "shards"))
		size := rapid.SampledFrom([]int{1, 2, 3, 5, lookMax - 1, lookMax, lookMax + 1}).Draw(t, "size")
		now := int64(1000)
		r := newRing(Config{Mode: ModeAll, Events: int(shards) * size}, func() int64 { return now }, int(shards))
		all := map[session.MessageID][]Event{} // by shard
		if size > 100 {                        // nobody asks for these
			for n := range shards {
				for range size - 20 {
					r.Note(session.Event{ID: id("z", 100*shards+n)})
					all[n] = append(all[n], Event{session.Event{ID: id("z", 100*shards+n)}, now})
				}
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			now += rapid.Int64Range(-2, 9).Draw(t, "passed")
			e := session.Event{
				ID:      id(rapid.SampledFrom([]string{"a", "b", strings.Repeat("n", session.NodeBytesMax)}).Draw(t, "node"), session.MessageID(rapid.IntRange(1, 40).Draw(t, "number"))),
				Step:    session.Step(rapid.IntRange(1, 13).Draw(t, "step")),
				Outcome: session.Outcome(rapid.IntRange(0, session.OutcomeCount-1).Draw(t, "outcome")),
				Devices: rapid.Uint32().Draw(t, "devices"),
				Device:  rapid.StringMatching("[a-zé]{0,10}").Draw(t, "device"),
				Peer:    rapid.SampledFrom([]string{"", "b", strings.Repeat("p", session.NodeBytesMax)}).Draw(t, "peer"),
			}
			r.Note(e)
			shard := e.ID.Number % shards
			all[shard] = append(all[shard], Event{e, now})
			if extra := len(all[shard]) - size; extra > 0 {
				all[shard] = all[shard][extra:]
			}
		}
		for _, node := range []string{"a", "b", strings.Repeat("n", session.NodeBytesMax)} {
			for n := session.MessageID(1); n <= 40; n++ {
				want := slices.DeleteFunc(slices.Clone(all[n%shards]), func(e Event) bool { return e.ID != id(node, n) })
				if got := r.Events(id(node, n)); !slices.Equal(got, want) {
					t.Fatalf("of %s.%d\n%+v, want\n%+v", node, n, got, want)
				}
			}
		}
	})
}

func TestLongDevice(t *testing.T) {
	r := New(Default(), func() int64 { return 5 })
	for name, want := range map[string]string{
		strings.Repeat("d", deviceBytesMax):         strings.Repeat("d", deviceBytesMax),
		strings.Repeat("d", deviceBytesMax+1):       strings.Repeat("d", deviceBytesMax) + cut,
		strings.Repeat("d", deviceBytesMax-1) + "é": strings.Repeat("d", deviceBytesMax-1) + cut,
	} {
		r.Note(session.Event{ID: id("a", 1), Step: session.StepSent, Device: name})
		list := r.Events(id("a", 1))
		if got := list[len(list)-1].Device; got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}

func TestModes(t *testing.T) {
	for mode, want := range map[string]int{ModeAll: 2, ModeTraced: 1, ModeOff: 0} {
		r := New(Config{Mode: mode, Events: eventsMin}, func() int64 { return 5 })
		r.Note(session.Event{ID: id("a", 1), Step: session.StepSent})
		r.Note(session.Event{ID: id("a", 1), Step: session.StepSent, Traced: true})
		if got := len(r.Events(id("a", 1))); got != want || r.Stats().Noted != uint64(want) {
			t.Errorf("%s: %d events", mode, got)
		}
	}
}

func TestStats(t *testing.T) {
	now := int64(1_000_000)
	const shards = 8
	r := newRing(Config{Mode: ModeAll, Events: eventsMin}, func() int64 { return now }, shards)
	for range eventsMin/shards + 3 { // all in one shard
		r.Note(session.Event{ID: id("a", shards)})
		now += 1000
	}
	if got, want := r.Stats(), (Stats{Noted: eventsMin/shards + 3, Forgotten: 3, ReachMS: eventsMin / shards}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The documentation of Config.Events says what an event takes.
func TestSlotBytes(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n != 128 {
		t.Errorf("an event takes %d bytes: say so in config.go", n)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		mode, wrong string
		events      int
	}{
		{ModeAll, "", eventsMin}, {ModeOff, "", eventsMax}, {ModeTraced, "", 1 << 16},
		{"some", "mode", 1 << 16}, {ModeAll, "events", eventsMin - 1}, {ModeAll, "events", eventsMax + 1}, {ModeOff, "events", 0},
	} {
		cfg := Default()
		cfg.Mode, cfg.Events = c.mode, c.events
		err := cfg.Validate()
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), "trace: "+c.wrong) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestNoteAllocatesNothing(t *testing.T) {
	r := New(Default(), func() int64 { return time.Now().UnixMicro() })
	e := session.Event{ID: id("node-1", 1), Step: session.StepSent, Device: "phone", Peer: "node-2"}
	if n := testing.AllocsPerRun(1000, func() { e.ID.Number++; r.Note(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNote(b *testing.B) {
	for _, mode := range []string{ModeAll, ModeTraced, ModeOff} {
		b.Run(mode, func(b *testing.B) {
			r := New(Config{Mode: mode, Events: 1 << 16}, func() int64 { return time.Now().UnixMicro() })
			e := session.Event{ID: id("node-1", 1), Step: session.StepSent, Device: "phone", Peer: "node-2"}
			b.ReportAllocs()
			for b.Loop() {
				e.ID.Number++
				r.Note(e)
			}
		})
	}
}

func BenchmarkEvents(b *testing.B) {
	r := New(Default(), func() int64 { return 5 })
	for i := range 1 << 17 {
		r.Note(session.Event{ID: id("node-1", session.MessageID(i))})
	}
	for b.Loop() {
		if r.Events(id("node-1", 1<<17-5)) == nil {
			b.Fatal("it is gone")
		}
	}
}

func TestExportConfig(t *testing.T) {
	for _, c := range []struct {
		wrong  string
		change func(c *Config)
	}{
		{"", func(c *Config) { c.OTLP.URL = "https://collector.example:4318/v1/traces" }},
		{"otlp.url", func(c *Config) { c.OTLP.URL = "collector:4318" }},
		{"otlp.url", func(c *Config) { c.OTLP.URL = "ftp://collector/v1/traces" }},
		{"otlp.url has a user", func(c *Config) { c.OTLP.URL = "http://me:secret@collector/v1/traces" }},
		{"/v1/traces", func(c *Config) { c.OTLP.URL = "http://collector:4318" }},
		{"mode is off", func(c *Config) { c.Mode, c.OTLP.URL = ModeOff, "http://collector:4318/v1/traces" }},
		{"otlp.interval", func(c *Config) { c.OTLP.Interval = 0 }},
		{"otlp.events_max", func(c *Config) { c.OTLP.EventsMax = 0 }},
	} {
		cfg := Default()
		c.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (c.wrong == "") || err != nil && (!strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v", c.wrong, err)
		}
	}
}

// told is an exporter that writes down what it is told.
type told []Event

func (x *told) Note(e Event) { *x = append(*x, e) }

// TestExporterHearsOfTracedMessages, with the time that the ring has noted.
func TestExporterHearsOfTracedMessages(t *testing.T) {
	var x told
	r := New(Default(), func() int64 { return 5 })
	r.AttachExporter(&x)
	r.Note(session.Event{ID: id("a", 1), Step: session.StepAccepted})
	want := session.Event{ID: id("a", 2), Step: session.StepAccepted, Traced: true, Trace: "00-...", Device: "d"}
	r.Note(want)
	if !slices.Equal(x, []Event{{want, 5}}) {
		t.Errorf("it heard %+v", x)
	}
	var off *Ring
	off.AttachExporter(&x)
	off.Note(want)
	if len(x) != 1 {
		t.Error("a ring that is off has told something")
	}
}

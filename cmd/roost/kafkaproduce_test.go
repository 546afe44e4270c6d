package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/roostpush/roost/session/processor/kafka/kafkatest"
)

// TestKafkaProduce produces as a person does, to a broker within the process.
func TestKafkaProduce(t *testing.T) {
	broker := kafkatest.Start(t, 1, "push")
	for _, c := range []struct {
		name, in, args string
		code           int
		out, err       string
	}{
		{"a payload", "", `--topic push --account alice --device phone --ttl 1h --id order-7 {"a":1}`, exitOK, "partition 0 offset 0\n", ""},
		{"lines", "one\n\ntwo\n", "--topic push --account alice --type text/plain --id l", exitOK, "partition 0 offset 1\npartition 0 offset 2\n", ""},
		{"no topic", "", "--topic elsewhere --account alice {}", exitFailed, "", `topic "elsewhere" (topic) does not exist: create it`},
		{"ttl", "", "--topic push --account alice --ttl=-1s {}", exitUsage, "", "--ttl is 1ms or longer"},
		{"no account", "", "--topic push {}", exitUsage, "", "--account"},
		{"no port", "", "--brokers kafka --topic push --account alice {}", exitUsage, "", `brokers has "kafka": write host:port`},
		{"no password", "", "--topic push --account alice --sasl plain --user roost {}", exitUsage, "", "needs password or password_file"},
		{"no file", "", "--topic push --account alice @/nowhere/at/all", exitUsage, "", "payload: open /nowhere/at/all"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			world := terminal{ctx: context.Background(), in: strings.NewReader(c.in), out: &out, err: &errs}
			args := append([]string{"kafka-produce"}, strings.Fields(c.args)...)
			if !strings.Contains(c.args, "--brokers") {
				args = append(args, "--brokers", broker)
			}
			if code := run(args, world); code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, &errs)
			}
			if out.String() != c.out || !strings.Contains(errs.String(), c.err) {
				t.Errorf("printed %q and %q, want %q and %q", &out, &errs, c.out, c.err)
			}
		})
	}
	records := kafkatest.Read(t, broker, "push", 3)
	for i, want := range []kafkatest.Record{
		{Key: "alice", Value: `{"a":1}`, Headers: map[string]string{"roost-account": "alice", "roost-device": "phone", "roost-id": "order-7", "roost-ttl-ms": "3600000", "content-type": "application/json"}},
		{Key: "alice", Value: "one", Headers: map[string]string{"roost-account": "alice", "roost-id": "l-1", "content-type": "text/plain"}},
		{Key: "alice", Value: "two", Headers: map[string]string{"roost-account": "alice", "roost-id": "l-3", "content-type": "text/plain"}},
	} {
		got := records[i]
		if got.Key != want.Key || got.Value != want.Value || len(got.Headers) != len(want.Headers) {
			t.Errorf("record %d is %+v, want %+v", i, got, want)
		}
		for name, value := range want.Headers {
			if got.Headers[name] != value {
				t.Errorf("record %d: header %s is %q, want %q", i, name, got.Headers[name], value)
			}
		}
	}
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/deliver"
)

// A node whose table is too small for its cluster: what is in it is delivered, what is not
// is never called offline, devices that come to it displace others as ever, and all is
// well again when devices leave.
func TestTableTooSmall(t *testing.T) {
	t.Parallel()
	const others, devices = 30, 60
	first := startClusterNode(t, "n1", nil, nil)
	full := startClusterNode(t, "n2", []string{first.node.cluster.GossipAddr()}, func(c *config.Config) {
		c.Route.EntriesMax, c.Route.OwnEntries = others+10, 10
		c.Replica.AuditMS, c.Replica.AgeMS = 200, 50
	})
	full.eventually("the nodes are linked", func() bool { return first.linked() == 1 && full.linked() == 1 })
	// The log is asked for after the link is up, and answered with a snapshot. Devices that are in
	// it never come as changes, so all of them connect after it, and refusals are counted, which
	// there are in either case.
	full.eventually("the first node's log is followed", func() bool { return full.metric("roost_replica_authors") == 1 })
	var held []*testDevice
	for i := range devices {
		held = append(held, first.connect(fmt.Sprint("a", i), "d"))
	}
	full.eventually("the last device was refused", func() bool { return full.metric("roost_replica_dropped_full_total") >= devices-others })

	push := func(to string) (outcome string) {
		t.Helper()
		status, text := full.call("POST", "/v1/messages", `{"to":`+to+`,"payload":1}`)
		for _, outcome := range []string{"written", "overloaded", "offline"} {
			if strings.Contains(text, `"outcome":"`+outcome+`"`) {
				return outcome
			}
		}
		return fmt.Sprint(status, text)
	}
	device := func(i int) string { return fmt.Sprintf(`{"account":"a%d","device":"d"}`, i) }
	var missing []int
	for i := range devices {
		switch outcome := push(device(i)); outcome {
		case "written":
			held[i].line()
		case "overloaded":
			missing = append(missing, i)
		default:
			t.Errorf("a push to device %d is %s", i, outcome)
		}
	}
	if len(missing) != devices-others {
		t.Fatalf("%d devices are missing in a table of %d", len(missing), others)
	}
	if n := full.metric("roost_deliver_unsure_total"); n != float64(len(missing)) {
		t.Errorf("%v are counted", n)
	}
	if full.metric("roost_replica_incomplete") != 1 || full.metric("roost_route_full_total") == 0 {
		t.Error("metrics do not say that the table is full")
	}
	full.eventually("it is logged", func() bool { return full.log.has("the table is full", "entries_max=40", "n1") })
	if status, text := full.call("GET", "/readyz", ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if _, text := full.call("GET", fmt.Sprintf("/v1/accounts/a%d/devices/d/route", missing[0]), ""); !strings.Contains(text, `"state":"unsure"`) {
		t.Error(text)
	}
	// An account is asked about where devices are missing; the other node knows all.
	if outcome := push(fmt.Sprintf(`{"account":"a%d"}`, missing[0])); outcome != "written" {
		t.Errorf("a push to an account is %s", outcome)
	}
	held[missing[0]].line()
	if status, text := first.call("POST", "/v1/messages", `{"to":{"account":"nobody","device":"d"},"payload":1}`); status != 404 {
		t.Errorf("the other node is not full: %d %s", status, text)
	}
	// A device that is not in the table comes here, and goes back.
	moved := full.connect(fmt.Sprint("a", missing[1]), "d")
	if code, _ := held[missing[1]].closed(); code != 4001 {
		t.Errorf("the older connection ended with %d", code)
	}
	held[missing[1]] = first.connect(fmt.Sprint("a", missing[1]), "d")
	if code, _ := moved.closed(); code != 4001 {
		t.Errorf("the older connection ended with %d", code)
	}
	// Room again.
	gone := map[int]bool{}
	for i := range devices {
		if len(gone) < 45 && i != missing[0] && i != missing[1] {
			held[i].conn.Close()
			gone[i] = true
		}
	}
	full.eventually("it has all devices again", func() bool { return full.log.has("the table has all devices again") })
	for i := range gone {
		full.eventually("its going is known", func() bool { return full.node.cluster.Locate(fmt.Sprint("a", i), "d").State == deliver.Nowhere })
	}
	for i := range devices {
		outcome := push(device(i))
		if want := map[bool]string{true: "offline", false: "written"}[gone[i]]; outcome != want {
			t.Errorf("a push to device %d is %s, want %s", i, outcome, want)
		}
	}
	if n := full.log.count("the table is full"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
}

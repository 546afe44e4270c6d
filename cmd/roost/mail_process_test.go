package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// accept pushes messages to devices of alice that are off, as fast as it can, until atLeast
// results have come; the process is killed while the stream goes on. It returns the ids that
// were accepted, with their devices.
func (p *process) accept(devices, atLeast int) map[string]string {
	p.t.Helper()
	in, out := io.Pipe()
	defer in.Close()
	go func() {
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(out, `{"to":{"account":"alice","device":"d%d"},"payload":%d,"ttl_ms":3600000,"wait":"none"}`+"\n", i%devices, i); err != nil {
				return
			}
		}
	}()
	resp, err := http.Post("http://"+p.internal+"/v1/messages", "application/x-ndjson", in)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	accepted := map[string]string{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var a struct {
			Status   int
			ID       string
			Outcomes []struct{ Device string }
		}
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			break // the last line was cut
		}
		if a.Status == http.StatusAccepted {
			accepted[a.ID] = a.Outcomes[0].Device
		}
		if len(accepted) == atLeast {
			_ = p.cmd.Process.Signal(syscall.SIGKILL)
		}
	}
	<-p.ended
	return accepted
}

// TestKillLosesNothingAccepted kills the node under a stream of pushes that it keeps, three
// times. Each one that it has said 202 to comes when its device does, and is over with the
// ack.
func TestKillLosesNothingAccepted(t *testing.T) {
	t.Parallel()
	devices, each := 20, 500
	if testing.Short() {
		devices, each = 5, 50 // the race detector is slow
	}
	data := filepath.Join(t.TempDir(), "data")
	accepted := map[string]string{}
	for range 3 {
		p := startProcess(t, 1024, "--data", data)
		for id, device := range p.accept(devices, each) {
			accepted[id] = device
		}
	}
	if len(accepted) < 3*each {
		t.Fatalf("%d pushes were accepted", len(accepted))
	}
	p := startProcess(t, 1024, "--data", data)
	n := &testNode{t: t, public: p.public, internal: p.internal}
	owed := map[string]int{}
	for _, device := range accepted {
		owed[device]++
	}
	got, others := map[string]bool{}, 0
	for i := range devices {
		name := fmt.Sprint("d", i)
		d := n.connect("alice", name)
		for owed[name] > 0 {
			m := d.expect(map[string]any{"type": "message", "ack": true})
			id := fmt.Sprint(m["id"])
			d.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, id))
			switch {
			case got[id]:
				t.Fatalf("%s came twice over one connection", id)
			case accepted[id] == name:
				owed[name]--
			case accepted[id] != "":
				t.Fatalf("%s came to %s, and is for %s", id, name, accepted[id])
			default:
				others++ // stored, and killed before it could be said
			}
			got[id] = true
		}
	}
	t.Logf("%d accepted, %d delivered, %d of them without an answer", len(accepted), len(got), others)
	for id, device := range accepted {
		eventually(t, id+" is acked", func() bool {
			return strings.Contains(p.text("/v1/messages/"+id), fmt.Sprintf(`{"device":%q,"outcome":"acked"`, device))
		})
	}
}

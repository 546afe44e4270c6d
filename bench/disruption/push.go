package disruption

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"time"
)

// Times of a push.
const (
	pushWait    = 5 * time.Second  // that the node is asked to wait for the outcome
	answerMax   = 12 * time.Second // in which it must have answered; longer is silence
	outcomeMax  = 64 << 10         // bytes of an answer
	entriesMax  = 8                // nodes tried until one takes the push
	unansweredX = "no answer"      // in place of an outcome
)

// push is one push, from its number to its judgement.
type push struct {
	device   *device
	number   int
	entry    int
	proof    bool
	phase    string
	begunNS  int64
	took     time.Duration
	begin    view
	outcome  string // or unansweredX
	node     string // that the answer names
	problem  string // that kept the answer away
	wasReset bool   // before any answer, and the connection was new
	reused   bool   // it went over a connection that had been used before
	stayed   bool   // the device's sessions were still the same when the message should have arrived
}

// post sends a push to a node and reads its outcome. taken is false when the node took
// nothing of it, so that another may be asked.
func (p *pusher) post(ctx context.Context, one *push) (taken bool) {
	ctx, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	body, err := json.Marshal(map[string]any{
		"to": map[string]string{"account": one.device.name, "device": one.device.name}, "timeout_ms": pushWait.Milliseconds(),
		"payload": pushed{For: one.device.name, Worker: p.fleet.cfg.Worker, Number: one.number},
	})
	if err != nil {
		panic(err)
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(c httptrace.GotConnInfo) { one.reused = c.Reused },
		WroteRequest: func(w httptrace.WroteRequestInfo) { taken = taken || w.Err == nil },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.fleet.cfg.Nodes[one.entry].Internal+"/v1/messages", bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if p.fleet.cfg.Token != "" {
		request.Header.Set("Authorization", "Bearer "+p.fleet.cfg.Token)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		one.outcome, one.problem = unansweredX, err.Error()
		one.wasReset = !one.reused && errors.Is(err, syscall.ECONNRESET)
		return taken
	}
	defer answer.Body.Close()
	if err := one.read(answer); err != nil {
		one.outcome, one.problem = unansweredX, err.Error()
	}
	return true
}

// read takes the one outcome out of an answer; a problem without one is an outcome of
// that name.
func (o *push) read(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, outcomeMax))
	if err != nil {
		return err
	}
	var a struct {
		Code     string
		Outcomes []struct{ Outcome, Node string }
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("HTTP %d: %.200q: %w", answer.StatusCode, text, err)
	}
	switch {
	case len(a.Outcomes) == 1:
		o.outcome, o.node = a.Outcomes[0].Outcome, a.Outcomes[0].Node
	case len(a.Outcomes) == 0 && a.Code != "":
		o.outcome = a.Code
	default:
		return errors.New("the answer has no one outcome: " + string(text[:min(len(text), 200)]))
	}
	return nil
}

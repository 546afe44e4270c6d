package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMain lets the test binary be the program itself: each server is tested in a
// process of its own, as it is measured.
func TestMain(m *testing.M) {
	if os.Getenv("PEERS_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience bounds every wait for a server; nothing waits that long when all is well.
const patience = time.Minute

// start runs a server until the test ends and returns the addresses that it prints.
func start(t *testing.T, name string, lines int) (addrs []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], name, "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "PEERS_TEST_MAIN=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	timeout := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	in := bufio.NewReader(out)
	for range lines {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s said %q and ended: %v", name, line, err)
		}
		_, addr, ok := strings.Cut(strings.TrimSpace(line), " on ")
		if !ok || !strings.HasPrefix(line, name+" ") {
			t.Fatalf("%s said %q", name, line)
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

// client is a connection whose every wait is bounded.
type client struct {
	net.Conn
	in io.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buffered, _, err := ws.Dialer{}.Upgrade(c, mustURL("ws://"+addr+"/any/path?x=1"))
	if err != nil {
		t.Fatal(err)
	}
	if buffered != nil {
		return &client{c, buffered}
	}
	return &client{c, c}
}

// readFrame reads one frame of a server that this test started itself.
func readFrame(r io.Reader) (ws.Frame, error) {
	//lint:ignore SA1019 the size that it does not bound is that of our own messages
	return ws.ReadFrame(r)
}

func frame(op ws.OpCode, fin bool, payload []byte) []byte {
	f := ws.MaskFrame(ws.NewFrame(op, fin, payload))
	return ws.MustCompileFrame(f)
}

// message reads one message, fragments joined; control frames in between are noted.
func (c *client) message(t *testing.T) (op ws.OpCode, payload []byte, pongs []string) {
	t.Helper()
	for {
		f, err := readFrame(c.in)
		switch {
		case err != nil:
			t.Fatal(err)
		case f.Header.Masked:
			t.Fatal("a server's frame is masked")
		case f.Header.OpCode == ws.OpPong:
			pongs = append(pongs, string(f.Payload))
			continue
		case f.Header.OpCode != ws.OpContinuation:
			op = f.Header.OpCode
		}
		payload = append(payload, f.Payload...)
		if f.Header.Fin {
			return op, payload, pongs
		}
	}
}

func TestEcho(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 1000) // fits every buffer on the way
	for _, p := range peers {
		if p.name == "relay" || p.name == "kafka" || p.name == "kafkapoll" {
			continue // they have no echo: TestRelay, TestKafka
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			lines := 1
			if p.name == "writeloop" {
				lines = 2
			}
			addrs := start(t, p.name, lines)
			c := dial(t, addrs[lines-1])
			for _, step := range []struct {
				name  string
				send  [][]byte // one write each
				op    ws.OpCode
				want  []byte
				again bool // the same message comes twice
				pongs string
			}{
				{"text", [][]byte{frame(ws.OpText, true, []byte("hällo"))}, ws.OpText, []byte("hällo"), false, ""},
				{"binary", [][]byte{frame(ws.OpBinary, true, []byte{0, 255, 128})}, ws.OpBinary, []byte{0, 255, 128}, false, ""},
				{"125 bytes", [][]byte{frame(ws.OpBinary, true, long[:125])}, ws.OpBinary, long[:125], false, ""},
				{"126 bytes", [][]byte{frame(ws.OpBinary, true, long[:126])}, ws.OpBinary, long[:126], false, ""},
				{"long", [][]byte{frame(ws.OpText, true, long)}, ws.OpText, long, false, ""},
				{"fragments", [][]byte{frame(ws.OpText, false, []byte("a")), frame(ws.OpContinuation, false, []byte("b")), frame(ws.OpContinuation, true, []byte("c"))}, ws.OpText, []byte("abc"), false, ""},
				{"ping between fragments", [][]byte{bytes.Join([][]byte{frame(ws.OpText, false, []byte("x")), frame(ws.OpPing, true, []byte("are you there")), frame(ws.OpContinuation, true, []byte("y"))}, nil)}, ws.OpText, []byte("xy"), false, "are you there"},
				{"two in one write", [][]byte{bytes.Repeat(frame(ws.OpText, true, []byte("twice")), 2)}, ws.OpText, []byte("twice"), true, ""},
				{"byte by byte", bytes.SplitAfter(frame(ws.OpBinary, true, []byte("slow")), nil), ws.OpBinary, []byte("slow"), false, ""},
				{"a frame and a half", halves(frame(ws.OpText, true, long[:300])), ws.OpText, long[:300], true, ""},
			} {
				for _, piece := range step.send {
					if _, err := c.Write(piece); err != nil {
						t.Fatalf("%s: %v", step.name, err)
					}
				}
				for range 1 + map[bool]int{true: 1}[step.again] {
					op, got, pongs := c.message(t)
					if op != step.op || !bytes.Equal(got, step.want) || strings.Join(pongs, "") != step.pongs {
						t.Fatalf("%s: got %v %q, pongs %q", step.name, op, got, pongs)
					}
				}
			}
			closeWorks(t, c)
		})
	}
}

// halves returns one and a half frames, and the rest of the second.
func halves(f []byte) [][]byte {
	both := append(bytes.Clone(f), f...)
	cut := len(f) * 3 / 2
	return [][]byte{both[:cut], both[cut:]}
}

// closeWorks sends a close frame; the server must answer it and end the connection.
func closeWorks(t *testing.T, c *client) {
	t.Helper()
	if _, err := c.Write(frame(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))); err != nil {
		t.Fatal(err)
	}
	f, err := readFrame(c.in)
	if err != nil || f.Header.OpCode != ws.OpClose {
		t.Fatalf("answer to close: %+v, %v", f.Header, err)
	}
	if n, err := c.in.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatalf("%d bytes after the close frame", n)
	}
}

// TestRequestInPieces upgrades with a request that arrives in two reads.
func TestRequestInPieces(t *testing.T) {
	for _, name := range []string{"poller", "gnet"} {
		t.Run(name, func(t *testing.T) {
			addr := start(t, name, 1)[0]
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			request := "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
			all := append([]byte(request), frame(ws.OpText, true, []byte("early"))...)
			for _, piece := range [][]byte{all[:50], all[50:]} {
				if _, err := c.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
			in := bufio.NewReader(c)
			answer, err := http.ReadResponse(in, nil)
			if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%+v %v", answer, err)
			}
			f, err := readFrame(in)
			if err != nil || string(f.Payload) != "early" {
				t.Fatalf("%q %v", f.Payload, err)
			}
		})
	}
}

func TestRelay(t *testing.T) {
	addr := start(t, "relay", 1)[0]
	join := func(device string) (net.Conn, io.Reader) {
		c, buffered, _, err := ws.Dialer{Timeout: patience}.Dial(t.Context(), "ws://"+addr+"/ws?account=acc-1&device="+device)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		if buffered != nil {
			return c, buffered
		}
		return c, c
	}
	from, results := join("a")
	_, messages := join("b")
	text := []byte(`{"type":"send","id":"0123","to":{"device":"b"},"payload":"` + strings.Repeat("x", 200) + `"}`)
	one := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(text)))
	two := append(append([]byte{}, one...), one...)
	for _, piece := range [][]byte{two[:10], two[10 : len(one)+3], two[len(one)+3:]} {
		if _, err := from.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		f, err := ws.ReadFrame(messages)
		if err != nil || !json.Valid(f.Payload) || !strings.Contains(string(f.Payload), `"payload":"xxx`) || !strings.HasPrefix(string(f.Payload), `{"type":"message"`) {
			t.Fatalf("%s, %v", f.Payload, err)
		}
		if f, err = ws.ReadFrame(results); err != nil || string(f.Payload) != `{"type":"result","ref":"0123","status":"written"}` {
			t.Fatalf("%s, %v", f.Payload, err)
		}
	}
}

func TestWriteLoop(t *testing.T) {
	addrs := start(t, "writeloop", 2)
	var clients []*client
	for range 3 {
		clients = append(clients, dial(t, addrs[1]))
	}
	var report writeReport
	ask(t, http.MethodPost, "http://"+addrs[0]+"/write?bytes=120&rounds=4", &report)
	if report.Connections != 3 || report.Writes != 12 || report.Full != 0 || report.FrameBytes != 122 || report.CPUPerWrite <= 0 {
		t.Errorf("%+v", report)
	}
	for i, c := range clients {
		for range 4 {
			if op, payload, _ := c.message(t); op != ws.OpText || len(payload) != 120 {
				t.Fatalf("connection %d got %v of %d bytes", i, op, len(payload))
			}
		}
	}
	closeWorks(t, clients[0])
	var count map[string]int
	ask(t, http.MethodGet, "http://"+addrs[0]+"/connections", &count)
	if count["connections"] != 2 {
		t.Errorf("after one left: %v", count)
	}
	answer, err := http.Post("http://"+addrs[0]+"/write?rounds=none", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("rounds=none: %s", answer.Status)
	}
}

// TestWriteLoopReadsPongs has three devices answer pings, as acks answer messages.
func TestWriteLoopReadsPongs(t *testing.T) {
	addrs := start(t, "writeloop", 2)
	const devices, rounds = 3, 2
	var answering sync.WaitGroup
	for range devices {
		c := dial(t, addrs[1])
		answering.Go(func() {
			for range rounds {
				op, payload, _ := c.message(t)
				if op != ws.OpPing || len(payload) != 60 {
					t.Errorf("%v of %d bytes", op, len(payload))
				}
				if _, err := c.Write(frame(ws.OpPong, true, payload)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var report writeReport
	ask(t, http.MethodPost, fmt.Sprintf("http://%s/answered?bytes=60&rounds=%d", addrs[0], rounds), &report)
	answering.Wait()
	if report.Connections != devices || report.Writes != devices*rounds || report.Full != 0 || report.CPUPerWrite <= 0 {
		t.Errorf("%+v", report)
	}
	answer, err := http.Post("http://"+addrs[0]+"/answered?bytes=126", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a ping of 126 bytes: %s", answer.Status)
	}
}

// The broker is where --listen says, and has the topics of the README's lines.
func TestKafkaListens(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	var out bytes.Buffer
	if err := run([]string{"kafka", "--listen", free.Addr().String()}, &out); err == nil || !strings.Contains(err.Error(), free.Addr().String()) {
		t.Errorf("a broker where somebody else listens: %v", err)
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"gws", "--help"}, {"gws", "-h"}} {
		var out bytes.Buffer
		if err := run(args, &out); err != nil || !strings.Contains(out.String(), "--listen") {
			t.Errorf("%v: %v, %q", args, err, out.String())
		}
	}
	if err := run([]string{"gws", "--lissten", "x"}, io.Discard); err == nil || !strings.Contains(err.Error(), "--help") {
		t.Errorf("an unknown flag: %v", err)
	}
}

func TestKafka(t *testing.T) {
	addrs := start(t, "kafka", 2)
	const records, devices = 7, 3
	var report produceReport
	ask(t, http.MethodPost, fmt.Sprintf("http://%s/produce?records=%d&devices=%d&bytes=128", addrs[0], records, devices), &report)
	if report.Records != records {
		t.Errorf("%+v", report)
	}
	ask(t, http.MethodPost, fmt.Sprintf("http://%s/commit", addrs[0]), &struct{}{})
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs[1]), kgo.ConsumeTopics(kafkaTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	of := map[string]int{}
	for got := 0; got < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", got, records, err)
		}
		for r := range fetches.RecordsAll() {
			got++
			if len(r.Value) != 128 || !json.Valid(r.Value) || len(r.Headers) != 2 || r.Headers[0].Key != "roost-account" || r.Headers[1].Key != "roost-device" {
				t.Fatalf("%+v", r)
			}
			of[string(r.Headers[0].Value)+"/"+string(r.Headers[1].Value)]++
		}
	}
	if len(of) != devices || of["acc-0/dev-0"] != 3 || of["acc-1/dev-1"] != 2 || of["acc-2/dev-2"] != 2 {
		t.Errorf("%v", of)
	}
	bare := start(t, "kafkapoll", 1)
	for _, n := range []int{records - 2, 2} { // it goes on where it was
		var polled pollReport
		ask(t, http.MethodPost, fmt.Sprintf("http://%s/poll?records=%d&broker=%s", bare[0], n, addrs[1]), &polled)
		if polled.Records != n || polled.CPUNS <= 0 {
			t.Errorf("%d records: %+v", n, polled)
		}
	}
}

func ask(t *testing.T, method, url string, into any) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		t.Fatal(fmt.Errorf("%s %s: %s: %w", method, url, answer.Status, err))
	}
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

// FuzzEchoFrames holds echoFrames to gobwas/ws's own reader: what it answers are the
// frames that were sent, unmasked, with pings made pongs.
func FuzzEchoFrames(f *testing.F) {
	f.Add([]byte("ab"), []byte("c"), true)
	f.Add(bytes.Repeat([]byte("x"), 200), []byte{}, false)
	f.Fuzz(func(t *testing.T, first, second []byte, ping bool) {
		sent := []ws.Frame{ws.NewTextFrame(first), ws.NewFrame(ws.OpPong, true, []byte("ignored")), ws.NewBinaryFrame(second)}
		if ping && len(first) < 126 {
			sent[0] = ws.NewPingFrame(first)
		}
		var data, want []byte
		for _, s := range sent {
			data = append(data, frame(s.Header.OpCode, true, bytes.Clone(s.Payload))...)
			switch s.Header.OpCode {
			case ws.OpPing:
				s = ws.NewPongFrame(s.Payload)
			case ws.OpPong:
				continue
			}
			want = append(want, ws.MustCompileFrame(s)...)
		}
		whole := len(data)
		data = append(data, frame(ws.OpText, true, second)[:2]...) // a frame that is not whole
		e, err := echoFrames(data)
		if err != nil || e.done != whole || !bytes.Equal(data[e.begin:e.end], want) {
			t.Fatalf("%v, done %d of %d, got %x, want %x", err, e.done, whole, data[e.begin:e.end], want)
		}
	})
}

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"golang.org/x/sys/unix"
)

// fakeNode answers the commands as PROTOCOL.md says a node does, with whatever
// outcome the device's name asks for, so that a script can see every one.
type fakeNode struct {
	api    *httptest.Server
	public *httptest.Server
}

func newFakeNode() *fakeNode {
	api := http.NewServeMux()
	api.HandleFunc("POST /v1/messages", fakePush)
	api.HandleFunc("GET /v1/accounts/{account}/devices", fakeDevices)
	api.HandleFunc("GET /v1/accounts/{account}/devices/{device}/route", fakeRoute)
	api.HandleFunc("DELETE /v1/accounts/{account}/devices/{device}/session", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("device") == "gone" {
			fakeProblem(w, 404, "device_unknown", "there is no record of device "+r.PathValue("account")+"/gone")
			return
		}
		w.WriteHeader(204)
	})
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer wrong" {
			fakeProblem(w, 401, "unauthorized", "the service token is not known")
			return
		}
		api.ServeHTTP(w, r)
	})
	return &fakeNode{api: httptest.NewServer(guarded), public: httptest.NewServer(http.HandlerFunc(fakeSocket))}
}

func (n *fakeNode) close() { n.api.Close(); n.public.Close() }

// nobody returns an address where nothing listens, and what lets go of it. The port is
// bound all the while, so that no other process can begin to listen there.
func nobody() (address string, release func()) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		panic(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port), func() { unix.Close(fd) }
}

func fakeProblem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": detail})
}

// fakePush answers with the device's name as the outcome; an account has a
// written and an offline device. The payload comes back as the node's name.
func fakePush(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") == "application/x-ndjson" {
		http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for n := 1; lines.Scan(); n++ {
			if lines.Text() == "cut" {
				fmt.Fprintf(w, `{"error":{"code":"draining","detail":"this node is going away","line":%d}}`+"\n", n-1)
				return
			}
			fmt.Fprintf(w, `{"line":%d,%s`+"\n", n, fakeOutcome(lines.Bytes())[1:])
			http.NewResponseController(w).Flush()
		}
		return
	}
	var body json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		fakeProblem(w, 400, "json", err.Error())
		return
	}
	switch answer := fakeOutcome(body); {
	case strings.Contains(answer, `"offline","node":"gone"`):
		fakeProblem(w, 410, "device_offline", "device is known and not connected")
	case strings.Contains(string(body), `"wait":"none"`):
		w.WriteHeader(202)
		fmt.Fprintln(w, `{"id":"n.1.7"}`)
	default:
		fmt.Fprintln(w, answer)
	}
}

func fakeOutcome(body []byte) string {
	var p struct {
		To struct {
			Account, Device string
			All             bool
		}
		Payload json.RawMessage
		Text    *string
		Base64  []byte
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return `{"status":400,"error":{"code":"json","detail":"not JSON"}}`
	}
	said := "json:" + string(p.Payload)
	if p.Text != nil {
		said = "text:" + *p.Text
	} else if p.Base64 != nil {
		said = fmt.Sprintf("bytes:%x", p.Base64)
	}
	node, _ := json.Marshal(said)
	switch {
	case p.To.All:
		return `{"id":"n.1.1","counts":{"written":7,"offline":0}}`
	case p.To.Device == "unasked":
		return `{"status":202,"id":"n.1.1"}`
	case p.To.Account == "nobody":
		return `{"id":"n.1.1","outcomes":[]}`
	case p.To.Device == "":
		return `{"id":"n.1.1","outcomes":[{"device":"phone","outcome":"written","node":"n1"},{"device":"tablet","outcome":"offline"}]}`
	case p.To.Device == "gone":
		return `{"outcomes":[{"device":"gone","outcome":"offline","node":"gone"}]}`
	}
	return fmt.Sprintf(`{"id":"n.1.1","outcomes":[{"device":%q,"outcome":%q,"node":%s}]}`, p.To.Device, p.To.Device, node)
}

func fakeDevices(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("account") == "nobody" {
		fmt.Fprintln(w, `{"account":"nobody","devices":[]}`)
		return
	}
	fmt.Fprintln(w, `{"account":"alice","devices":[
		{"device":"phone","online":true,"node":"n1","since_ms":1700000000000,"remote":"127.0.0.1:9","attrs":{"os":"x"}},
		{"device":"tablet","online":false,"last_seen_ms":1600000000000}],"truncated":true}`)
}

// fakeRoute answers with the device's name as the state.
func fakeRoute(w http.ResponseWriter, r *http.Request) {
	state := r.PathValue("device")
	answer := map[string]any{"asked": "n1", "state": state, "linked": false, "home": "n3"}
	if state == "here" || state == "there" || state == "closed" {
		answer["node"], answer["epoch"], answer["since_ms"], answer["linked"] = "n2", 7, 1700000000000, true
	}
	json.NewEncoder(w).Encode(answer)
}

// fakeEvents is the public listener's /sse: a greeting, a comment, a message on two lines
// and, for the device replaced, its close.
func fakeEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "retry: 5\nevent: hello\ndata: {\"type\":\"hello\",\"token\":%q,\"last\":%q}\n\n:\n", r.Header.Get("Authorization"), r.Header.Get("Last-Event-ID"))
	fmt.Fprint(w, "id: n.1.1\ndata: {\"type\":\"message\",\ndata: \"payload\":7}\n\n")
	if r.URL.Query().Get("device") == "replaced" {
		fmt.Fprint(w, "event: close\ndata: {\"code\":4001,\"reason\":\"replaced\"}\n\n")
		return
	}
	http.NewResponseController(w).Flush()
	if r.URL.Query().Get("device") != "cut" {
		<-r.Context().Done()
	}
}

// fakeSocket is the public listener. It greets, pushes one message in two
// fragments with a ping between them, prints back what the device sends as a
// message, and closes with 4001 when it is told to.
func fakeSocket(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("account") == "stranger" {
		fakeProblem(w, 401, "token_missing", "a token is missing")
		return
	}
	if r.URL.Path == "/sse" {
		fakeEvents(w, r)
		return
	}
	raw := strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), "roost.raw")
	upgrader := ws.HTTPUpgrader{Protocol: func(string) bool { return true }}
	conn, _, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		return
	}
	defer conn.Close()
	if !raw {
		ws.WriteFrame(conn, ws.NewTextFrame([]byte(`{"type":"hello","account":"`+r.URL.Query().Get("account")+`","token":"`+r.Header.Get("Authorization")+`"}`)))
	}
	message := []byte(`{"type":"message","id":"m1","payload":{"n":1},"ack":true}`)
	ws.WriteFrame(conn, ws.NewFrame(ws.OpText, false, message[:10]))
	ws.WriteFrame(conn, ws.NewPingFrame([]byte("p")))
	ws.WriteFrame(conn, ws.NewFrame(ws.OpContinuation, true, message[10:]))
	for {
		data, opcode, err := wsutil.ReadClientData(conn)
		if err != nil {
			return // the close was answered by the reader
		}
		if strings.Contains(string(data), "replace me") {
			ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "replaced")))
			continue
		}
		ws.WriteFrame(conn, ws.NewFrame(opcode, true, fmt.Appendf(nil, `{"type":"message","echo":%q}`, data)))
	}
}

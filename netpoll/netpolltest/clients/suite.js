// What a client does, in the WebSocket API of browsers: it runs unchanged in a
// page and on Node's ws package. Each event is one object given to emit.
//
// check, opened, closed and expect turn events of a socket into promises, so
// that nothing here waits for a time.

function check(ok, what) {
  if (!ok) throw new Error(what);
}

// inbox collects what a socket receives, in order.
function inbox(ws) {
  const waiting = [];
  const arrived = [];
  let ended = null;
  const settle = () => {
    while (waiting.length > 0 && (arrived.length > 0 || ended)) {
      const { resolve, reject } = waiting.shift();
      if (arrived.length > 0) resolve(arrived.shift());
      else reject(new Error(`closed with ${ended.code} ${JSON.stringify(ended.reason)} instead of a message`));
    }
  };
  ws.binaryType = "arraybuffer";
  ws.addEventListener("message", (e) => { arrived.push(e.data); settle(); });
  ws.addEventListener("close", (e) => { ended = e; settle(); });
  return () => new Promise((resolve, reject) => { waiting.push({ resolve, reject }); settle(); });
}

function opened(ws) {
  return new Promise((resolve, reject) => {
    ws.addEventListener("open", () => resolve(), { once: true });
    ws.addEventListener("error", (e) => reject(new Error(`not opened: ${e.message || "error event"}`)), { once: true });
  });
}

function closed(ws) {
  return new Promise((resolve) => ws.addEventListener("close", (e) => resolve(e), { once: true }));
}

async function connect(WebSocket, url, protocols) {
  const ws = protocols ? new WebSocket(url, protocols) : new WebSocket(url);
  const next = inbox(ws);
  await opened(ws);
  return { ws, next };
}

function pattern(n) {
  const p = new Uint8Array(n);
  for (let i = 0; i < n; i++) p[i] = (i * 31 + (i >> 8)) & 255;
  return p;
}

function same(a, b) {
  return a.byteLength === b.byteLength && a.every((v, i) => v === b[i]);
}

// echo talks to a server that echoes: text, binary, sizes at the borders of
// the length encodings, a burst, 1 MiB, and closes with several codes.
export async function echo(WebSocket, url, emit) {
  const { ws, next } = await connect(WebSocket, url);
  check(ws.extensions === "", `extensions ${ws.extensions}`);
  for (const text of ["Hello", "", "κόσμε €", "\u{1F600}".repeat(1000), "x".repeat(125), "x".repeat(126), "x".repeat(65535), "x".repeat(65536)]) {
    ws.send(text);
    const back = await next();
    check(back === text, `text of ${text.length} characters came back as ${typeof back} of ${back.length ?? back.byteLength}`);
  }
  emit({ event: "text" });
  for (const n of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    const sent = pattern(n);
    ws.send(sent);
    const back = await next();
    check(back instanceof ArrayBuffer && same(new Uint8Array(back), sent), `binary of ${n} bytes came back otherwise`);
  }
  emit({ event: "binary" });
  for (let i = 0; i < 500; i++) ws.send(`burst ${i}`);
  for (let i = 0; i < 500; i++) check(await next() === `burst ${i}`, `burst out of order at ${i}`);
  emit({ event: "burst" });
  ws.close(1000, "done");
  const end = await closed(ws);
  check(end.wasClean && end.code === 1000, `close 1000 ended with ${end.code}, clean: ${end.wasClean}`);
  for (const code of [undefined, 3000, 3999, 4000, 4999]) {
    const again = await connect(WebSocket, url);
    if (code === undefined) again.ws.close();
    else again.ws.close(code, "why é");
    const e = await closed(again.ws);
    check(e.wasClean && e.code === (code ?? 1005), `close ${code} ended with ${e.code}, clean: ${e.wasClean}`);
  }
  emit({ event: "closed" });
}

// push connects to a roost node with the subprotocol roost.v1, and token if
// there is one, waits for hello, acks each message that asks for it and closes
// normally after count messages.
export async function push(WebSocket, url, emit, { count = 1, token = "" } = {}) {
  const offered = token ? ["roost.v1", `roost.token.${token}`] : ["roost.v1"];
  const { ws, next } = await connect(WebSocket, url, offered);
  check(ws.protocol === "roost.v1", `subprotocol ${JSON.stringify(ws.protocol)}`);
  const hello = JSON.parse(await next());
  check(hello.type === "hello", `first frame is ${hello.type}`);
  emit({ event: "hello", frame: hello });
  for (let received = 0; received < count;) {
    const frame = JSON.parse(await next());
    emit({ event: frame.type, frame });
    if (frame.type !== "message") continue;
    received++;
    if (frame.ack) {
      ws.send(JSON.stringify({ type: "ack", ids: [frame.id] }));
      emit({ event: "acked", frame: { id: frame.id } });
    }
  }
  ws.close(1000);
  const end = await closed(ws);
  check(end.wasClean && end.code === 1000, `ended with ${end.code}, clean: ${end.wasClean}`);
  emit({ event: "closed" });
}

// account is one of two devices of an account, each on a page of its own and maybe on
// different nodes: it watches presence until peer is there, lists the account's devices, says
// hello to peer and waits to hear the same. Then it leaves, or with stay only once peer has
// left.
export async function account(WebSocket, url, emit, { token = "", peer = "", stay = false } = {}) {
  const offered = token ? ["roost.v1", `roost.token.${token}`] : ["roost.v1"];
  const { ws, next } = await connect(WebSocket, url, offered);
  const seen = [];
  // frame returns the first frame of that kind that has not been returned, whatever came before it.
  const frame = async (what, fits) => {
    for (let i = 0; ; i++) {
      if (i === seen.length) seen.push(JSON.parse(await next()));
      check(seen[i].type !== "error", `error instead of ${what}: ${JSON.stringify(seen[i])}`);
      if (!fits(seen[i])) continue;
      const [found] = seen.splice(i, 1);
      emit({ event: what, frame: found });
      return found;
    }
  };
  const ask = (question) => ws.send(JSON.stringify(question));
  const result = (what, id) => frame(what, (f) => f.type === "result" && f.ref === id);
  const presence = (state) => frame(state, (f) => f.type === "presence" && f.device === peer && f.state === state);

  await frame("hello", (f) => f.type === "hello");
  ask({ type: "subscribe", id: "s", presence: true });
  check((await result("subscribed", "s")).status === "ok", "not subscribed");
  await presence("online");
  ask({ type: "devices", id: "d" });
  const { devices } = await result("listed", "d");
  check(devices.some((d) => d.device === peer && d.state === "online"), `${peer} is not listed as online`);
  ask({ type: "send", id: "m", to: { device: peer }, payload: { hello: peer } });
  check((await result("sent", "m")).status === "written", `not written to ${peer}`);
  const heard = await frame("message", (f) => f.type === "message");
  check(heard.from?.device === peer && heard.payload?.hello, `not from ${peer}: ${JSON.stringify(heard)}`);
  if (stay) await presence("offline");
  ws.close(1000);
  const end = await closed(ws);
  check(end.wasClean && end.code === 1000, `ended with ${end.code}, clean: ${end.wasClean}`);
  emit({ event: "closed" });
}

// events listens to Server-Sent Events until count messages have come, coming back
// whenever the stream ends, as an EventSource does by itself. Only pages have one.
export async function events(WebSocket, url, emit, { count = 1 } = {}) {
  const source = new EventSource(url);
  await new Promise((resolve, reject) => {
    let received = 0;
    for (const type of ["hello", "message", "goaway", "close"]) {
      source.addEventListener(type, (e) => {
        emit({ event: type, frame: JSON.parse(e.data), detail: e.lastEventId });
        if (type === "message" && ++received === count) resolve();
      });
    }
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) reject(new Error("the stream was refused"));
    });
  });
  source.close();
}

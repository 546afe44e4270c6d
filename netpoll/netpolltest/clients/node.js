// Runs a suite on Node's ws package: node node.js echo|push|account URL [OPTIONS as JSON].
// Events go to standard output, one JSON object a line; the last is "end".
import WebSocket from "ws";
import * as suite from "./suite.js";

const [scenario, url, options = "{}"] = process.argv.slice(2);
const emit = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

// frames is what the API of browsers cannot do: fragments, pings with a
// payload, the close codes that only a library may send.
async function frames(url, emit) {
  const ws = new WebSocket(url);
  const once = (name) => new Promise((resolve, reject) => {
    ws.once(name, (...args) => resolve(args));
    ws.once("error", reject);
  });
  await once("open");
  ws.ping("are you there");
  const [pong] = await once("pong");
  if (pong.toString() !== "are you there") throw new Error(`pong carries ${pong}`);
  emit({ event: "ping" });
  ws.send("frag", { fin: false });
  ws.ping("between");
  ws.send("men", { fin: false });
  ws.send("ted", { fin: true });
  const [[between], [message, isBinary]] = await Promise.all([once("pong"), once("message")]);
  if (between.toString() !== "between" || message.toString() !== "fragmented" || isBinary) throw new Error(`${between}, ${message}`);
  emit({ event: "fragmented" });
  ws.close(1001, "leaving");
  const [code] = await once("close");
  if (code !== 1001) throw new Error(`close 1001 ended with ${code}`);
  for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]) {
    const again = new WebSocket(url);
    const ended = new Promise((resolve, reject) => { again.once("close", resolve); again.once("error", reject); });
    again.once("open", () => again.close(code));
    if (await ended !== code) throw new Error(`close ${code} ended with ${await ended}`);
  }
  emit({ event: "codes" });
}

try {
  await suite[scenario](WebSocket, url, emit, JSON.parse(options));
  if (scenario === "echo") await frames(url, emit);
  emit({ event: "end" });
} catch (err) {
  emit({ event: "failed", detail: String(err?.stack ?? err) });
  process.exitCode = 1;
}

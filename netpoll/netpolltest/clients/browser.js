// Runs a suite in a page of headless Chromium:
// node browser.js CHROMIUM echo|push|account URL [OPTIONS as JSON].
// Events go to standard output, one JSON object a line; the last is "end".
// The page comes from a server of this script's own on 127.0.0.1, or, with the
// option "page", from that URL; its origin is what the server under test sees.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const [executablePath, scenario, url, optionsText = "{}"] = process.argv.slice(2);
const options = JSON.parse(optionsText);
const emit = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const source = await readFile(new URL("./suite.js", import.meta.url), "utf8");

const server = createServer((request, response) => {
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
  response.end("<!doctype html><title>roost test client</title>");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const own = `http://127.0.0.1:${server.address().port}`;

// Playwright makes a fresh user data directory and removes it.
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage();
  page.on("console", (line) => process.stderr.write(`page: ${line.text()}\n`));
  await page.exposeFunction("emit", emit);
  await page.goto(options.page ?? own);
  emit({ event: "page", detail: `${browser.version()} at ${await page.evaluate(() => location.origin)}` });
  await page.evaluate(async ({ source, scenario, url, options }) => {
    const script = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const suite = await import(script);
    const emitted = [];
    await suite[scenario](WebSocket, url, (event) => emitted.push(window.emit(event)), options);
    await Promise.all(emitted);
  }, { source, scenario, url, options });
  emit({ event: "end" });
} catch (err) {
  emit({ event: "failed", detail: String(err?.stack ?? err) });
  process.exitCode = 1;
} finally {
  await browser.close();
  server.close();
}

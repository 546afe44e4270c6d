// Package clients runs third-party WebSocket clients against a server: Node's
// ws package and a page in headless Chromium, driven by playwright-core.
//
// It is for tests and imports nothing of ours; a test in any package may call
// NodeWS and Browser with the URL of an echo server or of a whole node. The
// scenarios are JavaScript (suite.js, shared by both runtimes) and report
// events, one JSON object a line, which a Client hands to the test one by one.
//
// Node's packages are pinned by package-lock.json and installed once into the
// user's cache directory by `npm ci`. Where node, npm or chromium is missing, a
// test is skipped, or fails when CI is true.
//
// Start reading at Client, then suite.js.
package clients

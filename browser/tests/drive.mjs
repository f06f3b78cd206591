/**
 * Drives the built page in headless Chromium, as a person would: `node drive.mjs plan.json`.
 *
 * The plan holds `dist`, `chromium`, `isolated` and `cases`: each with `model` (paths), and where
 * wanted `ct` (a path), `window` (the name of one to choose), `stop` (whether to start and stop
 * first), `mask` (where to save it) and `picture` (where to save a screenshot). They are run one
 * after the other on one page. Prints as JSON what the page said of each, the errors in its
 * console, the requests to other hosts, the WASM that it loaded, and what became of requests that
 * its worker was told to send to a host that answers everyone (`probe`).
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import { chromium } from "playwright-core";

import { startServer } from "../serve.mjs";

const PATIENCE_MS = 60_000;
const ANSWERS_EVERYONE = {
  "Access-Control-Allow-Origin": "*",
  "Cross-Origin-Resource-Policy": "cross-origin",
};

const plan = JSON.parse(await readFile(process.argv[2], "utf-8"));
const server = await startServer(plan.dist, { isolated: plan.isolated });
const origin = `http://localhost:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: plan.chromium,
  // WebGL in software; no sandbox, since tests may run as root.
  args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});
const errors = [];
const foreign = [];
const wasm = [];
const said = [];
let probe;
try {
  const page = await openPage();
  for (const one of plan.cases) said.push(await runCase(page, one));
  const seen = [errors, foreign].map((list) => list.length);
  probe = await probeWorkers(page);
  [errors.length, foreign.length] = seen; // without what the probe itself caused
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify({ said, errors, foreign, wasm, probe }));

async function openPage() {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("request", (request) => {
    const url = request.url();
    if (url.endsWith(".wasm")) wasm.push(url.slice(origin.length));
    if (!/^(blob|data):/.test(url) && !url.startsWith(`${origin}/`)) foreign.push(url);
  });
  await page.goto(`${origin}/`);
  return page;
}

async function runCase(page, { model, ct, window, stop, mask, picture }) {
  const result = {};
  await page.setInputFiles("#model", model);
  result.model = await settled(page, "#model-note");
  result.facts = await page.locator("#model-facts").innerText();
  if (ct) {
    await page.setInputFiles("#ct", ct);
    result.ct = await settled(page, "#ct-note");
  }
  if (window) await page.selectOption("#window", { label: window });
  result.window = await page.evaluate(() => {
    const [option] = document.querySelector("#window").selectedOptions;
    return option && [option.text, option.value];
  });
  result.canRun = await page.isEnabled("#run");
  if (stop) {
    await page.locator("#run").evaluate((button) => {
      button.click();
      button.click();
    });
    result.stopped = await settled(page, "#result-note");
    await page.waitForSelector("#run:enabled", { timeout: PATIENCE_MS });
  }
  if (mask && result.canRun) {
    await page.click("#run");
    result.mask = await settled(page, "#result-note");
    result.volumes = await page.locator("#volumes").innerText();
    const download = page.waitForEvent("download");
    await page.click("#save");
    result.saved = (await download).suggestedFilename();
    await (await download).saveAs(mask);
  }
  if (picture) {
    await page.waitForTimeout(500); // until the last frame is drawn
    await page.screenshot({ path: picture });
  }
  return result;
}

/** Lets the page's workers ask another host, and this program too, to see that it answers. */
async function probeWorkers(page) {
  const received = [];
  const other = createServer((request, response) => {
    received.push(request.url.slice(1));
    response.writeHead(200, ANSWERS_EVERYONE).end("answer");
  });
  await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
  const address = `http://localhost:${other.address().port}/`;
  const control = await (await fetch(`${address}control`)).text();
  const answers = await Promise.all(
    page.workers().map((worker) =>
      // LiteRT may end a thread before it is asked.
      Promise.race([ask(worker, `${address}worker`).catch(() => "busy"), later("busy")]),
    ),
  );
  other.closeAllConnections();
  other.close();
  return { control, answers, received };
}

function ask(worker, url) {
  return worker.evaluate(
    (there) =>
      fetch(there).then(
        (response) => response.text(),
        () => "refused",
      ),
    url,
  );
}

/** LiteRT's threads wait for work and answer nothing. */
function later(value) {
  return new Promise((resolve) => setTimeout(() => resolve(value), 3_000));
}

/** Returns what a note says once it says the outcome. */
async function settled(page, note) {
  const handle = await page.waitForFunction(
    (selector) => {
      const { textContent, classList } = document.querySelector(selector);
      const done = textContent && !textContent.endsWith("…");
      return done && { text: textContent, bad: classList.contains("bad") };
    },
    note,
    { timeout: PATIENCE_MS },
  );
  return handle.jsonValue();
}

/**
 * Drives the built page in headless Chromium, as a person would: `node drive.mjs plan.json`.
 *
 * The plan holds `dist`, `chromium`, `isolated` and `cases`: each with `model` (paths), and where
 * wanted `ct` (a path), `stop` (whether to start and stop first), `mask` (where to save it) and
 * `picture` (where to save a screenshot). They are run one after the other on one page. Prints as
 * JSON what the page said of each, the errors in its console, the requests to other hosts, and the
 * WASM that it loaded.
 */

import { readFile } from "node:fs/promises";

import { chromium } from "playwright-core";

import { startServer } from "../serve.mjs";

const PATIENCE_MS = 60_000;

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
try {
  const page = await openPage();
  for (const one of plan.cases) said.push(await runCase(page, one));
} finally {
  await browser.close();
  server.close();
}
console.log(JSON.stringify({ said, errors, foreign, wasm }));

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

async function runCase(page, { model, ct, stop, mask, picture }) {
  const result = {};
  await page.setInputFiles("#model", model);
  result.model = await settled(page, "#model-note");
  result.facts = await page.locator("#model-facts").innerText();
  if (ct) {
    await page.setInputFiles("#ct", ct);
    result.ct = await settled(page, "#ct-note");
  }
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

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { licences } from "../licences.mjs";

const packed = (t, name, license, files = {}) => {
  const packages = mkdtempSync(join(tmpdir(), "licences-"));
  t.after(() => rmSync(packages, { recursive: true }));
  const folder = join(packages, name);
  mkdirSync(folder, { recursive: true });
  const about = { name, version: "1.2.3", license, repository: "someone/something" };
  writeFileSync(join(folder, "package.json"), JSON.stringify(about));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return licences(["src/page.js", `node_modules/${name}/index.js`], `${packages}/`);
};

test("a package's own licence and notice stand there", async (t) => {
  const files = { LICENSE: "Copyright Somebody", "NOTICE.txt": "Thanks" };
  const text = await packed(t, "@one/two", "MIT", files);
  assert.match(text, /@one\/two 1\.2\.3\nLicence: MIT\nSource: https:\/\/github.com\/someone/);
  assert.match(text, /\n\nCopyright Somebody\n\nThanks\n$/);
});

test("without a licence file the licence's own text stands there", async (t) => {
  const apache = await packed(t, "one", "Apache-2.0", { NOTICE: "Thanks" });
  assert.match(apache, /Thanks\n\nApache License\s+Version 2\.0/);
  assert.match(apache, /END OF TERMS AND CONDITIONS/);
  const bsd = await packed(t, "@niivue/niivue", "BSD-2-Clause");
  assert.match(bsd, /Copyright \(c\) 2021, Niivue\s+Redistribution and use/);
  assert.match(bsd, /THIS SOFTWARE IS PROVIDED/);
});

test("a package whose licence is not known is refused", async (t) => {
  await assert.rejects(packed(t, "one", "MIT"), /one: expected.*MIT and no holder.*HOLDERS/);
  await assert.rejects(packed(t, "one", "SEE LICENSE"), /one: expected.*received licence SEE/);
  await assert.rejects(packed(t, "one", undefined), /received licence undefined/);
});

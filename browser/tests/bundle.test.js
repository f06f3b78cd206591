import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { zipSync } from "fflate";

import { readBundle } from "../src/bundle.js";
import { fixtures, options } from "./fixtures.js";

const model = new Uint8Array([1, 2, 3]);
const sha256 = createHash("sha256").update(model).digest("hex");
const encode = (text) => new TextEncoder().encode(text);
const contract = () => encode(JSON.stringify({ ...fixtures.contract, sha256 }));
const read = (files) =>
  readBundle(Object.entries(files).map(([name, bytes]) => new File([bytes], name)));

test("two files and a zip of them are one bundle", options, async () => {
  const pair = await read({ "a.tflite": model, "a.json": contract() });
  assert.deepEqual(pair.model, model);
  const files = { "a.tflite": model, "a.json": contract(), "MODEL_CARD.md": encode("# Card") };
  const zip = await read({ "bundle.zip": zipSync(files) });
  assert.deepEqual(zip.contract, pair.contract);
});

test("parts that cannot be read rightly are refused", options, async () => {
  const twice = zipSync({ "a.tflite": model, "b.tflite": model, "a.json": contract() });
  // The second name becomes the first's, in its own header and in the list at the end.
  for (let i = 0; i < twice.length; i++) {
    if (String.fromCharCode(...twice.subarray(i, i + 8)) === "b.tflite") twice[i] = 97;
  }
  const large = zipSync({ "a.tflite": model, "a.json": new Uint8Array(2 ** 26 + 1) }, { level: 1 });
  const latin = new Uint8Array([...contract(), 0xe9]);
  const marked = new Uint8Array([0xef, 0xbb, 0xbf, ...contract()]);
  const cases = [
    [{ "bundle.zip": twice }, /bundle\.zip: .*received a\.tflite twice/],
    [{ "bundle.zip": large }, /a\.json of 67108865 bytes, more than 67108864/],
    [{ "a.tflite": model, "a.json": latin }, /a\.json: expected a contract in UTF-8/],
    [{ "a.tflite": model, "a.json": marked }, /a\.json: expected a contract in JSON/],
    [{ "a.tflite": new Uint8Array(3), "a.json": contract() }, /a\.tflite: expected SHA-256/],
  ];
  for (const [files, expected] of cases) await assert.rejects(read(files), expected);
});

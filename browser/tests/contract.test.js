import assert from "node:assert/strict";
import { test } from "node:test";

import { parseContract } from "../src/contract.js";
import { fixtures, options } from "./fixtures.js";

const parse = (change) => {
  const contract = structuredClone(fixtures.contract);
  change(contract);
  return parseContract(JSON.stringify(contract), "student.json");
};

test("versions 1 and 2 are read", options, async () => {
  const one = await parse((contract) => {
    contract.schema_version = 1;
  });
  assert.equal(one.golden.image_hu.length, one.golden.mask.length);
  const two = await parse((contract) => {
    contract.schema_version = 2;
    contract.quantization = "dynamic_int8";
    contract.postprocessing = { largest_component: ["liver"], fill_holes: [] };
  });
  assert.deepEqual(two.postprocessing.largest_component, ["liver"]);
  const real = { dtype: "float32", scale: null, zero_point: null };
  const mixed = await parse((contract) => {
    contract.schema_version = 2;
    contract.quantization = "int8_mixed";
    for (const side of ["input", "output"]) Object.assign(contract[side], real);
  });
  assert.equal(mixed.quantization, "int8_mixed");
});

test("what may be misread is refused, with the key and what to do", options, async () => {
  const cases = [
    [(c) => (c.schema_version = 3), /version 1 or 2, received 3.*newer/],
    [(c) => delete c.schema_version, /version 1 or 2, received none/],
    [(c) => (c.colour = 1), /unknown \[colour\]/],
    [(c) => delete c.spec.fit, /key 'spec'.*missing \[fit\]/],
    [(c) => (c.schema_version = 1) && (c.postprocessing = {}), /unknown \[postprocessing\]/],
    [(c) => (c.quantization = "int4"), /received "int4"/],
    [(c) => (c.schema_version = 1) && (c.quantization = "int8_mixed"), /received "int8_mixed"/],
    [(c) => (c.spec.window_hu = [140, -60]), /rising pair in 'window_hu'/],
    [(c) => (c.spec.size = [64, 64]), /input shape 1,64,64,1/],
    [(c) => (c.spec.spacing_mm = 1), /'spacing_mm'.*received 1/],
    [(c) => (c.threshold = 0.4), /threshold.*two classes/],
    [(c) => (c.output.dtype = "int16"), /float32, or int8 with scale/],
    [(c) => (c.golden.mask = c.golden.logits), /key 'mask': expected \d+ bytes/],
    [(c) => (c.golden.mask = "!"), /base64/],
    [
      (c) => {
        c.schema_version = 2;
        c.postprocessing = { largest_component: ["spleen"], fill_holes: [] };
      },
      /largest_component.*liver,tumour.*spleen/,
    ],
  ];
  for (const [change, expected] of cases) await assert.rejects(parse(change), expected);
  await assert.rejects(parseContract("{", "student.json"), /student\.json: expected a contract/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

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
    [(c) => (c.golden.mask += "\n   "), /base64/],
    [(c) => (c.golden.mask = 1234), /base64/],
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

test("what tfkd refuses is refused here", options, async () => {
  const packed = (size) => deflateSync(new Uint8Array(size)).toString("base64");
  const pixels = fixtures.contract.golden.shape.slice(0, 2).reduce((a, b) => a * b);
  const cases = [
    [(c) => (c.file = 1), /text in 'file', received 1/],
    [(c) => (c.sha256 = null), /text in 'sha256', received null/],
    [(c) => (c.size_bytes = "1"), /an integer in 'size_bytes'/],
    [(c) => (c.created_by = ["tfkd"]), /an object in 'created_by'/],
    [(c) => (c.label_names[2] = "liver"), /each of 'label_names' once/],
    [(c) => (c.spec.window_hu = [-60, 140, 300]), /rising pair in 'window_hu'/],
    [(c) => (c.spec.window_hu = ["-60", "140"]), /rising pair in 'window_hu'/],
    [(c) => (c.input.shape = `${c.input.shape}`), /input shape .*received "/],
    [(c) => (c.output.shape[3] = "3"), /output shape/],
    [(c) => c.golden.shape.push([]), /golden slice of shape/],
    [(c) => (c.input.name = null), /text in 'name'/],
    [
      (c) => Object.assign(c.input, { dtype: "float32", scale: "1", zero_point: 0.5 }),
      /float32, or int8 with scale/,
    ],
    [(c) => (c.golden.logits_tolerance = -1), /finite 'logits_tolerance'.*received -1/],
    [(c) => (c.golden.logits_tolerance = "1"), /finite 'logits_tolerance'/],
    [(c) => (c.golden.min_agreement = 0), /'min_agreement' above 0.*received 0/],
    [(c) => (c.golden.min_agreement = 1.5), /'min_agreement' above 0.*received 1\.5/],
    [(c) => (c.golden.mask = packed(pixels).slice(0, -8)), /key 'mask': expected deflate data/],
    [(c) => (c.golden.mask = packed(pixels - 1)), /key 'mask': expected \d+ bytes, received \d+/],
    [(c) => (c.golden.mask = packed(pixels + 1)), /key 'mask': expected \d+ bytes .* more/],
    [
      (c) => {
        c.label_names = ["background", "liver"];
        c.output.shape[3] = 2;
        c.threshold = "0.5";
      },
      /threshold between 0 and 1.*received "0\.5"/,
    ],
    [
      (c) => {
        c.schema_version = 2;
        c.postprocessing = { largest_component: ["liver", "liver"], fill_holes: [] };
      },
      /largest_component.*each once, received \["liver","liver"\]/,
    ],
    [
      (c) => {
        c.spec.size = [20000, 20000];
        c.input.shape = [1, 20000, 20000, 1];
        c.output.shape = [1, 20000, 20000, 3];
        c.golden.shape = [20000, 20000, 1];
      },
      /key 'image_hu': expected at most 268435456 bytes, received a shape of 800000000/,
    ],
  ];
  for (const [change, expected] of cases) await assert.rejects(parse(change), expected);
  const huge = JSON.stringify(fixtures.contract).replace(
    /"logits_tolerance":[^,]+/,
    '"logits_tolerance":1e999',
  );
  await assert.rejects(parseContract(huge, "student.json"), /finite 'logits_tolerance'/);
});

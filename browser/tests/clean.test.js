import assert from "node:assert/strict";
import { test } from "node:test";

import { clean } from "../src/clean.js";
import { fixtures, options } from "./fixtures.js";

/** Returns a volume whose file has slices on the first axis and rows upside down. */
function flipped([slices, rows, columns]) {
  const index = (z, y, x) => z + slices * (rows - 1 - y) + slices * rows * x;
  return { shape: [slices, rows, columns], index };
}

test("masks are cleaned as tfkd does", options, () => {
  for (const { shape, before, after, postprocessing } of fixtures.cleaned) {
    const volume = flipped(shape);
    const mask = new Uint8Array(before.length);
    const places = [];
    for (let z = 0; z < shape[0]; z++) {
      for (let y = 0; y < shape[1]; y++) {
        for (let x = 0; x < shape[2]; x++) places.push(volume.index(z, y, x));
      }
    }
    places.forEach((at, i) => (mask[at] = before[i]));
    clean(mask, volume, { label_names: ["background", "liver", "tumour"], postprocessing });
    assert.deepEqual(places.map((at) => mask[at]), after, JSON.stringify(postprocessing));
  }
});

test("without post-processing a mask stays", () => {
  const mask = Uint8Array.of(1, 0, 1);
  clean(mask, flipped([1, 1, 3]), { label_names: ["background", "liver"] });
  assert.deepEqual([...mask], [1, 0, 1]);
});

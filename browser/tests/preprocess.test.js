import assert from "node:assert/strict";
import { test } from "node:test";

import { fitImage, unfitScores, window } from "../src/preprocess.js";
import { resize } from "../src/resample.js";
import { roundHalfEven } from "../src/rounding.js";
import { fixtures, options } from "./fixtures.js";

test("a half is rounded to the even neighbour", () => {
  const values = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999, -7];
  assert.deepEqual(values.map((v) => roundHalfEven(v) + 0), [-2, -2, 0, 0, 2, 2, 2, -7]);
});

test("halving takes a triangle as wide as the new pixel", () => {
  // Weights 3/4 and 1/4 at distances 1/2 and 3/2, which the border cuts on the left.
  const halved = resize(Float32Array.of(0, 0, 8, 8), [1, 4], [1, 2]);
  assert.deepEqual([...halved], [8 / 7, 48 / 7].map(Math.fround));
});

test("a constant image stays constant", () => {
  const resized = resize(new Float32Array(35).fill(7), [5, 7], [9, 4]);
  assert.deepEqual([...resized], Array(36).fill(7));
});

test("slices are fitted, windowed and brought back as tfkd does", options, () => {
  for (const one of fixtures.fits) {
    const label = JSON.stringify(one.spec);
    const fitted = fitImage(Int16Array.from(one.image), one.shape, one.spec, one.spacing);
    assert.deepEqual([...fitted], one.fitted, label);
    assert.deepEqual([...window(fitted, one.spec)], one.windowed, label);
    const planes = one.scores.map((plane) => Float32Array.from(plane));
    const native = unfitScores(planes, one.spec, one.shape, one.spacing);
    assert.deepEqual(native.map((plane) => [...plane]), one.native, label);
  }
});

/** How a CT slice becomes a network's input, and the way back: `tfkd.volumes.preprocess` again. */

import { resize } from "./resample.js";
import { roundHalfEven } from "./rounding.js";

const AIR_HU = -1024;

/**
 * Brings a native slice to the size of the network's input.
 *
 * @param {Int16Array} imageHu rows after each other.
 * @param {[number, number]} shapeYx [rows, columns] of the slice.
 * @param {object} spec the contract's `spec`.
 * @param {[number, number]} spacingYx pixel size in mm.
 * @returns {Int16Array} of `spec.size`, in whole HU of at least -1024.
 */
export function fitImage(imageHu, shapeYx, spec, spacingYx) {
  let image = new Float32Array(imageHu).map((hu) => Math.max(hu, AIR_HU));
  const shape = resampledShape(shapeYx, spec, spacingYx);
  if (!same(shape, shapeYx)) image = resize(image, shapeYx, shape).map(roundHalfEven);
  return new Int16Array(place(image, shape, spec.size, start(shape, spec), AIR_HU));
}

/**
 * Clips to the window and maps it to the output range, in float32 and in the order of `tfkd`.
 *
 * @param {Int16Array} imageHu any shape.
 * @param {object} spec the contract's `spec`.
 * @returns {Float32Array}
 */
export function window(imageHu, spec) {
  const [low, high] = spec.window_hu.map(Math.fround);
  const [bottom, top] = spec.output_range;
  const scale = Math.fround((top - bottom) / (spec.window_hu[1] - spec.window_hu[0]));
  const lowest = Math.fround(bottom);
  // The `map` of typed arrays takes a tenth of the time of their `from`.
  return new Float32Array(imageHu).map((hu) => {
    const above = Math.fround(Math.min(Math.max(hu, low), high) - low);
    return Math.fround(above * scale) + lowest;
  });
}

/**
 * Brings class scores of a fitted slice back to the native grid by linear interpolation.
 *
 * @param {Float32Array[]} planes one a class, each of `spec.size`; the first is the background.
 * @param {object} spec the contract's `spec`.
 * @param {[number, number]} shapeYx [rows, columns] of the native slice.
 * @param {[number, number]} spacingYx pixel size in mm.
 * @returns {Float32Array[]} one a class; outside of a centre crop the background is highest.
 */
export function unfitScores(planes, spec, shapeYx, spacingYx) {
  const shape = resampledShape(shapeYx, spec, spacingYx);
  let placed = planes;
  if (!same(shape, spec.size)) {
    const [y, x] = start(shape, spec);
    const [lowest, highest] = range(planes);
    placed = planes.map((plane, label) =>
      place(plane, spec.size, shape, [-y, -x], label === 0 ? highest : lowest),
    );
  }
  return placed.map((plane) => resize(plane, shape, shapeYx));
}

/** Returns the size of the whole slice once resampled, before a centre crop. */
function resampledShape(shapeYx, spec, spacingYx) {
  if (spec.fit === "resize") return spec.size;
  if (spec.field_size) return spec.field_size;
  if (spec.spacing_mm === null) return shapeYx;
  return shapeYx.map((n, axis) =>
    Math.max(1, roundHalfEven((n * spacingYx[axis]) / spec.spacing_mm)),
  );
}

/** Returns where in the resampled slice the fitted one begins; negative where it is padded. */
function start(shape, spec) {
  return shape.map((n, axis) => Math.floor((n - spec.size[axis]) / 2));
}

/** Returns a target of size `to` with target[i, j] = source[i + y, j + x], else `fill`. */
function place(source, from, to, [y, x], fill) {
  if (same(from, to)) return source;
  const target = new Float32Array(to[0] * to[1]).fill(fill);
  const left = Math.max(0, -x);
  const right = Math.min(to[1], from[1] - x);
  for (let row = Math.max(0, -y); row < Math.min(to[0], from[0] - y); row++) {
    const taken = (row + y) * from[1] + x;
    target.set(source.subarray(taken + left, taken + right), row * to[1] + left);
  }
  return target;
}

function range(planes) {
  let [low, high] = [Infinity, -Infinity];
  for (const plane of planes) {
    for (const value of plane) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
}

function same(a, b) {
  return a[0] === b[0] && a[1] === b[1];
}

/** CT in, mask out, slice by slice, whatever computes the logits. */

import { fitImage, unfitScores, window } from "./preprocess.js";

/**
 * Segments a CT: each slice is fitted and windowed, its logits are interpolated on the CT's own
 * grid, and only there the label is chosen.
 *
 * @param {import("./ct_volume.js").CtVolume} volume the CT.
 * @param {object} contract of the model.
 * @param {(image: Float32Array) => Promise<Float32Array>} run (H, W, C) to logits (H, W, K).
 * @param {(done: number, total: number) => void} onSlice called after each slice.
 * @returns {Promise<Uint8Array>} labels, laid out like the voxels of the file.
 * @throws {Error} the logits are not finite.
 */
export async function segment(volume, contract, run, onSlice) {
  const { spec, label_names: names } = contract;
  const [slices, ...shapeYx] = volume.shape;
  const spacingYx = volume.spacingMm.slice(1);
  const fitted = new Map();
  const mask = new Uint8Array(volume.voxels);
  for (let z = 0; z < slices; z++) {
    const channels = [];
    for (let near = z - spec.context_slices; near <= z + spec.context_slices; near++) {
      const index = Math.min(Math.max(near, 0), slices - 1);
      if (!fitted.has(index)) {
        fitted.set(index, fitImage(volume.slice(index), shapeYx, spec, spacingYx));
      }
      channels.push(fitted.get(index));
    }
    fitted.delete(z - spec.context_slices); // no later slice sees it, but for the first one
    const logits = await run(window(interleave(channels), spec));
    const planes = shifted(split(logits, names.length), contract.threshold);
    const labels = highest(unfitScores(planes, spec, shapeYx, spacingYx));
    volume.setSlice(mask, z, labels);
    onSlice(z + 1, slices);
  }
  return mask;
}

/**
 * Runs the contract's golden slice.
 *
 * @param {object} contract of the model.
 * @param {(image: Float32Array) => Promise<Float32Array>} run as for `segment`.
 * @returns {Promise<{agreement: number, difference: number, passed: boolean}>} fraction of pixels
 *     with the expected label, and the largest difference of the logits.
 */
export async function checkGolden({ golden, spec, label_names: names }, run) {
  const logits = await run(window(golden.image_hu, spec));
  const planes = split(logits, names.length, false);
  const labels = highest(planes);
  const agreement = labels.filter((label, i) => label === golden.mask[i]).length / labels.length;
  const [height, width] = golden.shape;
  let difference = 0;
  let i = 0;
  for (let y = 0; y < height; y += golden.logits_stride) {
    for (let x = 0; x < width; x += golden.logits_stride) {
      for (const plane of planes) {
        const apart = Math.abs(plane[y * width + x] - golden.logits[i++]);
        difference = apart <= difference ? difference : apart; // NaN stays
        if (Number.isNaN(apart)) return { agreement, difference: Infinity, passed: false };
      }
    }
  }
  const passed = agreement >= golden.min_agreement && difference <= golden.logits_tolerance;
  return { agreement, difference, passed };
}

/** (H, W) a channel to (H, W, C). */
function interleave(channels) {
  if (channels.length === 1) return channels[0];
  const image = new Int16Array(channels[0].length * channels.length);
  channels.forEach((plane, c) => plane.forEach((hu, i) => (image[i * channels.length + c] = hu)));
  return image;
}

/** (H, W, K) to one (H, W) a class. */
function split(logits, classes, mustBeFinite = true) {
  const planes = Array.from({ length: classes }, () => new Float32Array(logits.length / classes));
  for (let i = 0; i < logits.length; i++) {
    if (mustBeFinite && !Number.isFinite(logits[i])) {
      throw new Error(
        "Logits: expected finite numbers, received NaN or infinity. The network's weights are " +
          "broken: export the model again.",
      );
    }
    planes[i % classes][Math.floor(i / classes)] = logits[i];
  }
  return planes;
}

/** Shifts the foreground of two classes so that the higher one is the label to choose. */
function shifted(planes, threshold) {
  if (threshold === undefined || threshold === 0.5) return planes;
  // Foreground's probability is above t where b + log((1 - t) / t) > a.
  const advantage = Math.fround(Math.log((1 - threshold) / threshold));
  return [planes[0], planes[1].map((logit) => logit + advantage)];
}

/** Returns the class of the highest score; a tie goes to the lower label. */
function highest(planes) {
  const best = planes[0].slice();
  const labels = new Uint8Array(best.length);
  for (let label = 1; label < planes.length; label++) {
    const plane = planes[label];
    for (let i = 0; i < best.length; i++) {
      if (plane[i] > best[i]) {
        best[i] = plane[i];
        labels[i] = label;
      }
    }
  }
  return labels;
}

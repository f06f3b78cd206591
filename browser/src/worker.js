/**
 * The page's worker: everything slow, so that the page stays responsive.
 *
 * Takes {id, task, ...} and answers with any number of {id, progress} and one {id, result} or
 * {id, error}.
 */

import { readBundle } from "./bundle.js";
import { clean } from "./clean.js";
import { readCt } from "./ct_volume.js";
import { loadModel } from "./runtime.js";
import { checkGolden, segment } from "./segment.js";

const TASKS = { openModel, openCt, segmentCt };

let current; // {contract, model}
let volume; // the CT

self.onmessage = async ({ data: { id, task, ...given } }) => {
  const report = (progress) => self.postMessage({ id, progress });
  try {
    const [result, ...transfer] = await TASKS[task](given, report);
    self.postMessage({ id, result }, transfer);
  } catch (error) {
    self.postMessage({ id, error: error?.message ?? String(error) });
  }
};

async function openModel({ files }) {
  current?.model.close();
  current = undefined;
  const { contract, model: bytes } = await readBundle(files);
  const model = await loadModel(bytes, contract);
  current = { contract, model };
  const golden = await checkGolden(contract, model.run);
  const { golden: _, ...facts } = contract; // its arrays stay here
  return [{ contract: facts, golden, threads: model.threads }];
}

async function openCt({ bytes, name }) {
  volume = undefined;
  volume = readCt(bytes, name);
  const { shape, spacingMm, warnings } = volume;
  return [{ shape, spacingMm, warnings }];
}

async function segmentCt(_, report) {
  const { contract, model } = current;
  const started = performance.now();
  let modelMs = 0;
  const timed = async (image) => {
    const before = performance.now();
    const logits = await model.run(image);
    modelMs += performance.now() - before;
    return logits;
  };
  const mask = await segment(volume, contract, timed, (done, total) => report({ done, total }));
  clean(mask, volume, contract);
  const voxels = new Float64Array(contract.label_names.length);
  for (const label of mask) voxels[label]++;
  const file = volume.maskFile(mask);
  const result = {
    mask: file,
    volumesMl: Array.from(voxels, (count) => count * volume.voxelMl),
    slices: volume.shape[0],
    seconds: (performance.now() - started) / 1000,
    modelMsPerSlice: modelMs / volume.shape[0],
  };
  return [result, file.buffer];
}

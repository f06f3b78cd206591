/** The contract's post-processing: largest component and hole filling, by `tfkd`'s rules. */

const OUTSIDE = 0;
const INSIDE = 1;
const REACHED = 2;

/**
 * Cleans the mask of a whole CT, in place.
 *
 * First, label by label, all but the largest component becomes background; then the background that
 * a label encloses in all three dimensions becomes the label. Voxels are connected through faces.
 *
 * @param {Uint8Array} mask laid out like the voxels of the file.
 * @param {import("./ct_volume.js").CtVolume} volume the CT.
 * @param {object} contract with label_names and, maybe, postprocessing.
 */
export function clean(mask, volume, { label_names: names, postprocessing }) {
  if (!postprocessing) return;
  names.forEach((name, label) => {
    if (postprocessing.largest_component.includes(name)) keepLargest(mask, volume, label);
  });
  names.forEach((name, label) => {
    if (postprocessing.fill_holes.includes(name)) fillHoles(mask, volume, label);
  });
}

function keepLargest(mask, volume, label) {
  const box = boxAround(mask, volume, label);
  if (!box) return;
  const region = copyRegion(mask, box, (value) => value === label);
  let largest = { size: 0 };
  forEachVoxel(box, (at, i) => {
    if (region[i] !== INSIDE) return;
    const size = flood(region, box, [i]);
    if (size > largest.size) largest = { size, seed: i };
  });
  for (let i = 0; i < region.length; i++) if (region[i] === REACHED) region[i] = INSIDE;
  flood(region, box, [largest.seed]);
  forEachVoxel(box, (at, i) => {
    if (region[i] === INSIDE) mask[at] = 0;
  });
}

function fillHoles(mask, volume, label) {
  const box = boxAround(mask, volume, label);
  if (!box) return;
  const region = copyRegion(mask, box, (value) => value !== label);
  // Beyond the box nothing has the label, so what reaches its faces is no hole.
  const faces = [];
  forEachVoxel(box, (at, i, onFace) => onFace && faces.push(i));
  flood(region, box, faces);
  forEachVoxel(box, (at, i) => {
    if (region[i] === INSIDE && mask[at] === 0) mask[at] = label;
  });
}

/** Returns the box that holds a label, or null if none does. */
function boxAround(mask, volume, label) {
  const low = [...volume.shape];
  const high = [-1, -1, -1];
  const [slices, rows, columns] = volume.shape;
  for (let z = 0; z < slices; z++) {
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        if (mask[volume.index(z, y, x)] !== label) continue;
        [z, y, x].forEach((place, axis) => {
          low[axis] = Math.min(low[axis], place);
          high[axis] = Math.max(high[axis], place);
        });
      }
    }
  }
  if (high[0] < 0) return null;
  const size = high.map((last, axis) => last - low[axis] + 1);
  // One voxel more on each side, so that a walk needs no look at the border.
  const steps = [(size[1] + 2) * (size[2] + 2), size[2] + 2, 1];
  return { low, size, steps, padded: (size[0] + 2) * steps[0], index: volume.index };
}

/** Calls `visit(index in the mask, index in the region, whether on a face)` from low z to high. */
function forEachVoxel({ low, size, steps, index }, visit) {
  for (let z = 0; z < size[0]; z++) {
    for (let y = 0; y < size[1]; y++) {
      const edge = z === 0 || y === 0 || z === size[0] - 1 || y === size[1] - 1;
      for (let x = 0; x < size[2]; x++) {
        const i = (z + 1) * steps[0] + (y + 1) * steps[1] + x + 1;
        const at = index(z + low[0], y + low[1], x + low[2]);
        visit(at, i, edge || x === 0 || x === size[2] - 1);
      }
    }
  }
}

function copyRegion(mask, box, belongs) {
  const region = new Uint8Array(box.padded).fill(OUTSIDE);
  forEachVoxel(box, (at, i) => {
    if (belongs(mask[at])) region[i] = INSIDE;
  });
  return region;
}

/** Marks all that is connected with the seeds, and returns how many voxels that are. */
function flood(region, { steps }, seeds) {
  const open = seeds.filter((i) => region[i] === INSIDE);
  for (const i of open) region[i] = REACHED;
  let count = open.length;
  while (open.length) {
    const i = open.pop();
    for (const step of steps) {
      for (const next of [i - step, i + step]) {
        if (region[next] !== INSIDE) continue;
        region[next] = REACHED;
        open.push(next);
        count++;
      }
    }
  }
  return count;
}

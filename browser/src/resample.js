/**
 * Resizes an image linearly as Pillow does for 32-bit floats.
 *
 * The borders of the two grids coincide, and the triangle filter is as wide as a new pixel when
 * shrinking. First along x, then along y, with sums in float64 and float32 in between.
 *
 * @param {Float32Array} image rows after each other.
 * @param {[number, number]} from [rows, columns] of `image`.
 * @param {[number, number]} to [rows, columns] wanted.
 * @returns {Float32Array} `image` itself where the sizes are equal.
 */
export function resize(image, from, to) {
  const wide = from[1] === to[1] ? image : alongX(image, from[0], from[1], to[1]);
  return from[0] === to[0] ? wide : alongY(wide, to[1], from[0], to[0]);
}

function alongX(image, rows, oldColumns, columns) {
  const { first, count, weights, width } = filter(oldColumns, columns);
  const target = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const start = y * oldColumns + first[x];
      let sum = 0;
      for (let i = 0; i < count[x]; i++) sum += image[start + i] * weights[x * width + i];
      target[y * columns + x] = sum;
    }
  }
  return target;
}

function alongY(image, columns, oldRows, rows) {
  const { first, count, weights, width } = filter(oldRows, rows);
  const target = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const start = first[y] * columns + x;
      let sum = 0;
      for (let i = 0; i < count[y]; i++) sum += image[start + i * columns] * weights[y * width + i];
      target[y * columns + x] = sum;
    }
  }
  return target;
}

const filters = new Map();

/** Returns, for each new pixel, the first old one it takes from, how many, and their weights. */
function filter(oldSize, size) {
  const key = `${oldSize} ${size}`;
  if (!filters.has(key)) filters.set(key, makeFilter(oldSize, size));
  return filters.get(key);
}

function makeFilter(oldSize, size) {
  const scale = oldSize / size;
  const support = Math.max(scale, 1); // half the triangle's base, in old pixels
  const width = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(size);
  const count = new Int32Array(size);
  const weights = new Float64Array(size * width);
  for (let i = 0; i < size; i++) {
    const center = (i + 0.5) * scale;
    first[i] = Math.max(0, Math.trunc(center - support + 0.5));
    count[i] = Math.min(oldSize, Math.trunc(center + support + 0.5)) - first[i];
    let total = 0;
    for (let k = 0; k < count[i]; k++) {
      const distance = Math.abs((first[i] + k - center + 0.5) * (1 / support));
      weights[i * width + k] = Math.max(0, 1 - distance);
      total += weights[i * width + k];
    }
    for (let k = 0; k < count[i]; k++) weights[i * width + k] /= total;
  }
  return { first, count, weights, width };
}

/** The header of a NIfTI-1 or NIfTI-2 file: what says where and what the voxels are. */

// Byte offsets of the fields that are read, and the size of their numbers.
const LAYOUTS = {
  1: {
    size: 348,
    dim: [40, "Int16", 2],
    datatype: 70,
    bitpix: 72,
    pixdim: [76, "Float32", 4],
    voxOffset: [108, "Float32", 4],
    slope: [112, "Float32", 4],
    units: [123, "Int8", 1],
    qformCode: [252, "Int16", 2],
    quaternion: [256, "Float32", 4],
    srow: [280, "Float32", 4],
    magic: [344, "n+1\0"],
    // Everything that says where the voxels lie: pixdim, units, qform and sform.
    geometry: [[76, 108], [123, 124], [252, 328]],
    // The quaternion is a unit one up to the rounding of its numbers.
    tolerance: 3 * 2 ** -23,
  },
  2: {
    size: 540,
    dim: [16, "BigInt64", 8],
    datatype: 12,
    bitpix: 14,
    pixdim: [104, "Float64", 8],
    voxOffset: [168, "BigInt64", 8],
    slope: [176, "Float64", 8],
    units: [500, "Int32", 4],
    qformCode: [344, "Int32", 4],
    quaternion: [352, "Float64", 8],
    srow: [400, "Float64", 8],
    magic: [4, "n+2\0\r\n\x1a\n"],
    geometry: [[104, 168], [344, 496], [500, 504]],
    tolerance: 3 * 2 ** -52,
  },
};
const UINT8 = 2;
// Units of length other than millimetres by their codes, and what they are worth.
const UNITS = { 1: ["metres", 1000], 3: ["microns", 0.001] };

/**
 * Reads a header.
 *
 * @param {Uint8Array} bytes the file, not compressed.
 * @param {string} where words for the error message.
 * @returns {object} shape, affine in mm, unit (of the file), stated (whether the file knows its
 *     orientation), datatype, slope, intercept, voxOffset, littleEndian, and what `maskHeader`
 *     needs.
 * @throws {Error} not a NIfTI file of one part, or an affine that cannot be.
 */
export function readHeader(bytes, where) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = bytes.length >= 4 && [348, 540].includes(view.getInt32(0, true));
  const size = bytes.length >= 4 ? view.getInt32(0, littleEndian) : 0;
  const version = { 348: 1, 540: 2 }[size];
  const layout = LAYOUTS[version];
  if (!layout || bytes.length < size + 4 || text(bytes, layout.magic) !== layout.magic[1]) {
    throw new Error(
      `${where}: expected a NIfTI file of one part (.nii or .nii.gz), received something else.`,
    );
  }
  const read = ([offset, type, step], index = 0) =>
    Number(view[`get${type}`](offset + index * step, littleEndian));
  const dim = Array.from({ length: 8 }, (_, i) => read(layout.dim, i));
  const pixdim = Array.from({ length: 4 }, (_, i) => read(layout.pixdim, i));
  const codes = [0, 1].map((i) => read(layout.qformCode, i));
  const slope = read(layout.slope);
  const scaled = slope !== 0 && Number.isFinite(slope);
  const shape = dim.slice(1, 1 + dim[0]);
  const given = makeAffine({ layout, read, shape, pixdim, codes }, where);
  // An identity says nothing; such CT, as the 3D-IRCADb cases of LiTS17, are laid out as LAS.
  const known = isIdentity(given) ? given.map((row, r) => (r === 0 ? [-1, 0, 0, 0] : row)) : given;
  const [unit, mm] = UNITS[read(layout.units) & 7] ?? ["mm", 1];
  const affine = known.map((row, r) => (r < 3 ? row.map((value) => value * mm) : row));
  return {
    shape,
    affine,
    unit,
    stated: codes.some((code) => code !== 0) && !isIdentity(given),
    datatype: view.getInt16(layout.datatype, littleEndian),
    slope: scaled ? slope : 1,
    intercept: scaled ? read(layout.slope, 1) : 0,
    voxOffset: read(layout.voxOffset),
    littleEndian,
    layout,
    start: bytes.slice(0, size),
  };
}

/**
 * Returns the header of a mask in the layout of the file that was read.
 *
 * Only the geometry is taken over, byte for byte; names and remarks of the CT stay behind.
 *
 * @param {object} header what `readHeader` gave.
 * @returns {Uint8Array} up to the first voxel of uint8.
 */
export function maskHeader({ layout, start, littleEndian }) {
  const bytes = new Uint8Array(layout.size + 4); // and the four that say: no extension
  const view = new DataView(bytes.buffer);
  const [dim, , step] = layout.dim;
  for (const [from, to] of [...layout.geometry, [dim, dim + 8 * step]]) {
    bytes.set(start.subarray(from, to), from);
  }
  const [magic, word] = layout.magic;
  bytes.set([...word].map((character) => character.charCodeAt(0)), magic);
  view.setInt32(0, layout.size, littleEndian);
  view.setInt16(layout.datatype, UINT8, littleEndian);
  view.setInt16(layout.bitpix, 8, littleEndian);
  for (const [[offset, type], value] of [
    [layout.voxOffset, bytes.length],
    [layout.slope, 1],
  ]) {
    view[`set${type}`](offset, type === "BigInt64" ? BigInt(value) : value, littleEndian);
  }
  return bytes;
}

/** Returns the (4, 4) voxel -> RAS+ mm matrix: sform, else qform, else the voxel size alone. */
function makeAffine({ layout, read, shape, pixdim, codes }, where) {
  if (codes[1] !== 0) {
    const row = (r) => [0, 1, 2, 3].map((column) => read(layout.srow, 4 * r + column));
    return [row(0), row(1), row(2), [0, 0, 0, 1]];
  }
  if (codes[0] !== 0) {
    const numbers = Array.from({ length: 6 }, (_, i) => read(layout.quaternion, i));
    return fromQuaternion(numbers, pixdim, layout.tolerance, where);
  }
  // By old custom x grows to the Left, and the origin is the middle of the volume.
  const step = [-pixdim[1], pixdim[2], pixdim[3]];
  const rows = step.map((mm, r) => [0, 1, 2, 3].map((c) => (c === r ? mm : 0)));
  rows.forEach((row, r) => (row[3] = (-step[r] * (shape[r] - 1)) / 2));
  return [...rows, [0, 0, 0, 1]];
}

function fromQuaternion([b, c, d, x, y, z], pixdim, tolerance, where) {
  const rest = 1 - (b * b + c * c + d * d);
  if (rest < -tolerance) {
    throw new Error(`${where}: expected a unit quaternion in the qform, received ${[b, c, d]}.`);
  }
  const a = Math.sqrt(Math.max(0, rest));
  const rotation = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
  ];
  const step = [pixdim[1], pixdim[2], pixdim[3] * (pixdim[0] === -1 ? -1 : 1)];
  const origin = [x, y, z];
  const rows = rotation.map((row, r) => [...row.map((v, column) => v * step[column]), origin[r]]);
  return [...rows, [0, 0, 0, 1]];
}

function isIdentity(affine) {
  return affine.every((row, r) => row.every((value, c) => value === (r === c ? 1 : 0)));
}

function text(bytes, [offset, word]) {
  return String.fromCharCode(...bytes.subarray(offset, offset + word.length));
}

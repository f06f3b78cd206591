/** A CT as the file holds it, looked at in the one frame that `tfkd` uses: axes (z, y, x), LPS+. */

import { maskHeader, readHeader } from "./nifti_header.js";
import { independence, patientAxes, spacingMm } from "./orientation.js";
import { roundHalfEven } from "./rounding.js";

// NIfTI's codes of real numbers.
const TYPES = {
  2: Uint8Array,
  4: Int16Array,
  8: Int32Array,
  16: Float32Array,
  64: Float64Array,
  256: Int8Array,
  512: Uint16Array,
  768: Uint32Array,
  1024: BigInt64Array,
  1280: BigUint64Array,
};

/**
 * @typedef {object} CtVolume
 * @property {[number, number, number]} shape slices, rows and columns: z to Superior, y to
 *     Posterior, x to Left.
 * @property {[number, number, number]} spacingMm along (z, y, x).
 * @property {string[]} warnings what a user should know of the file.
 * @property {(z: number) => Int16Array} slice HU of one slice, row after row.
 * @property {(mask: Uint8Array, z: number, labels: Uint8Array) => void} setSlice puts the labels
 *     of a slice where they belong in a mask that is laid out like the file.
 * @property {(mask: Uint8Array) => Uint8Array} maskFile a NIfTI file of the mask, with the
 *     geometry of the CT's.
 * @property {number} voxels in all.
 * @property {number} voxelMl volume of one.
 * @property {(z: number, y: number, x: number) => number} index of a voxel in such a mask.
 */

/**
 * Reads a CT.
 *
 * @param {Uint8Array} bytes a NIfTI file, not compressed.
 * @param {string} where words for the error message, such as the file's name.
 * @returns {CtVolume}
 * @throws {Error} not NIfTI, not 3-D, cut short, an affine without three axes, or no HU.
 */
export function readCt(bytes, where) {
  const header = readHeader(bytes, where);
  const shapeOnDisk = threeAxes(header.shape, where);
  const { affine } = header;
  if (!affine.flat().every(Number.isFinite) || !(Math.abs(independence(affine)) > 1e-3)) {
    const received = JSON.stringify(affine);
    throw new Error(
      `${where}: expected an affine with three independent axes, received ${received}.`,
    );
  }
  const hu = readHu(bytes, header, shapeOnDisk, where);
  const { shape, strides, offset, mm } = canonicalFrame(affine, shapeOnDisk);
  if (!mm.every((size) => size >= 0.01 && size <= 100)) {
    throw new Error(
      `${where}: expected voxels of 0.01 to 100 mm, received ${mm} mm, of a header in ` +
        `${header.unit}.`,
    );
  }
  const eachOf = (z, visit) => {
    for (let y = 0, i = 0; y < shape[1]; y++) {
      let at = offset + z * strides[0] + y * strides[1];
      for (let x = 0; x < shape[2]; x++, i++, at += strides[2]) visit(i, at);
    }
  };
  return {
    shape,
    spacingMm: mm,
    voxels: hu.length,
    voxelMl: (Math.abs(independence(affine)) * mm[0] * mm[1] * mm[2]) / 1000,
    index: (z, y, x) => offset + z * strides[0] + y * strides[1] + x * strides[2],
    warnings: [
      ...(header.unit === "mm" ? [] : [`${where} is in ${header.unit}, and read as millimetres.`]),
      ...(mostCosine(affine) < Math.sin(Math.PI / 180) ? [] : [sheared(where)]),
      ...(header.stated ? [] : [unstated(where)]),
    ],
    slice(z) {
      const values = new Int16Array(shape[1] * shape[2]);
      eachOf(z, (i, at) => (values[i] = hu[at]));
      return values;
    },
    setSlice(mask, z, labels) {
      eachOf(z, (i, at) => (mask[at] = labels[i]));
    },
    maskFile(mask) {
      const start = maskHeader(header);
      const file = new Uint8Array(start.length + mask.length);
      file.set(start);
      file.set(mask, start.length);
      return file;
    },
  };
}

function threeAxes(shape, where) {
  if (shape.length < 3 || shape.slice(3).some((n) => n !== 1) || shape.some((n) => !(n > 0))) {
    throw new Error(
      `${where}: expected one 3-D volume, received shape ${shape.join(" × ")}. ` +
        "Split a series into one file a volume.",
    );
  }
  return shape.slice(0, 3);
}

/** Returns how to walk through the voxels on disk along z, y and x. */
function canonicalFrame(affine, shapeOnDisk) {
  const steps = [1, shapeOnDisk[0], shapeOnDisk[0] * shapeOnDisk[1]];
  const mmOnDisk = spacingMm(affine);
  const [shape, strides, mm] = [[], [], []];
  let offset = 0;
  patientAxes(affine).forEach(({ axis, sign }, onDisk) => {
    const canonical = 2 - axis; // (z, y, x)
    const forward = axis === 2 ? 1 : -1; // x grows to Left, y to Posterior, z to Superior
    shape[canonical] = shapeOnDisk[onDisk];
    mm[canonical] = mmOnDisk[onDisk];
    strides[canonical] = steps[onDisk] * sign * forward;
    if (sign !== forward) offset += steps[onDisk] * (shapeOnDisk[onDisk] - 1);
  });
  return { shape, strides, offset, mm };
}

/** Returns the HU in the order of the file; fractions rounded. */
function readHu(bytes, header, shape, where) {
  const { slope, intercept } = header;
  if (!Number.isFinite(intercept)) {
    throw new Error(`${where}: expected a finite intercept, received ${intercept}.`);
  }
  const stored = readNumbers(bytes, header, shape[0] * shape[1] * shape[2], where);
  const scaled = slope !== 1 || intercept !== 0;
  if (stored instanceof Int16Array && !scaled) return stored;
  const hu = new Int16Array(stored.length);
  for (let i = 0; i < hu.length; i++) {
    let value = Number(stored[i]);
    // To float32 before rounding, as tfkd reads scaled files.
    if (scaled) value = Math.fround(value * slope + intercept);
    if (!(value >= -32768 && value <= 32767)) {
      throw new Error(`${where}: expected finite HU that fit 16 bits, received ${value}.`);
    }
    hu[i] = roundHalfEven(value);
  }
  return hu;
}

function readNumbers(bytes, { datatype, voxOffset, littleEndian }, count, where) {
  const Type = TYPES[datatype];
  if (!Type) {
    throw new Error(
      `${where}: expected one real number a voxel, received NIfTI data type ${datatype}.`,
    );
  }
  const width = Type.BYTES_PER_ELEMENT;
  const end = voxOffset + count * width;
  if (bytes.length < end) {
    throw new Error(
      `${where}: expected at least ${end} bytes, received ${bytes.length}. ` +
        "The file is cut short: copy it again.",
    );
  }
  const raw = bytes.slice(voxOffset, end);
  if (!littleEndian && width > 1) {
    for (let i = 0; i < raw.length; i += width) raw.subarray(i, i + width).reverse();
  }
  return new Type(raw.buffer); // browsers run on little-endian machines
}

function unstated(where) {
  return (
    `${where} states no orientation: sides and voxel size are a guess, and so are volumes. ` +
    "Check that the picture is the right way round."
  );
}

function sheared(where) {
  return (
    `${where}: its axes are not at right angles, as with a tilted gantry. Slices are taken as ` +
    "they are."
  );
}

/** Returns the largest cosine between two axes of a file, 0 where all are at right angles. */
function mostCosine(affine) {
  const axes = [0, 1, 2].map((column) => [0, 1, 2].map((r) => affine[r][column]));
  const length = (axis) => Math.hypot(...axis);
  const cosine = (a, b) =>
    Math.abs(a.reduce((sum, value, r) => sum + value * b[r], 0)) / (length(a) * length(b));
  return Math.max(cosine(axes[0], axes[1]), cosine(axes[0], axes[2]), cosine(axes[1], axes[2]));
}

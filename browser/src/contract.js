/** The contract of a model file (`student.json`), read as strictly as `tfkd` does. */

import { inflate } from "./inflate.js";

const SCHEMA_VERSIONS = [1, 2];
const QUANTIZATIONS = {
  1: ["float32", "float16", "int8"],
  2: ["float32", "float16", "dynamic_int8", "int8", "int8_mixed", "int16x8"],
};
const KEYS = [
  ...["schema_version", "file", "sha256", "size_bytes", "quantization", "label_names"],
  ...["spec", "input", "output", "golden", "created_by"],
];
const SPEC_KEYS = ["window_hu", "output_range", "size", "fit", "spacing_mm", "context_slices"];
const TENSOR_KEYS = ["name", "shape", "dtype", "scale", "zero_point"];
const GOLDEN_KEYS = [
  ...["shape", "image_hu", "mask", "logits_stride", "logits"],
  ...["logits_tolerance", "min_agreement"],
];
const POSTPROCESSING_KEYS = ["largest_component", "fill_holes"];
const AGAIN = "Export the model again.";
// Far above a golden slice; an array that states more is not unpacked.
const MOST_BYTES = 2 ** 28;

/**
 * Reads a contract.
 *
 * @param {string} text the JSON.
 * @param {string} where words for the error message, such as the file's name.
 * @returns {Promise<object>} the JSON's own keys; the golden slice's arrays are decoded.
 * @throws {Error} another schema version, an unknown or missing key, a wrong value, or parts that
 *     contradict each other.
 */
export async function parseContract(text, where) {
  const contract = parseJson(text, where);
  const version = contract?.schema_version;
  if (!SCHEMA_VERSIONS.includes(version)) {
    const newer = version > SCHEMA_VERSIONS.at(-1);
    throw new Error(
      `${where}: expected contract schema version ${SCHEMA_VERSIONS.join(" or ")}, received ` +
        `${JSON.stringify(version) ?? "none"}. ` +
        (newer ? "It was written by a newer tfkd: use a newer build of this page." : AGAIN),
    );
  }
  exactKeys(contract, KEYS, ["threshold", ...(version > 1 ? ["postprocessing"] : [])], where);
  exactKeys(contract.spec, SPEC_KEYS, ["field_size"], `${where}, key 'spec'`);
  exactKeys(contract.input, TENSOR_KEYS, [], `${where}, key 'input'`);
  exactKeys(contract.output, TENSOR_KEYS, [], `${where}, key 'output'`);
  exactKeys(contract.golden, GOLDEN_KEYS, [], `${where}, key 'golden'`);
  checkValues(contract, where);
  checkPostprocessing(contract, where);
  contract.golden = await decodeGolden(contract.golden, contract.label_names.length, where);
  return contract;
}

function parseJson(text, where) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${where}: expected a contract in JSON, received ${error.message}. ${AGAIN}`);
  }
}

function exactKeys(value, required, optional, where) {
  const received = isObject(value) ? Object.keys(value) : [];
  const missing = required.filter((key) => !received.includes(key));
  const unknown = received.filter((key) => ![...required, ...optional].includes(key));
  if (missing.length || unknown.length) {
    throw new Error(
      `${where}: expected the keys ${required.join(", ")}; received unknown ` +
        `[${unknown.join(", ")}] and missing [${missing.join(", ")}]. The file was edited or ` +
        `written by another version of tfkd. ${AGAIN}`,
    );
  }
}

function checkValues(contract, where) {
  const expect = (condition, expected, received) => {
    if (!condition) {
      throw new Error(
        `${where}: expected ${expected}, received ${JSON.stringify(received)}. ${AGAIN}`,
      );
    }
  };
  const { label_names: names, threshold } = contract;
  for (const key of ["file", "sha256"]) {
    expect(isText(contract[key]), `text in '${key}'`, contract[key]);
  }
  expect(Number.isInteger(contract.size_bytes), "an integer in 'size_bytes'", contract.size_bytes);
  expect(isObject(contract.created_by), "an object in 'created_by'", contract.created_by);
  const known = QUANTIZATIONS[contract.schema_version];
  expect(known.includes(contract.quantization), `one of ${known}`, contract.quantization);
  expect(
    Array.isArray(names) && names.length >= 2 && names.length <= 256 && names.every(isText),
    "2 to 256 label names",
    names,
  );
  expect(new Set(names).size === names.length, "each of 'label_names' once", names);
  expect(
    threshold === undefined ||
      (isNumber(threshold) && threshold > 0 && threshold < 1 && names.length === 2),
    "a threshold between 0 and 1 for two classes, or none",
    threshold,
  );
  checkSpec(contract.spec, expect);
  checkTensors(contract, expect);
}

function checkSpec(spec, expect) {
  for (const key of ["window_hu", "output_range"]) {
    const [low, high] = isList(spec[key], 2, isNumber) ? spec[key] : [];
    expect(low < high, `a rising pair in '${key}'`, spec[key]);
  }
  expect(isSize(spec.size), "'size' of two positive integers", spec.size);
  expect(["resize", "center"].includes(spec.fit), "'fit' of resize or center", spec.fit);
  const only = spec.fit === "center";
  expect(
    spec.spacing_mm === null || (only && isNumber(spec.spacing_mm) && spec.spacing_mm > 0),
    "'spacing_mm' above 0 with fit center, or null",
    spec.spacing_mm,
  );
  expect(
    spec.field_size === undefined ||
      (only && spec.spacing_mm === null && isSize(spec.field_size)),
    "'field_size' of two positive integers with fit center, or none",
    spec.field_size,
  );
  const context = spec.context_slices;
  expect(Number.isInteger(context) && context >= 0, "'context_slices' of 0 or more", context);
}

function checkTensors({ spec, label_names: names, input, output, golden }, expect) {
  const inputShape = [1, ...spec.size, 2 * spec.context_slices + 1];
  const outputShape = [1, ...spec.size, names.length];
  const goldenShape = inputShape.slice(1);
  expect(isSame(input.shape, inputShape), `input shape ${inputShape}`, input.shape);
  expect(isSame(output.shape, outputShape), `output shape ${outputShape}`, output.shape);
  expect(
    isSame(golden.shape, goldenShape),
    `a golden slice of shape ${goldenShape}`,
    golden.shape,
  );
  for (const tensor of [input, output]) {
    const { name, dtype, scale, zero_point: zero } = tensor;
    expect(isText(name), "text in 'name'", name);
    expect(
      dtype === "int8"
        ? isNumber(scale) && Number.isInteger(zero)
        : dtype === "float32" && scale === null && zero === null,
      "float32, or int8 with scale and zero_point",
      tensor,
    );
  }
  const { logits_stride: stride, logits_tolerance: tolerance, min_agreement: agreement } = golden;
  expect(Number.isInteger(stride) && stride > 0, "a positive 'logits_stride'", stride);
  // Without these limits a runtime that computes something else would pass the check.
  expect(
    isNumber(tolerance) && tolerance >= 0,
    "a finite 'logits_tolerance' of at least 0",
    tolerance,
  );
  expect(
    isNumber(agreement) && agreement > 0 && agreement <= 1,
    "a 'min_agreement' above 0, at most 1",
    agreement,
  );
}

function checkPostprocessing({ postprocessing, label_names: names }, where) {
  if (postprocessing === undefined) return;
  exactKeys(postprocessing, POSTPROCESSING_KEYS, [], `${where}, key 'postprocessing'`);
  for (const key of POSTPROCESSING_KEYS) {
    const listed = postprocessing[key];
    const known = Array.isArray(listed) && listed.every((name) => names.indexOf(name) > 0);
    if (!known || new Set(listed).size !== listed.length) {
      throw new Error(
        `${where}, key '${key}': expected foreground labels (${names.slice(1)}), each once, ` +
          `received ${JSON.stringify(listed)}. ${AGAIN}`,
      );
    }
  }
}

async function decodeGolden(golden, classes, where) {
  const [height, width, channels] = golden.shape;
  const stride = golden.logits_stride;
  const sampled = Math.ceil(height / stride) * Math.ceil(width / stride);
  const decode = (key, Type, count) =>
    decodeArray(golden[key], Type, count, `${where}, key 'golden', key '${key}'`);
  return {
    ...golden,
    image_hu: await decode("image_hu", Int16Array, height * width * channels),
    mask: await decode("mask", Uint8Array, height * width),
    logits: await decode("logits", Float32Array, sampled * classes),
  };
}

async function decodeArray(text, Type, count, where) {
  const size = count * Type.BYTES_PER_ELEMENT;
  if (size > MOST_BYTES) {
    throw new Error(
      `${where}: expected at most ${MOST_BYTES} bytes, received a shape of ${size}. ${AGAIN}`,
    );
  }
  const raw = await inflate(unpackBase64(text, where), "deflate", where, size);
  if (raw.length !== size) {
    throw new Error(`${where}: expected ${size} bytes, received ${raw.length}. ${AGAIN}`);
  }
  return new Type(raw.buffer); // little-endian, like every machine that runs a browser
}

function unpackBase64(text, where) {
  try {
    // `atob` alone turns what is no text into text, skips blanks and does without padding.
    if (!isText(text) || text.length % 4 || /[^A-Za-z0-9+/=]/.test(text)) throw new TypeError();
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new Error(`${where}: expected base64, received something else. ${AGAIN}`);
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value) {
  return typeof value === "string";
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function isList(value, length, isItem) {
  return Array.isArray(value) && value.length === length && value.every(isItem);
}

function isSize(value) {
  return isList(value, 2, (n) => Number.isInteger(n) && n > 0);
}

function isSame(value, shape) {
  return isList(value, shape.length, (n, i) => n === shape[i]);
}

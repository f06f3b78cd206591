/** From the files that a user chose to a checked model. */

import { unzipSync } from "fflate";

import { parseContract } from "./contract.js";

// Students are small; what is larger is not one of ours, or a trap.
const MOST_BYTES = { ".tflite": 512 * 2 ** 20, ".json": 64 * 2 ** 20 };

/**
 * Reads a bundle and checks that its two parts belong together.
 *
 * @param {File[]} files a `.tflite` and its `.json`, or one `.zip` of both.
 * @returns {Promise<{contract: object, model: Uint8Array}>}
 * @throws {Error} a part is missing or there twice, the contract cannot be read, or the model's
 *     SHA-256 is not the contract's.
 */
export async function readBundle(files) {
  const parts = (await Promise.all(files.map(unpack))).flat();
  const model = onePart(parts, ".tflite");
  const beside = onePart(parts, ".json");
  const contract = await parseContract(decodeText(beside), beside.name);
  const received = await sha256(model.bytes);
  if (received !== contract.sha256) {
    throw new Error(
      `${model.name}: expected SHA-256 ${contract.sha256} as ${beside.name} states, received ` +
        `${received}. The two do not belong together or the file is damaged: copy both again, ` +
        "or export the model again.",
    );
  }
  return { contract, model: model.bytes };
}

/** Of bytes that are no UTF-8 the decoder would make other text, unless it is told not to. */
function decodeText({ name, bytes }) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error(
      `${name}: expected a contract in UTF-8, received other bytes. Copy it again from where the ` +
        "model was exported, or export the model again.",
    );
  }
}

async function unpack(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!file.name.toLowerCase().endsWith(".zip")) return [{ name: file.name, bytes }];
  const seen = new Set();
  try {
    const members = unzipSync(bytes, { filter: (member) => wanted(member, seen) });
    return Object.entries(members).map(([path, content]) => ({
      name: `${file.name}/${path}`,
      bytes: content,
    }));
  } catch (error) {
    throw new Error(
      `${file.name}: expected a zip of a model and its contract, received ${error.message}. ` +
        "Copy the file again from where it came from.",
    );
  }
}

function wanted({ name, originalSize }, seen) {
  const base = name.split("/").at(-1);
  const [suffix] = base.toLowerCase().match(/\.(tflite|json)$/) ?? [];
  if (base.startsWith("._") || !suffix) return false;
  if (seen.has(name)) throw new Error(`${name} twice`);
  seen.add(name);
  const most = MOST_BYTES[suffix];
  if (originalSize > most) throw new Error(`${name} of ${originalSize} bytes, more than ${most}`);
  return true;
}

function onePart(parts, suffix) {
  const found = parts.filter(({ name }) => name.toLowerCase().endsWith(suffix));
  if (found.length !== 1) {
    const names = parts.map(({ name }) => name).join(", ") || "nothing";
    throw new Error(
      `Model: expected one ${suffix} file, received ${names}. Choose the .tflite file together ` +
        "with its .json, or one .zip of both.",
    );
  }
  return found[0];
}

async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new Error(
      "This page cannot check the model's SHA-256: browsers allow it on https:// and localhost " +
        "only. Open the page from such an address.",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A LiteRT file behind plain float32 arrays, in a worker. */

import { loadLiteRt } from "@litertjs/core";
import { roundHalfEven } from "./rounding.js";

const SIGNATURE = "serving_default";
// The worker's own address is a blob: `worker_client.js` says where the page's files are.
const FOLDER = new URL("wasm/", self.tfkdBase).href;

let loading;

/** Loads LiteRT's WASM once: with threads where the page's host allows them. */
function runtime() {
  loading ??= load();
  return loading;
}

async function load() {
  // Threads share memory, which browsers allow only to pages that are isolated from others.
  if (self.crossOriginIsolated) {
    try {
      return await loadFrom(FOLDER, { threads: true });
    } catch (error) {
      console.warn("No WASM threads, computing with one:", error);
    }
  }
  return loadFrom(FOLDER, {});
}

function loadFrom(folder, options) {
  // In a worker the loader looks beside the worker, and starts its threads from it. They share the
  // worker's memory, so they too start from a blob, which has the page's security policy.
  const script = JSON.stringify(`${folder}litert_wasm_threaded_internal.js`);
  self.Module = {
    locateFile: (name) => folder + name,
    mainScriptUrlOrBlob: new Blob([`importScripts(${script});`], { type: "text/javascript" }),
  };
  return loadLiteRt(folder, options);
}

/**
 * Makes a model of a file's bytes.
 *
 * It goes through LiteRT's WASM bindings directly: the package's own `Tensor` knows float32, int32
 * and uint8 alone and refuses int8, which the WASM itself runs.
 *
 * @param {Uint8Array} bytes the `.tflite` file.
 * @param {object} contract its contract.
 * @returns {Promise<{threads: number, run: (image: Float32Array) => Promise<Float32Array>,
 *     close: () => void}>} `run` takes a windowed slice (H, W, C) and gives its logits (H, W, K).
 * @throws {Error} LiteRT cannot be loaded here or cannot run the file, or the file's input and
 *     output are not the contract's.
 */
export async function loadModel(bytes, contract) {
  const liteRt = await runtime();
  const wasm = liteRt.liteRtWasm;
  const threads = wasm.getThreadCount();
  const environment = liteRt.getDefaultEnvironment();
  const owner = environment.liteRtEnvironment;
  const address = wasm._malloc(bytes.length);
  wasm.HEAPU8.set(bytes, address);
  let model, compiled;
  try {
    model = wasm.loadModel(owner, address, bytes.length);
    compiled = await wasm.compileModel(owner, model, {
      environment,
      accelerator: "wasm",
      cpuOptions: { numThreads: threads },
      gpuOptions: {},
      webNNOptions: {},
    });
  } catch (error) {
    model?.delete();
    wasm._free(address);
    throw new Error(
      `${contract.file}: expected a model that LiteRT can run in this browser, received: ` +
        `${reason(wasm, error)}. Try the float32 file of the same student.`,
    );
  }
  checkTensors(model, contract);
  const inputType = model.getInputTensorType(0, 0);
  const input = wasm.LiteRtTensorBuffer.createManaged(
    owner,
    wasm.LiteRtTensorBufferType.HOST_MEMORY,
    inputType,
    inputType.bytes(),
  );
  const encode = encoder(contract.input);
  const decode = decoder(contract.output);
  const modes = wasm.LiteRtTensorBufferLockMode;
  return {
    threads,
    async run(image) {
      const stored = encode(image);
      wasm.HEAPU8.set(new Uint8Array(stored.buffer), input.lock(modes.WRITE));
      input.unlock();
      const [output] = await compiled.run(0, [input]);
      // The heap may have grown, and with it become another array, while the model ran.
      const start = output.lock(modes.READ);
      const copy = wasm.HEAPU8.slice(start, start + output.packedSize());
      output.unlock();
      output.delete();
      return decode(copy.buffer);
    },
    close() {
      for (const part of [input, inputType, compiled, model]) part.delete();
      wasm._free(address);
    },
  };
}

/** C++ exceptions arrive as an address. */
function reason(wasm, error) {
  if (error instanceof Error) return error.message;
  return wasm.getExceptionMessage?.(error)?.join(" ") ?? String(error);
}

function checkTensors(model, contract) {
  const signature = model.getSignature(0);
  const names = [signature.inputNames(), signature.outputNames()];
  const counts = names.map((list) => list.size());
  const key = signature.key();
  if (key !== SIGNATURE || `${counts}` !== "1,1") {
    throw new Error(
      `${contract.file}: expected the signature '${SIGNATURE}' with one input and one output, ` +
        `received '${key}' with ${counts[0]} and ${counts[1]}. Export it with tfkd.`,
    );
  }
  const types = [model.getInputTensorType(0, 0), model.getOutputTensorType(0, 0)];
  for (const [i, side] of ["input", "output"].entries()) {
    const { name, dtype, shape } = contract[side];
    const width = dtype === "int8" ? 1 : 4;
    const expected = shape.reduce((product, n) => product * n, width);
    if (names[i].get(0) !== name || types[i].bytes() !== expected) {
      throw new Error(
        `${contract.file}: expected the ${side} '${name}' of ${expected} bytes as its contract ` +
          `states, received '${names[i].get(0)}' of ${types[i].bytes()} bytes. The contract was ` +
          "edited: export the model again.",
      );
    }
  }
  for (const part of [signature, ...names, ...types]) part.delete();
}

function encoder({ dtype, scale, zero_point: zeroPoint }) {
  if (dtype === "float32") return (image) => image.slice();
  const step = Math.fround(scale);
  return (image) =>
    new Int8Array(
      image.map((real) => {
        const steps = roundHalfEven(Math.fround(real / step)) + zeroPoint;
        return Math.min(127, Math.max(-128, steps));
      }),
    );
}

function decoder({ dtype, scale, zero_point: zeroPoint }) {
  if (dtype === "float32") return (buffer) => new Float32Array(buffer);
  const step = Math.fround(scale);
  const real = (stored) => (stored - zeroPoint) * step;
  return (buffer) => new Float32Array(new Int8Array(buffer)).map(real);
}

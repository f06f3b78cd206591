/** Builds the static page into `dist/`: two scripts, LiteRT's WASM, and what lies in `public/`. */

import { cp, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

// With relaxed SIMD, without it, and with threads; the one for WebGPU partitions is not used.
const WASM = ["internal", "compat_internal", "threaded_internal"].map((end) => `litert_wasm_${end}`);

await rm(here("dist"), { recursive: true, force: true });
await mkdir(here("dist/wasm"), { recursive: true });
await cp(here("public"), here("dist"), { recursive: true });
for (const name of WASM) {
  for (const suffix of [".js", ".wasm"]) {
    const source = here(`node_modules/@litertjs/core/wasm/${name}${suffix}`);
    await cp(source, here(`dist/wasm/${name}${suffix}`));
  }
}
await build({
  entryPoints: { page: here("src/page.js"), worker: here("src/worker.js") },
  outdir: here("dist"),
  bundle: true,
  minify: true,
  // A classic worker: LiteRT loads its WASM with importScripts.
  format: "iife",
  target: "es2022",
  legalComments: "linked",
  logLevel: "warning",
});

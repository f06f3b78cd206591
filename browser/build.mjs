/** Builds the static page into `dist/`: two scripts, LiteRT's WASM, `public/`, and licences. */

import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { licences } from "./licences.mjs";

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
const { metafile } = await build({
  absWorkingDir: here("."),
  entryPoints: { page: here("src/page.js"), worker: here("src/worker.js") },
  outdir: here("dist"),
  bundle: true,
  minify: true,
  // A classic worker: LiteRT loads its WASM with importScripts.
  format: "iife",
  target: "es2022",
  legalComments: "linked",
  logLevel: "warning",
  metafile: true,
});
const packages = here("node_modules/");
const texts = await licences(Object.keys(metafile.inputs), packages);
await writeFile(here("dist/THIRD_PARTY_LICENSES.txt"), texts);

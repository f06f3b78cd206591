/** Builds the static page into `dist/`: two scripts, LiteRT's WASM, `public/`, and licences. */

import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
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
await writeFile(here("dist/THIRD_PARTY_LICENSES.txt"), await licences(Object.keys(metafile.inputs)));

/** Returns the licences of the packages whose files are in `dist`. */
async function licences(inputs) {
  const names = inputs.flatMap((path) => {
    const inPackage = path.split("node_modules/").at(-1).match(/^(@[^/]+\/)?[^/]+/);
    return path.includes("node_modules/") ? [inPackage[0]] : [];
  });
  const parts = ["This page contains the following packages."];
  for (const name of [...new Set(names)].sort()) parts.push(await licence(name));
  return `${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

async function licence(name) {
  const folder = here(`node_modules/${name}/`);
  const about = JSON.parse(await readFile(`${folder}package.json`, "utf-8"));
  const stated = about.repository?.url ?? about.repository ?? about.homepage ?? "none stated";
  // npm's short form of an address on GitHub.
  const source = stated.replace(/^(github:)?([\w.-]+\/[\w.-]+)$/, "https://github.com/$2");
  const lines = [`${name} ${about.version}`, `Licence: ${about.license}`, `Source: ${source}`];
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  if (!files.length) lines.push("The package ships no licence file: see its source for the text.");
  for (const file of files.sort()) {
    lines.push("", (await readFile(`${folder}${file}`, "utf-8")).trim());
  }
  return lines.join("\n");
}

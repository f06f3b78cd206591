/** The licence texts of the packages that the page contains. */

import { createRequire } from "node:module";
import { readFile, readdir } from "node:fs/promises";

const require = createRequire(import.meta.url);

// Who holds the copyright, as the sources state: for packages that ship no licence file, where the
// text of their licence begins with the holder.
const HOLDERS = { "@niivue/niivue": "2021, Niivue" };

/**
 * Returns one text of all licences.
 *
 * @param {string[]} inputs paths of the bundled files, of packages and of our own.
 * @param {string} packages the folder `node_modules/`.
 * @throws {Error} a package without a licence, or with one whose text is not known.
 */
export async function licences(inputs, packages) {
  const names = inputs.flatMap((path) => {
    const inPackage = path.split("node_modules/").at(-1).match(/^(@[^/]+\/)?[^/]+/);
    return path.includes("node_modules/") ? [inPackage[0]] : [];
  });
  const parts = ["This page contains the following packages."];
  for (const name of [...new Set(names)].sort()) {
    parts.push(await licence(name, `${packages}${name}/`));
  }
  return `${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

async function licence(name, folder) {
  const about = JSON.parse(await readFile(`${folder}package.json`, "utf-8"));
  const stated = about.repository?.url ?? about.repository ?? about.homepage ?? "none stated";
  // npm's short form of an address on GitHub.
  const source = stated.replace(/^(github:)?([\w.-]+\/[\w.-]+)$/, "https://github.com/$2");
  const lines = [`${name} ${about.version}`, `Licence: ${about.license}`, `Source: ${source}`];
  const inFolder = (await readdir(folder)).sort();
  const files = inFolder.filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  for (const file of files) {
    lines.push("", (await readFile(`${folder}${file}`, "utf-8")).trim());
  }
  // A notice alone is no licence.
  if (!files.some((file) => !/^notice/i.test(file))) {
    lines.push("", await standardText(name, about.license));
  }
  return lines.join("\n");
}

/** The text that the licence's short name stands for, with the holder of the copyright. */
async function standardText(name, id) {
  const expected = `${name}: expected a licence file, or a known licence and its holder`;
  let text;
  try {
    const path = require.resolve(`spdx-license-list/licenses/${id}.json`);
    text = JSON.parse(await readFile(path, "utf-8")).licenseText.trim();
  } catch {
    throw new Error(`${expected}, received licence ${id}. Look at the package before it is used.`);
  }
  const holder = /<year>\s+<[^>]+>/;
  if (!holder.test(text)) return text;
  if (!HOLDERS[name]) {
    throw new Error(
      `${expected}, received ${id} and no holder. Add the holder that the package's source ` +
        "states to HOLDERS in licences.mjs.",
    );
  }
  return text.replace(holder, HOLDERS[name]);
}

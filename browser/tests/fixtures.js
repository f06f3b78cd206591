/** What `tests/test_browser.py` computed with tfkd for these tests, or undefined where it did not. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env.TFKD_BROWSER_FIXTURES;

/** Options of a test that needs the fixtures. */
export const options = folder ? {} : { skip: "run by tests/test_browser.py, which makes its data" };

/** Returns the bytes of a file of the fixtures. */
export function fixtureFile(name) {
  return new Uint8Array(readFileSync(join(folder, name)));
}

export const fixtures =
  folder && JSON.parse(new TextDecoder().decode(fixtureFile("fixtures.json")));

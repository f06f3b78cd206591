/**
 * A static file server for trying the page: `node serve.mjs [port]`, or `startServer` from a test.
 *
 * Any other static host does as well. The two headers allow WASM threads; without them the page
 * computes with one thread.
 */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/**
 * Serves a folder on the loopback interface.
 *
 * @param {string} folder what to serve.
 * @param {{port?: number, isolated?: boolean}} options port 0 takes a free one; `isolated` sends
 *     the headers that WASM threads need.
 * @returns {Promise<import("node:http").Server>} the listening server.
 */
export async function startServer(folder, { port = 0, isolated = true } = {}) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const file = join(folder, normalize(path.endsWith("/") ? `${path}index.html` : path));
    const found = await stat(file).catch(() => null);
    if (!found?.isFile()) {
      response.writeHead(404).end("not found");
      return;
    }
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": type, ...(isolated ? ISOLATION : {}) });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = fileURLToPath(new URL("dist", import.meta.url));
  const server = await startServer(folder, { port: Number(process.argv[2] ?? 8080) });
  console.log(`http://localhost:${server.address().port}/`);
}

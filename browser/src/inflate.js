/**
 * Undoes a compression with what browsers and Node have built in.
 *
 * @param {Uint8Array | Blob} data the compressed bytes.
 * @param {"gzip" | "deflate"} format `deflate` is that of zlib.
 * @param {string} where words for the error message.
 * @returns {Promise<Uint8Array>}
 * @throws {Error} damaged or cut short.
 */
export async function inflate(data, format, where) {
  try {
    const plain = new Blob([data]).stream().pipeThrough(new DecompressionStream(format));
    return new Uint8Array(await new Response(plain).arrayBuffer());
  } catch {
    throw new Error(
      `${where}: expected ${format} data, received something damaged or cut short. ` +
        "Copy the file again from where it came from.",
    );
  }
}

/** Returns `data` compressed with gzip. */
export async function gzip(data) {
  const packed = new Blob([data]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/**
 * Undoes a compression with what browsers and Node have built in.
 *
 * @param {Uint8Array | Blob} data the compressed bytes.
 * @param {"gzip" | "deflate"} format `deflate` is that of zlib.
 * @param {string} where words for the error message.
 * @param {number} most bytes that may come out: a few packed ones can stand for gigabytes.
 * @returns {Promise<Uint8Array>}
 * @throws {Error} damaged, cut short, or larger than `most`.
 */
export async function inflate(data, format, where, most = Infinity) {
  let size = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      size += chunk.length;
      if (size > most) controller.error(new RangeError("too large"));
      else controller.enqueue(chunk);
    },
  });
  try {
    const plain = new Blob([data]).stream().pipeThrough(new DecompressionStream(format));
    return new Uint8Array(await new Response(plain.pipeThrough(counter)).arrayBuffer());
  } catch {
    if (size > most) {
      throw new Error(
        `${where}: expected ${most} bytes when unpacked, received more. ` +
          "Copy the file again from where it came from.",
      );
    }
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

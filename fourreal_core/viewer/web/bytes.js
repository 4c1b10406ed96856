/** Bytes of a payload: read as they arrive, unpacked, and put back in order. */

/** What is said to a person when a file can't be shown; `remedy` says what to do. */
export class PayloadError extends Error {
  /** @param {string} message @param {string} remedy */
  constructor(message, remedy) {
    super(message);
    this.name = "PayloadError";
    this.remedy = remedy;
  }
}

/** Takes pieces of a stream and hands out exactly as many bytes as are asked for. */
export class ByteReader {
  /** @param {AsyncIterator<Uint8Array>} pieces */
  constructor(pieces) {
    this.pieces = pieces;
    /** @type {Uint8Array[]} */
    this.held = [];
    this.available = 0;
    this.total = 0;
  }

  /** @param {number} count @returns {Promise<Uint8Array<ArrayBuffer>>} */
  async take(count) {
    while (this.available < count) {
      const { value, done } = await this.pieces.next();
      if (done) {
        throw new PayloadError(
          `The file ends after ${this.total} bytes, in the middle of the scene.`, "Copy or export it again.");
      }
      this.held.push(value);
      this.available += value.length;
      this.total += value.length;
    }
    const out = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const piece = this.held[0];
      const part = piece.subarray(0, count - at);
      out.set(part, at);
      at += part.length;
      if (part.length === piece.length) this.held.shift();
      else this.held[0] = piece.subarray(part.length);
    }
    this.available -= count;
    return out;
  }
}

/**
 * @param {Uint8Array<ArrayBuffer>} packed zlib data
 * @param {number} size how many bytes it must hold
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function inflate(packed, size) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  let bytes;
  try {
    bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new PayloadError("A part of the file is damaged.", "Copy or export it again.");
  }
  if (bytes.length !== size) {
    throw new PayloadError(
      `A part of the file holds ${bytes.length} bytes, expected ${size}.`, "Copy or export it again.");
  }
  return bytes;
}

const ROUNDED_BITS = 7;

/**
 * Reads arrays one after the other. Numbers of several bytes are stored with all first bytes first, then all second
 * bytes; since version 2 of the format those that change little from one to the next are stored as that change.
 */
export class ArrayReader {
  /** @param {Uint8Array<ArrayBuffer>} bytes @param {number} version of the format */
  constructor(bytes, version) {
    this.bytes = bytes;
    this.changes = version >= 2;
    this.at = 0;
  }

  /** @param {number} count @param {number} size bytes of an element @returns {ArrayBuffer} */
  #unshuffled(count, size) {
    const out = new Uint8Array(count * size);
    for (let plane = 0; plane < size; plane++, this.at += count) {
      const from = this.bytes.subarray(this.at, this.at + count);
      for (let k = 0, to = plane; k < count; k++, to += size) out[to] = from[k];
    }
    return out.buffer;
  }

  /** @param {number} count floats whose last bits are zero */
  floats(count) {
    const buffer = this.#unshuffled(count, 4);
    if (this.changes) sumChanges(new Uint32Array(buffer), ROUNDED_BITS);
    return new Float32Array(buffer);
  }

  /** @param {number} count */
  shorts(count) {
    const buffer = this.#unshuffled(count, 2);
    if (this.changes) sumChanges(new Uint16Array(buffer), 0);
    return new Int16Array(buffer);
  }

  /** @param {number} count @returns {Uint16Array} stored as they are */
  unsignedShorts(count) {
    return new Uint16Array(this.#unshuffled(count, 2));
  }

  /** @param {number} count @returns {Uint8Array} stored as they are; in version 1 as differences */
  plainBytes(count) {
    if (!this.changes) return this.differences(count);
    this.at += count;
    return this.bytes.slice(this.at - count, this.at);
  }

  /** @param {number} count @returns {Uint8Array} each stored as the difference to the one before */
  differences(count) {
    const out = this.bytes.slice(this.at, this.at + count);
    this.at += count;
    for (let k = 1; k < count; k++) out[k] += out[k - 1];
    return out;
  }
}

/**
 * Puts sums in the place of changes whose sign is their lowest bit; they wrap around, as the writer's do.
 *
 * @param {Uint16Array | Uint32Array} values
 * @param {number} shift bits to move each sum up by
 */
function sumChanges(values, shift) {
  let sum = 0;
  for (let k = 0; k < values.length; k++) {
    const change = values[k];
    sum = (sum + ((change >>> 1) ^ -(change & 1))) | 0;
    values[k] = sum << shift;
  }
}

/**
 * Pieces of a response's body.
 *
 * @param {Response} response
 * @returns {AsyncGenerator<Uint8Array>}
 */
export async function* piecesOf(response) {
  if (!response.body) return;
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}

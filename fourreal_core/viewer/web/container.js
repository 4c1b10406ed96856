/** The container of all files that the viewer reads: a magic word, the length of a head, the head as JSON, sections. */

import { PayloadError } from "./bytes.js";

/** @typedef {import("./bytes.js").ByteReader} ByteReader */

const MAGIC = "FOURREAL";
const LARGEST_HEAD = 1 << 24;

/**
 * @param {ByteReader} reader
 * @param {string} format that is wanted
 * @param {number} version that is known
 * @returns {Promise<any>} the head, of that format and at most that version
 */
export async function readContainerHead(reader, format, version) {
  const start = await takeStart(reader);
  if (new TextDecoder("latin1").decode(start.subarray(0, 8)) !== MAGIC) throw anotherKind();
  const size = new DataView(start.buffer).getUint32(8, true);
  if (size > LARGEST_HEAD) throw damaged();
  let head;
  try {
    head = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await reader.take(size)));
  } catch (error) {
    throw error instanceof PayloadError ? error : damaged();
  }
  if (head?.format !== format) throw anotherKind();
  if (!(head.version <= version)) {
    throw new PayloadError(
      `This file was written in version ${head.version} of the format, and this viewer knows version ${version}.`,
      "Open it with the viewer that wrote it, or update this one.");
  }
  return head;
}

/** @param {ByteReader} reader */
async function takeStart(reader) {
  try {
    return await reader.take(12);
  } catch (error) {
    if (error instanceof PayloadError && reader.total === 0) {
      throw new PayloadError("The file is empty.", "Export the scene again.");
    }
    throw error;
  }
}

function anotherKind() {
  return new PayloadError("This file is not a 4D scene for the viewer.", "Write one with `fourreal export`.");
}

function damaged() {
  return new PayloadError("The head of the file is damaged.", "Copy or export it again.");
}

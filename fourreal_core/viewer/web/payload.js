/**
 * Reads a viewer payload (docs/outputs.md describes the format) from a stream. The scene can be shown as soon as its
 * splats are there; motion, pictures and differences between views follow.
 */

import { ArrayReader, ByteReader, PayloadError, inflate } from "./bytes.js";
import { readContainerHead } from "./container.js";
import { ViewerScene, padded } from "./scene.js";

const FORMAT = "fourreal-viewer";
export const VERSION = 3;

/**
 * @typedef {{kind: string, bytes: number, key?: number, view?: number, time?: number, type?: string}} Section
 *
 * @typedef {object} PayloadEvents
 * @property {(scene: ViewerScene) => void} onScene the first time step is there
 * @property {(key: number) => void} onMotion
 * @property {() => void} onFrame
 * @property {(view: number) => void} onDifference
 * @property {(done: number, total: number) => void} onBytes
 */

/**
 * @param {AsyncIterator<Uint8Array>} pieces
 * @param {PayloadEvents} events
 * @returns {Promise<ViewerScene>} when all of it is there
 */
export async function readPayload(pieces, events) {
  const reader = new ByteReader(pieces);
  const { head, sections } = await readHead(reader);
  const total = reader.total - reader.available + sections.reduce((sum, section) => sum + section.bytes, 0);
  const scene = new ViewerScene(head);
  scene.bytes = total;
  for (const section of sections) {
    const packed = await reader.take(section.bytes);
    await readSection(scene, section, packed, events);
    events.onBytes(reader.total - reader.available, total);
  }
  return scene;
}

/**
 * @param {ByteReader} reader
 * @returns {Promise<{head: import("./scene.js").Head, sections: Section[]}>}
 */
async function readHead(reader) {
  const head = await readContainerHead(reader, FORMAT, VERSION);
  checkHead(head);
  return { head: { ...head, cameras: head.cameras.map(cameraFrom) }, sections: head.sections };
}

/** @param {any} head */
function checkHead(head) {
  const whole = [head.splats, head.moving, head.times].every((x) => Number.isInteger(x) && x >= 0);
  const lists = [head.key_times, head.cameras, head.sections, head.background, head.target].every(Array.isArray);
  if (!whole || !lists || head.moving > head.splats || head.times < 1 || head.cameras.length < 1
      || head.key_times.length < 1) {
    throw new PayloadError("The head of the file is damaged.", "Copy or export it again.");
  }
  if (head.splats === 0) {
    throw new PayloadError("This scene has no splats.", "Prune fewer floaters, or check the clips it was made from.");
  }
}

/** @param {any} stored @returns {import("./cameras.js").Camera} */
function cameraFrom(stored) {
  const rows = stored.world_to_camera;
  const [fx, fy, cx, cy] = stored.intrinsics;
  const [height, width] = stored.size;
  return {
    rotation: rows.slice(0, 3).flatMap((/** @type {number[]} */ row) => row.slice(0, 3)),
    translation: rows.slice(0, 3).map((/** @type {number[]} */ row) => row[3]), fx, fy, cx, cy, width, height,
  };
}

/**
 * @param {ViewerScene} scene
 * @param {Section} section
 * @param {Uint8Array<ArrayBuffer>} packed
 * @param {PayloadEvents} events
 */
async function readSection(scene, section, packed, events) {
  const { count, moving } = scene;
  const arraysOf = async (/** @type {number} */ size) =>
    new ArrayReader(await inflate(packed, size), scene.head.version);
  if (section.kind === "lifetimes") {
    readLifetimes(scene, await arraysOf(4 * count));
  } else if (section.kind === "splats") {
    readSplats(scene, await arraysOf(18 * count + 4 * moving));
    events.onScene(scene);
  } else if (section.kind === "motion") {
    const key = section.key ?? 0;
    const steps = (await arraysOf(6 * moving)).shorts(3 * moving);
    scene.motion[key] = interleaved(steps, moving, key > 1 ? scene.motion[key - 1] : null);
    events.onMotion(key);
  } else if (section.kind === "difference") {
    const view = section.view ?? 0;
    const arrays = await arraysOf(9 * count);
    const offsets = interleaved(arrays.shorts(3 * count), count, null);
    const planes = arrays.plainBytes(3 * count);
    const colors = new Int8Array(3 * padded(count));
    for (let n = 0; n < count; n++) for (let c = 0; c < 3; c++) colors[3 * n + c] = planes[c * count + n];
    scene.differences[view] = { offsets, colors };
    events.onDifference(view);
  } else if (section.kind === "frame") {
    const url = URL.createObjectURL(new Blob([packed], { type: section.type }));
    scene.frames.push({ view: section.view ?? 0, time: section.time ?? 0, url });
    events.onFrame();
  } // a kind of a later minor addition is passed over
}

/** @param {ViewerScene} scene @param {ArrayReader} arrays */
function readLifetimes(scene, arrays) {
  const { count } = scene, unit = Math.max(scene.times - 1, 1) / 65535;
  const ends = arrays.unsignedShorts(2 * count);
  scene.lifetimes = new Float32Array(2 * padded(count));
  for (let n = 0; n < 2 * count; n++) scene.lifetimes[n] = unit * ends[(n & 1) * count + (n >> 1)];
}

/** @param {ViewerScene} scene @param {ArrayReader} arrays */
function readSplats(scene, arrays) {
  const { count, moving, head } = scene;
  const places = arrays.floats(3 * count);
  for (let n = 0; n < count; n++) for (let c = 0; c < 3; c++) scene.positions[3 * n + c] = places[c * count + n];
  if (!scene.positions.every(Number.isFinite)) {
    throw new PayloadError("The scene has places that are not numbers.", "Fit and export the scene again.");
  }
  const [low, high] = head.log_scale_range;
  const steps = arrays.unsignedShorts(count);
  for (let n = 0; n < count; n++) scene.scales[n] = Math.exp(low + (high - low) * steps[n] / 65535);
  for (let channel = 0; channel < 4; channel++) {
    const plane = channel < 3 ? arrays.differences(count) : arrays.plainBytes(count);
    for (let n = 0; n < count; n++) scene.rgba[4 * n + channel] = plane[n];
  }
  scene.units.set(arrays.floats(moving));
}

/**
 * @param {Int16Array} planes all x, all y, all z
 * @param {number} count
 * @param {Int16Array | null} before what they are differences to
 * @returns {Int16Array} three an element, padded to whole texture rows
 */
function interleaved(planes, count, before) {
  const out = before ? before.slice() : new Int16Array(3 * padded(count));
  for (let c = 0; c < 3; c++) for (let n = 0; n < count; n++) out[3 * n + c] += planes[c * count + n];
  return out;
}

/**
 * A 4D scene as the viewer holds it, filled while its payload arrives.
 *
 * @typedef {import("./cameras.js").Camera} Camera
 * @typedef {{near: number, low_pass: number, max_alpha: number, min_alpha: number}} RasterConstants
 * @typedef {{view: number, time: number, url: string}} GivenFrame
 * @typedef {{offsets: Int16Array, colors: Int8Array}} ViewDifference
 *
 * @typedef {object} Head
 * @property {number} version of the format
 * @property {string} title
 * @property {number} splats
 * @property {number} moving
 * @property {number} times
 * @property {number} steps_per_second
 * @property {number[]} key_times
 * @property {number[]} background
 * @property {number[]} color_range
 * @property {number[]} log_scale_range
 * @property {number} view_step_px
 * @property {number[]} target
 * @property {RasterConstants} raster
 * @property {Camera[]} cameras
 */

export const TEXTURE_WIDTH = 1024;

/** @param {number} count @returns {number} entries of a texture that holds `count` */
export function padded(count) {
  return Math.max(1, Math.ceil(count / TEXTURE_WIDTH)) * TEXTURE_WIDTH;
}

export class ViewerScene {
  /** @param {Head} head */
  constructor(head) {
    this.head = head;
    this.title = head.title;
    this.count = head.splats;
    this.moving = head.moving;
    this.times = head.times;
    this.keyTimes = head.key_times;
    this.cameras = head.cameras;
    this.raster = head.raster;
    this.background = head.background;
    this.target = head.target;
    this.positions = new Float32Array(3 * this.count);
    this.scales = new Float32Array(this.count);
    /** Red, green, blue within the head's range, and opacity, one byte each. */
    this.rgba = new Uint8Array(4 * padded(this.count));
    this.units = new Float32Array(this.moving);
    /**
     * First and last time step of every splat, padded to whole texture rows; null where all are there always.
     *
     * @type {Float32Array | null}
     */
    this.lifetimes = null;
    /** @type {(Int16Array | null)[]} three a moving splat, padded to whole texture rows; null until it has come */
    this.motion = this.keyTimes.map(() => null);
    /** @type {(ViewDifference | null)[]} */
    this.differences = this.cameras.map(() => null);
    /** @type {GivenFrame[]} */
    this.frames = [];
    this.bytes = 0;
  }

  /** The camera in the middle of the clip, whose space is the world. */
  get middle() {
    return this.cameras[Math.floor(this.cameras.length / 2)];
  }

  /** The last time step up to which the motion is there. */
  get loadedTime() {
    let key = 0;
    while (key + 1 < this.motion.length && this.motion[key + 1]) key++;
    return this.moving ? this.keyTimes[key] : this.times - 1;
  }

  /**
   * The two keys around a time and the share of the second.
   *
   * @param {number} time
   * @returns {{key: number, next: number, part: number}}
   */
  keysAround(time) {
    const last = this.keyTimes.length - 1;
    let key = 0;
    while (key < last - 1 && this.keyTimes[key + 1] <= time) key++;
    const next = Math.min(key + 1, last);
    const width = this.keyTimes[next] - this.keyTimes[key] || 1;
    return { key, next, part: Math.min(Math.max((time - this.keyTimes[key]) / width, 0), 1) };
  }

  /** Frees what the browser keeps beyond the arrays. */
  close() {
    for (const frame of this.frames) URL.revokeObjectURL(frame.url);
  }
}

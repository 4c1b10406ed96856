/**
 * Camera paths that a person draws: keyframes, what lies between them, and the JSON that `fourreal render --mode path`
 * and the node *Render 4D Scene* take. The arithmetic is that of `fourreal_core`'s camera paths.
 *
 * @typedef {import("./cameras.js").Camera} Camera
 * @typedef {{camera: Camera, time: number, picture?: string}} Keyframe
 * @typedef {{times: number, cameras: Camera[], middle: Camera}} PathScene
 */

import { between, centerOf, interpolate, lensBetween, lookingAt, placed } from "./cameras.js";
import { cross, dot, mix, normalize, quatFromRotation, rotationFromQuat } from "./linear.js";

const MOST_FRAMES = 100_000;

export class CameraPath {
  constructor() {
    /** @type {Keyframe[]} */
    this.keyframes = [];
    this.count = 48;
    this.smooth = true;
  }

  /**
   * @param {number} phase 0 at the first keyframe, 1 at the last
   * @returns {Keyframe}
   */
  at(phase) {
    const keys = this.keyframes;
    const place = Math.min(Math.max(phase, 0), 1) * (keys.length - 1);
    const low = Math.min(Math.floor(place), Math.max(keys.length - 2, 0));
    const high = Math.min(low + 1, keys.length - 1);
    const part = place - low;
    const time = keys[low].time * (1 - part) + keys[high].time * part;
    const straight = () => between(keys[low].camera, keys[high].camera, part);
    return { camera: this.smooth && keys.length > 1 ? smoothly(keys, low, part) : straight(), time };
  }

  /** @returns {Keyframe[]} the frames of the video */
  frames() {
    const last = Math.max(this.count - 1, 1);
    return Array.from({ length: this.count }, (_, k) => this.at(k / last));
  }

  /** @returns {string} */
  toJSON() {
    const frames = this.keyframes.map(({ camera, time }) => ({
      time: rounded(time, 6), focal_px: rounded(camera.fx, 4), world_to_camera: rowsOf(camera) }));
    const interpolation = this.smooth ? "smooth" : "linear";
    return JSON.stringify({ count: this.count, interpolation, frames }, null, 1);
  }

  /**
   * @param {string} text
   * @param {PathScene} scene
   * @returns {CameraPath}
   * @throws {Error} with a sentence that says what is wrong with it
   */
  static fromJSON(text, scene) {
    let data;
    try {
      data = JSON.parse(text);
    } catch {
      throw new Error("This is not JSON. Check commas and quotes.");
    }
    const frames = data?.frames;
    if (!Array.isArray(frames) || !frames.length) throw new Error("The camera path has no frames.");
    const timed = frames.filter((frame) => "time" in frame).length;
    if (timed !== 0 && timed !== frames.length) {
      throw new Error(`Only ${timed} of ${frames.length} frames have a time. Write the missing ones.`);
    }
    const path = new CameraPath();
    path.keyframes = frames.map((frame, k) => ({
      camera: cameraOf(frame, k, scene),
      time: timed ? timeOf(frame.time, k, scene) : (scene.times - 1) * k / Math.max(frames.length - 1, 1) }));
    const { count = frames.length } = data;
    if (!Number.isInteger(count) || count < 1 || count > MOST_FRAMES) {
      throw new Error(`The count of the camera path is ${count}; it must be from 1 to ${MOST_FRAMES}.`);
    }
    path.count = count;
    path.smooth = data.interpolation === "smooth";
    return path;
  }
}

/**
 * Catmull-Rom through the camera centres and through the quaternions, the ends continued straight on; intrinsics as on
 * a straight path.
 *
 * @param {Keyframe[]} keys
 * @param {number} low
 * @param {number} t
 * @returns {Camera}
 */
function smoothly(keys, low, t) {
  const cameras = keys.map((key) => key.camera);
  const quats = cameras.map((camera) => quatFromRotation(camera.rotation));
  for (let k = 1; k < quats.length; k++) if (dot(quats[k - 1], quats[k]) < 0) quats[k] = quats[k].map((x) => -x);
  const rotation = rotationFromQuat(normalize(spline(quats, low, t)));
  const lens = lensBetween(cameras[low], cameras[low + 1], t);
  return placed(lens, rotation, spline(cameras.map(centerOf), low, t));
}

/** @param {number[][]} points @param {number} low @param {number} t @returns {number[]} */
function spline(points, low, t) {
  const [b, c] = [points[low], points[low + 1]];
  const a = points[low - 1] ?? mix(b, c, -1);
  const d = points[low + 2] ?? mix(b, c, 2);
  return b.map((_, i) => b[i] + 0.5 * t * (c[i] - a[i] + t * (2 * a[i] - 5 * b[i] + 4 * c[i] - d[i]
    + t * (3 * (b[i] - c[i]) + d[i] - a[i]))));
}

/** @param {any} frame @param {number} index @param {PathScene} scene @returns {Camera} */
function cameraOf(frame, index, scene) {
  const name = `Frame ${index} of the camera path`;
  const said = ["view", "world_to_camera", "position"].filter((place) => place in frame);
  if (said.length !== 1) throw new Error(`${name} must have one of view, world_to_camera or position.`);
  let camera;
  if (said[0] === "view") {
    if (!(frame.view >= 0 && frame.view <= scene.cameras.length - 1)) {
      throw new Error(`${name} names view ${frame.view}; the scene has 0 to ${scene.cameras.length - 1}.`);
    }
    camera = interpolate(scene.cameras, frame.view);
  } else if (said[0] === "world_to_camera") {
    camera = posed(frame.world_to_camera, name, scene.middle);
  } else {
    const [eye, target] = [vectorOf(frame.position, name), vectorOf(frame.target, name)];
    const rotation = lookingAt(eye, target);
    if (!rotation) throw new Error(`${name} looks straight up, down or nowhere. Move its target.`);
    camera = placed(scene.middle, rotation, eye);
  }
  if (!("focal_px" in frame)) return camera;
  if (!(frame.focal_px > 0)) throw new Error(`${name} has a focal length of ${frame.focal_px}; it must be positive.`);
  return { ...camera, fx: frame.focal_px, fy: frame.focal_px };
}

/** @param {any} rows @param {string} name @param {Camera} lens @returns {Camera} */
function posed(rows, name, lens) {
  const flat = Array.isArray(rows) ? rows.flat() : [];
  if (flat.length !== 16 || !flat.every(Number.isFinite)) {
    throw new Error(`${name} needs a world_to_camera of 4 x 4 numbers.`);
  }
  const rotation = rows.slice(0, 3).flatMap((/** @type {number[]} */ row) => row.slice(0, 3));
  const [a, b, c] = [rotation.slice(0, 3), rotation.slice(3, 6), rotation.slice(6)];
  const near = (/** @type {number} */ x, /** @type {number} */ y) => Math.abs(x - y) < 1e-3;
  const rigid = [a, b, c].every((row) => near(dot(row, row), 1)) && near(dot(cross(a, b), c), 1)
    && near(dot(a, b), 0) && near(dot(a, c), 0) && near(dot(b, c), 0);
  if (!rigid) throw new Error(`${name} has a world_to_camera that is no rigid motion.`);
  return { ...lens, rotation, translation: rows.slice(0, 3).map((/** @type {number[]} */ row) => row[3]) };
}

/** @param {any} value @param {string} name @returns {number[]} */
function vectorOf(value, name) {
  if (!Array.isArray(value) || value.length !== 3 || !value.every(Number.isFinite)) {
    throw new Error(`${name} needs a position and a target of three numbers each.`);
  }
  return value;
}

/** @param {any} value @param {number} index @param {PathScene} scene @returns {number} */
function timeOf(value, index, scene) {
  if (!(value >= 0 && value <= scene.times - 1)) {
    throw new Error(`Frame ${index} is at time ${value}; the scene has 0 to ${scene.times - 1}.`);
  }
  return value;
}

/** @param {Camera} camera @returns {number[][]} */
function rowsOf({ rotation, translation }) {
  const rows = [0, 3, 6].map((at, k) => [...rotation.slice(at, at + 3), translation[k]].map((x) => rounded(x, 7)));
  return [...rows, [0, 0, 0, 1]];
}

/** @param {number} value @param {number} digits */
function rounded(value, digits) {
  return Number(value.toFixed(digits));
}

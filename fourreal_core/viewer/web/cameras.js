/**
 * Pinhole cameras: OpenCV axes (x right, y down, z forward), world to camera, intrinsics in pixels with the centre of
 * the top-left pixel at (0.5, 0.5).
 *
 * @typedef {object} Camera
 * @property {import("./linear.js").Mat3} rotation world to camera
 * @property {import("./linear.js").Vec3} translation world to camera
 * @property {number} fx
 * @property {number} fy
 * @property {number} cx
 * @property {number} cy
 * @property {number} width
 * @property {number} height
 */

import {
  add, apply, cross, dot, length, mix, normalize, quatFromRotation, rotationFromQuat, scale, slerp, subtract, transpose,
} from "./linear.js";

/** @param {Camera} camera @returns {import("./linear.js").Vec3} its place in the world */
export function centerOf(camera) {
  return scale(apply(transpose(camera.rotation), camera.translation), -1);
}

/** @param {Camera} camera @returns {import("./linear.js").Vec3} its viewing direction in the world */
export function forwardOf(camera) {
  return camera.rotation.slice(6, 9);
}

/**
 * @param {Camera} camera
 * @param {import("./linear.js").Mat3} rotation
 * @param {import("./linear.js").Vec3} center
 * @returns {Camera} the same lens at another place
 */
export function placed(camera, rotation, center) {
  return { ...camera, rotation, translation: scale(apply(rotation, center), -1) };
}

/**
 * The core's `fourreal_core.cameras.interpolate`: rotations on the sphere of quaternions, centres and intrinsics
 * linearly.
 *
 * @param {Camera[]} cameras
 * @param {number} place in [0, cameras.length - 1], held at the ends
 * @returns {Camera}
 */
export function interpolate(cameras, place) {
  const at = Math.min(Math.max(place, 0), cameras.length - 1);
  const low = Math.min(Math.floor(at), Math.max(cameras.length - 2, 0));
  const high = Math.min(low + 1, cameras.length - 1);
  return between(cameras[low], cameras[high], at - low);
}

/** @param {Camera} a @param {Camera} b @param {number} t @returns {Camera} */
export function between(a, b, t) {
  const rotation = rotationFromQuat(slerp(quatFromRotation(a.rotation), quatFromRotation(b.rotation), t));
  return placed(lensBetween(a, b, t), rotation, mix(centerOf(a), centerOf(b), t));
}

/** @param {Camera} a @param {Camera} b @param {number} t @returns {Camera} a's place with the intrinsics between */
export function lensBetween(a, b, t) {
  const [fx, fy, cx, cy] = mix([a.fx, a.fy, a.cx, a.cy], [b.fx, b.fy, b.cx, b.cy], t);
  return { ...a, fx, fy, cx, cy };
}

/**
 * The camera for a canvas: the picture is shown whole and centred, and beyond its borders more of the scene.
 *
 * @param {Camera} camera
 * @param {number} width
 * @param {number} height
 * @returns {Camera}
 */
export function fitted(camera, width, height) {
  const { factor, left, top } = pictureIn(camera, width, height);
  return {
    ...camera, width, height, fx: camera.fx * factor, fy: camera.fy * factor,
    cx: camera.cx * factor + left, cy: camera.cy * factor + top,
  };
}

/**
 * Where a picture lies when it is shown whole and centred.
 *
 * @param {{width: number, height: number}} picture
 * @param {number} width
 * @param {number} height
 * @returns {{factor: number, left: number, top: number}}
 */
export function pictureIn(picture, width, height) {
  const factor = Math.min(width / picture.width, height / picture.height);
  return { factor, left: (width - picture.width * factor) / 2, top: (height - picture.height * factor) / 2 };
}

/**
 * Rotation of an upright camera (image down is world +y) at `eye` that looks at `target`.
 *
 * @param {import("./linear.js").Vec3} eye
 * @param {import("./linear.js").Vec3} target
 * @returns {import("./linear.js").Mat3 | null} null where it would look straight up, down or nowhere
 */
export function lookingAt(eye, target) {
  const ahead = subtract(target, eye);
  const side = cross([0, 1, 0], ahead);
  if (length(side) < 1e-6 * Math.max(length(ahead), 1e-12)) return null;
  const [forward, right] = [normalize(ahead), normalize(side)];
  return [...right, ...cross(forward, right), ...forward];
}

/** @param {Camera} a @param {Camera} b @returns {number} how far apart they are: units of the world plus radians */
export function apart(a, b) {
  const cosine = Math.min(Math.max(dot(forwardOf(a), forwardOf(b)), -1), 1);
  return length(subtract(centerOf(a), centerOf(b))) + Math.acos(cosine);
}

/** @param {Camera} camera @param {number} depth @returns {import("./linear.js").Vec3} world point straight ahead */
export function pointAhead(camera, depth) {
  return add(centerOf(camera), scale(forwardOf(camera), depth));
}

/** How a person moves a camera: pure functions from one camera to the next. The world's up is -y. */

import { centerOf, forwardOf, placed } from "./cameras.js";
import { add, apply, dot, length, multiply, rotationAbout, scale, subtract, transpose } from "./linear.js";

/**
 * @typedef {import("./cameras.js").Camera} Camera
 * @typedef {import("./linear.js").Vec3} Vec3
 */

const DOWN = [0, 1, 0];
const STEEPEST = 0.995; // of the cosine between the view and the vertical

/**
 * Turns the camera about a point.
 *
 * @param {Camera} camera
 * @param {Vec3} target
 * @param {number} yaw radians, positive moves the picture to the right
 * @param {number} pitch radians, positive moves the picture down
 * @returns {Camera}
 */
export function orbit(camera, target, yaw, pitch) {
  const right = camera.rotation.slice(0, 3);
  const turn = rotationAbout(DOWN, yaw);
  let world = multiply(turn, rotationAbout(right, -pitch));
  const steep = dot(apply(world, forwardOf(camera)), DOWN);
  if (Math.abs(steep) > STEEPEST && Math.abs(steep) > Math.abs(dot(forwardOf(camera), DOWN))) world = turn;
  const center = add(target, apply(world, subtract(centerOf(camera), target)));
  return placed(camera, multiply(camera.rotation, transpose(world)), center);
}

/**
 * Moves the camera and its target sideways, so that what is at the target follows the pointer.
 *
 * @param {Camera} camera
 * @param {Vec3} target
 * @param {number} dx pixels
 * @param {number} dy
 * @returns {{camera: Camera, target: Vec3}}
 */
export function pan(camera, target, dx, dy) {
  const depth = distanceTo(camera, target);
  return moved(camera, target, [-dx * depth / camera.fx, -dy * depth / camera.fy, 0]);
}

/**
 * Moves the camera towards its target, or away.
 *
 * @param {Camera} camera
 * @param {Vec3} target
 * @param {number} factor of the distance that is left
 * @returns {Camera}
 */
export function dolly(camera, target, factor) {
  const away = subtract(centerOf(camera), target);
  return placed(camera, camera.rotation, add(target, scale(away, factor)));
}

/**
 * Flies: camera and target move together.
 *
 * @param {Camera} camera
 * @param {Vec3} target
 * @param {Vec3} step in the camera's axes, world units
 * @returns {{camera: Camera, target: Vec3}}
 */
export function moved(camera, target, step) {
  const shift = apply(transpose(camera.rotation), step);
  return { camera: placed(camera, camera.rotation, add(centerOf(camera), shift)), target: add(target, shift) };
}

/** @param {Camera} camera @param {Vec3} target @returns {number} */
export function distanceTo(camera, target) {
  return Math.max(length(subtract(centerOf(camera), target)), 1e-3);
}

/**
 * The point of the surface under a pixel: the nearest splat there that is not faint.
 *
 * @param {import("./scene.js").ViewerScene} scene at time 0
 * @param {Camera} camera
 * @param {number} x pixels
 * @param {number} y
 * @returns {Vec3 | null}
 */
export function pick(scene, camera, x, y) {
  let [best, nearest] = [-1, Infinity];
  const [r, t] = [camera.rotation, camera.translation];
  for (let n = 0; n < scene.count; n++) {
    const [px, py, pz] = scene.positions.subarray(3 * n, 3 * n + 3);
    const z = r[6] * px + r[7] * py + r[8] * pz + t[2];
    if (z < scene.raster.near || z > nearest || scene.rgba[4 * n + 3] < 100) continue;
    const u = camera.fx * (r[0] * px + r[1] * py + r[2] * pz + t[0]) / z + camera.cx - x;
    const v = camera.fy * (r[3] * px + r[4] * py + r[5] * pz + t[1]) / z + camera.cy - y;
    const reach = Math.max(camera.fx * scene.scales[n] / z, 2);
    if (u * u + v * v < reach * reach) [best, nearest] = [n, z];
  }
  return best < 0 ? null : [...scene.positions.subarray(3 * best, 3 * best + 3)];
}

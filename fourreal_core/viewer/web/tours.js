/**
 * Moves of the camera that run by themselves.
 *
 * @typedef {import("./cameras.js").Camera} Camera
 *
 * @typedef {object} Tour
 * @property {string} name
 * @property {number} seconds at speed 1
 * @property {boolean} setsTime whether it says what time it is
 * @property {(phase: number) => {camera: Camera, time: number}} at phase in [0, 1]
 */

import { interpolate } from "./cameras.js";

/** There and back again, even at the turning points: 0, 1, 0 over a phase of 0 to 1. @param {number} phase */
function sway(phase) {
  return 1 - Math.abs(2 * phase - 1);
}

/** The camera sways once along the clip's own path. @param {import("./scene.js").ViewerScene} scene @returns {Tour} */
export function clipPath(scene) {
  const last = scene.cameras.length - 1;
  return {
    name: "path", seconds: Math.max(2, last * 0.7), setsTime: false,
    at: (phase) => ({ camera: interpolate(scene.cameras, sway(phase) * last), time: 0 }),
  };
}

/**
 * Time and camera move together, as in `fourreal render --mode bullet-time`.
 *
 * @param {import("./scene.js").ViewerScene} scene
 * @returns {Tour}
 */
export function bulletTime(scene) {
  const last = scene.cameras.length - 1;
  return {
    name: "bullet", seconds: Math.max(3, scene.times * 2 / scene.head.steps_per_second), setsTime: true,
    at: (phase) => ({ camera: interpolate(scene.cameras, sway(phase) * last), time: phase * (scene.times - 1) }),
  };
}

/** What was drawn. @param {import("./path.js").CameraPath} path @returns {Tour} */
export function drawnPath(path) {
  return { name: "drawn", seconds: Math.max(1, path.count / 16), setsTime: true, at: (phase) => path.at(phase) };
}

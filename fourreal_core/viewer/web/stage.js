/** The canvas: keeps its size, asks for orders, draws when something changed, and says how fast. */

import { fitted } from "./cameras.js";
import { dot } from "./linear.js";
import { Renderer, sortViewOf } from "./renderer.js";
import { Sorter } from "./sorter.js";

/**
 * @typedef {import("./renderer.js").Shot} Shot
 * @typedef {import("./scene.js").ViewerScene} ViewerScene
 */

const SLOW = 1 / 22, FAST = 1 / 50; // seconds a frame at which fewer or more pixels are drawn
const COARSEST = 0.35;
// An order holds while the camera looks about the same way: within 8 degrees. After a jump the picture before stays on
// the canvas until the new order is there, at most for HELD milliseconds.
const SAME_WAY = Math.cos(8 * Math.PI / 180), HELD = 120;

export class Stage {
  /** @param {HTMLCanvasElement} canvas @param {() => void} onChange something new can be drawn */
  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.renderer = new Renderer(canvas, () => this.reorder());
    /** @type {Sorter | null} */
    this.sorter = null;
    /** @type {Shot | null} */
    this.shot = null;
    this.wanted = "";
    this.ordered = false;
    /** Which way the camera looked that the splats are in order for. @type {number[] | null} */
    this.orderedWay = null;
    this.heldSince = 0;
    /** Share of the pixels' side that is drawn while things move; all of them when they rest. */
    this.detail = 1;
    this.frameSeconds = 1 / 60;
    this.sortMilliseconds = 0;
    /**
     * Who waits for an order, and for which one; 0 while it isn't asked for.
     *
     * @type {{done: () => void, ticket: number}[]}
     */
    this.waiting = [];
  }

  /** @param {ViewerScene} scene */
  open(scene) {
    this.sorter?.close();
    this.ordered = false;
    this.wanted = "";
    this.renderer.setScene(scene);
    this.sorter = new Sorter(scene, ({ indices, count, milliseconds, ticket, view }) => {
      const before = this.renderer.kept;
      this.renderer.setOrder(indices, count);
      if (before) this.sorter?.recycle(before);
      this.orderedWay = view.rotation.slice(6);
      this.sortMilliseconds = milliseconds;
      this.ordered = true;
      this.onChange();
      const served = this.waiting.filter((one) => one.ticket && one.ticket <= ticket);
      this.waiting = this.waiting.filter((one) => !served.includes(one));
      served.forEach((one) => one.done());
    });
    scene.motion.forEach((steps, key) => steps && this.sorter?.addMotion(key, steps));
  }

  /** @param {number} key motion of the scene that has come */
  addMotion(key) {
    const steps = this.renderer.scene?.motion[key];
    if (steps) this.sorter?.addMotion(key, steps);
  }

  /** Brings the canvas to the size it is shown at. @returns {boolean} whether that changed it */
  resize() {
    const density = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map(
      (side) => Math.max(1, Math.round(side * density)));
    if (this.canvas.width === width && this.canvas.height === height) return false;
    this.canvas.width = width;
    this.canvas.height = height;
    return true;
  }

  /**
   * Draws, and asks for the order that belongs to it.
   *
   * @param {Omit<Shot, "camera"> & {camera: import("./cameras.js").Camera}} shot camera at the clip's own size
   * @param {boolean} moving whether the next picture follows at once
   */
  draw(shot, moving) {
    const scene = this.renderer.scene;
    if (!scene) return;
    const cleared = this.resize();
    const detail = moving ? this.detail : 1;
    const [width, height] = [this.canvas.width, this.canvas.height].map(
      (side) => Math.max(1, Math.round(side * detail)));
    const shown = fitted(shot.camera, width, height);
    this.shot = { ...shot, camera: shown, enlarged: shown.fx / shot.camera.fx };
    const { camera, time, view, viewWeight, sizeFactor } = shot;
    const key = JSON.stringify([camera, time, view, viewWeight, sizeFactor, this.canvas.width, this.canvas.height]);
    if (key !== this.wanted) {
      this.wanted = key;
      const ticket = this.sorter?.request(sortViewOf(scene, this.shot)) ?? 0;
      for (const one of this.waiting) one.ticket ||= ticket;
    }
    if (this.ordered && (cleared || !this.#waits(shown))) this.renderer.draw(this.shot);
  }

  /**
   * Whether the picture before stays: the camera jumped, and the splats' order is still of where it looked before.
   *
   * @param {import("./cameras.js").Camera} camera
   */
  #waits(camera) {
    const now = performance.now();
    if (!this.orderedWay || dot(this.orderedWay, camera.rotation.slice(6)) >= SAME_WAY) {
      this.heldSince = 0;
      return false;
    }
    this.heldSince ||= now;
    return now - this.heldSince < HELD;
  }

  /**
   * Learns from the time between two pictures of a movement.
   *
   * @param {number} seconds
   * @returns {number} pictures a second
   */
  measure(seconds) {
    this.frameSeconds += 0.15 * (Math.min(seconds, 1) - this.frameSeconds);
    if (this.frameSeconds > SLOW) this.detail = Math.max(COARSEST, this.detail * 0.94);
    else if (this.frameSeconds < FAST) this.detail = Math.min(1, this.detail * 1.02);
    return 1 / Math.max(seconds, 1e-3);
  }

  /** @returns {Promise<void>} when an order asked for from now on has come */
  settled() {
    return new Promise((resolve) => {
      this.waiting.push({ done: resolve, ticket: 0 });
      this.reorder();
    });
  }

  /**
   * @param {Shot} shot its camera says how large
   * @returns {ImageData}
   */
  still(shot) {
    const image = this.renderer.still(shot);
    this.onChange();
    return image;
  }

  close() {
    this.sorter?.close();
    this.sorter = null;
    this.renderer.close();
  }

  /** What is shown is put in order and drawn again. */
  reorder() {
    this.wanted = "";
    this.onChange();
  }
}

/** Where the camera is and what moves it: a person, one of the clip's views, or a tour. */

import { fitted, pointAhead } from "./cameras.js";
import { FlightKeys } from "./gestures.js";
import { distanceTo, dolly, moved, orbit, pan, pick } from "./navigate.js";

/**
 * @typedef {import("./cameras.js").Camera} Camera
 * @typedef {import("./scene.js").ViewerScene} ViewerScene
 * @typedef {import("./tours.js").Tour} Tour
 */

const FADE_SECONDS = 0.25;

export class Rig {
  constructor() {
    /** @type {ViewerScene | null} */
    this.scene = null;
    /** @type {Camera} at the clip's own size */
    this.camera = { rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1], translation: [0, 0, 0], fx: 1, fy: 1, cx: 1, cy: 1, width: 2,
      height: 2 };
    this.target = [0, 0, 1];
    /** The clip's view the camera is exactly at, or -1. */
    this.atView = -1;
    /** The view whose differences are shown, and how much of them: they fade when the camera leaves it. */
    this.shownView = -1;
    this.viewWeight = 0;
    /** @type {Tour | null} */
    this.tour = null;
    this.phase = 0;
    this.flight = new FlightKeys();
  }

  /** @param {ViewerScene} scene */
  open(scene) {
    this.scene = scene;
    this.shownView = this.atView = -1;
    this.viewWeight = 0;
  }

  reset() {
    if (this.scene) this.goToView(Math.floor(this.scene.cameras.length / 2));
  }

  /** @param {number} view of the clip */
  goToView(view) {
    const own = this.scene?.cameras[view];
    if (!own) return;
    this.goTo(own);
    this.atView = this.shownView = view;
    this.viewWeight = 1;
  }

  /** @param {Camera} camera */
  goTo(camera) {
    this.tour = null;
    this.#place(camera);
    this.#refocus();
  }

  /** @param {number} yaw radians @param {number} pitch */
  turn(yaw, pitch) {
    this.#byHand(orbit(this.camera, this.target, yaw, pitch));
  }

  /** @param {number} dx pixels of the clip's own size @param {number} dy */
  shift(dx, dy) {
    const { camera, target } = pan(this.camera, this.target, dx, dy);
    this.target = target;
    this.#byHand(camera);
  }

  /** @param {number} factor of the distance to the target that is left */
  approach(factor) {
    this.#byHand(dolly(this.camera, this.target, factor));
  }

  /** Turns about what is seen there from now on. @param {number} x @param {number} y @param {HTMLElement} canvas */
  aim(x, y, canvas) {
    if (!this.scene) return;
    const found = pick(this.scene, fitted(this.camera, canvas.clientWidth, canvas.clientHeight), x, y);
    if (found) this.target = found;
  }

  /** @param {Tour | null} tour */
  start(tour) {
    this.tour = tour;
    this.phase = 0;
  }

  /**
   * Lets time pass.
   *
   * @param {number} seconds
   * @param {number} speed of tours
   * @returns {{busy: boolean, time: number | null}} whether more is to come; the time step that a tour says it is
   */
  advance(seconds, speed) {
    let time = null;
    if (this.tour) {
      this.phase = (this.phase + (seconds * speed) / this.tour.seconds) % 1;
      const there = this.tour.at(this.phase);
      this.#place(there.camera);
      this.#refocus();
      if (this.tour.setsTime) time = there.time;
    }
    const direction = this.flight.direction();
    if (direction) {
      const reach = distanceTo(this.camera, this.scene?.target ?? this.target) * 0.6 * seconds;
      const { camera, target } = moved(this.camera, this.target, direction.map((x) => x * reach));
      this.target = target;
      this.#byHand(camera);
    }
    const fading = this.atView < 0 && this.viewWeight > 0;
    if (fading) this.viewWeight = Math.max(0, this.viewWeight - seconds / FADE_SECONDS);
    return { busy: this.tour !== null || direction !== null || fading, time };
  }

  /** @param {Camera} camera */
  #byHand(camera) {
    this.tour = null;
    this.#place(camera);
  }

  /** @param {Camera} camera which is none of the clip's */
  #place(camera) {
    this.camera = camera;
    this.atView = -1;
  }

  /** Puts the target straight ahead, as far away as the scene's own. */
  #refocus() {
    this.target = pointAhead(this.camera, this.scene ? distanceTo(this.camera, this.scene.target) : 1);
  }
}

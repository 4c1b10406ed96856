/** The given frame of the nearest known cell, over the scene with a line to drag, or beside it. */

import { apart } from "./cameras.js";
import { element, iconButton, setPressed } from "./dom.js";

/** @typedef {import("./viewer.js").Viewer} Viewer */
/** @typedef {import("./scene.js").GivenFrame} GivenFrame */

export const MODES = /** @type {const} */ (["off", "over", "beside"]);

export class Compare {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** @type {typeof MODES[number]} */
    this.mode = "off";
    /** @type {GivenFrame | null} */
    this.shown = null;
    this.button = iconButton("compare", "Compare with the given frames (C)", () => this.next());
    this.image = element("img", { alt: "", class: "given", draggable: "false" });
    this.wipe = element("input", {
      type: "range", min: 0, max: 100, value: 50, step: 0.5, class: "wipe", "aria-label": "Where the given frame ends",
      input: () => this.viewer.refresh() });
    this.caption = element("span", {});
    this.goto = iconButton("goto", "Go to this cell", () => {
      if (this.shown) viewer.goToCell(this.shown.view, this.shown.time);
    }, "Go there");
    this.label = element("div", { class: "caption" }, this.caption, this.goto);
    this.root = element("div", { class: "compare", hidden: true }, this.image, this.wipe, this.label);
  }

  open() {
    this.button.hidden = !this.viewer.scene?.frames.length;
  }

  /** Over, beside, off. */
  next() {
    if (!this.viewer.scene?.frames.length) return;
    this.mode = MODES[(MODES.indexOf(this.mode) + 1) % MODES.length];
    this.viewer.layout();
  }

  update() {
    setPressed(this.button, this.mode !== "off");
    this.root.hidden = this.mode === "off";
    if (this.mode === "off") return;
    const frame = nearestFrame(this.viewer);
    if (frame && frame !== this.shown) {
      this.shown = frame;
      this.image.src = frame.url;
      this.image.alt = `Given frame of view ${frame.view} at time ${frame.time}`;
      this.caption.textContent = `Given: view ${frame.view}, time ${frame.time}`;
    }
    const { atView, clock } = this.viewer;
    this.goto.hidden = !frame || (atView === frame.view && Math.abs(clock.time - frame.time) < 0.01);
    const { left, top, width, height } = this.viewer.pictureBox(this.mode === "beside");
    Object.assign(this.image.style, {
      left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px`,
      clipPath: this.mode === "over" ? `inset(0 ${100 - Number(this.wipe.value)}% 0 0)` : "none" });
    Object.assign(this.wipe.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    this.wipe.style.setProperty("--at", `${this.wipe.value}%`);
    this.wipe.hidden = this.mode !== "over";
  }
}

/**
 * The known cell that is nearest: first by time and view counted in steps of the grid.
 *
 * @param {Viewer} viewer
 * @returns {GivenFrame | null}
 */
export function nearestFrame(viewer) {
  const { scene, clock, camera } = viewer;
  if (!scene) return null;
  const distances = scene.cameras.map((own) => apart(own, camera));
  const nearest = distances.indexOf(Math.min(...distances));
  const cost = (/** @type {GivenFrame} */ frame) =>
    Math.abs(frame.view - nearest) / Math.max(scene.cameras.length - 1, 1)
    + Math.abs(frame.time - clock.time) / Math.max(scene.times - 1, 1);
  return scene.frames.reduce(
    (/** @type {GivenFrame | null} */ best, frame) => (best && cost(best) <= cost(frame) ? best : frame), null);
}

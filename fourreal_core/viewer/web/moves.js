/** The row of places and moves: the clip's views, its path, bullet time, the drawn path. */

import { element, iconButton, setPressed } from "./dom.js";

/** @typedef {import("./viewer.js").Viewer} Viewer */

export class Moves {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.views = element("div", { class: "chips", role: "group", "aria-label": "Views of the clip" });
    /** @type {HTMLButtonElement[]} */
    this.chips = [];
    this.path = iconButton("path", "Run along the clip's path (P)", () => viewer.toggleTour("path"), "Path");
    this.bullet = iconButton("bullet", "Bullet time: camera and time move together (B)",
      () => viewer.toggleTour("bullet"), "Bullet time");
    this.editor = iconButton("film", "Draw a camera path (M)", () => viewer.togglePathEditor(), "Camera path");
    this.root = element("div", { class: "row moves" }, this.views, this.path, this.bullet, this.editor);
  }

  open() {
    const { scene } = this.viewer;
    if (!scene) return;
    this.chips = scene.cameras.map((_, view) => element("button", {
      type: "button", class: "chip", title: `View ${view} of the clip${view < 9 ? ` (${view + 1})` : ""}`,
      "aria-label": `Go to view ${view} of the clip`, click: () => this.viewer.goToView(view) }, String(view)));
    this.views.replaceChildren(element("span", { class: "label" }, "Views"), ...this.chips);
    this.path.hidden = scene.cameras.length < 2;
    this.bullet.hidden = scene.cameras.length < 2 || scene.times < 2;
  }

  update() {
    this.chips.forEach((chip, view) => setPressed(chip, this.viewer.atView === view));
    setPressed(this.path, this.viewer.tour?.name === "path");
    setPressed(this.bullet, this.viewer.tour?.name === "bullet");
    setPressed(this.editor, this.viewer.pathEditorOpen);
  }
}

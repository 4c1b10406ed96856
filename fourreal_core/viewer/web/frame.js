/** What lies around the picture: the bar above it, the dock below, and what is said in its place. */

import { element, iconButton } from "./dom.js";
import { CSS } from "./style.js";

/** @typedef {import("./viewer.js").Viewer} Viewer */

export class Frame {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.host = viewer.host;
    this.canvas = element("canvas", { tabindex: 0, role: "img", "aria-label": "4D scene" });
    this.heading = element("h1", {}, "4D scene");
    this.info = element("div", { class: "info" });
    this.message = element("div", { class: "message", role: "alert", hidden: true });
    this.progress = element("progress", { max: 1, value: 0, "aria-label": "Loading", hidden: true });
    this.stage = element("div", { class: "stage" }, this.canvas, viewer.compare.root, viewer.look.panel, this.message,
      this.progress);
    const bar = element("header", { class: "bar" }, this.heading, this.info, element("span", { class: "gap" }),
      iconButton("home", "Back to the start (R)", () => viewer.reset()), viewer.compare.button, viewer.look.button,
      iconButton("still", "Save a still picture (I)", () => void viewer.saveStill()),
      iconButton("full", "Full screen (F)", () => this.toggleFullScreen()),
      iconButton("help", "Keys and gestures (?)", () => viewer.help.toggle()));
    const dock = element("footer", { class: "dock" }, viewer.editor.root, viewer.transport.root, viewer.moves.root);
    this.root = element("div", { class: "viewer idle", "data-theme": viewer.theme }, bar, this.stage, dock,
      viewer.help.dialog);
    const shadow = this.host.shadowRoot ?? this.host.attachShadow({ mode: "open" });
    shadow.replaceChildren(element("style", {}, CSS), this.root);
  }

  /** @param {string} title */
  open(title) {
    this.heading.textContent = title;
    this.canvas.setAttribute("aria-label", `4D scene ${title}`);
    this.root.classList.remove("idle");
  }

  /** @param {number} share of the payload that is there */
  loaded(share) {
    this.progress.value = share;
    this.progress.hidden = share >= 1;
    this.root.setAttribute("aria-busy", String(share < 1));
  }

  /** Says something in the picture's place; nothing takes it away. @param {string} text @param {string} [remedy] */
  say(text, remedy = "") {
    this.message.hidden = !text;
    this.message.replaceChildren(element("p", {}, text), element("p", { class: "remedy" }, remedy));
  }

  /** @param {import("./scene.js").ViewerScene} scene @param {number} fps 0 while nothing moves */
  inform(scene, fps) {
    const { bytes } = scene;
    const size = bytes < 1e5 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
    const parts = [`${scene.count.toLocaleString("en")} splats`, size];
    if (fps > 0) parts.push(`${fps.toFixed(fps < 10 ? 1 : 0)} fps`);
    const text = parts.join(" · ");
    if (this.info.textContent !== text) this.info.textContent = text;
  }

  /** @param {boolean} beside whether two pictures share the stage @param {number} aspect of each */
  arrange(beside, aspect) {
    this.root.classList.toggle("beside", beside);
    const wide = this.stage.clientWidth / Math.max(this.stage.clientHeight, 1);
    this.root.classList.toggle("stacked", beside && wide < aspect);
  }

  toggleControls() {
    this.root.classList.toggle("bare");
  }

  toggleFullScreen() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.host.requestFullscreen?.();
  }
}

/** The small panel of how things look: background, size of the splats, dark or light. */

import { element, iconButton, setPressed } from "./dom.js";

/** @typedef {import("./viewer.js").Viewer} Viewer */

/** @type {Record<string, number[] | null>} null is the scene's own */
const BACKGROUNDS = { Scene: null, Black: [0, 0, 0], Grey: [0.45, 0.45, 0.45], White: [1, 1, 1], Clear: [0, 0, 0, 0] };

export class Look {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.button = iconButton("look", "How it looks", () => this.toggle());
    this.button.setAttribute("aria-expanded", "false");
    this.backgrounds = Object.entries(BACKGROUNDS).map(([name, color]) => element("button", {
      type: "button", class: "chip", click: () => this.#choose(name, color) }, name));
    this.size = element("input", {
      type: "range", min: 0.1, max: 2, step: 0.05, value: 1, "aria-label": "Size of the splats",
      input: () => viewer.setSizeFactor(Number(this.size.value)) });
    this.sizeText = element("output", { class: "readout" }, "100 %");
    this.themes = ["auto", "dark", "light"].map((theme) => element("button", {
      type: "button", class: "chip", click: () => viewer.setTheme(theme) }, theme));
    this.panel = element("div", { class: "panel look", role: "group", "aria-label": "How it looks", hidden: true },
      labelled("Background", ...this.backgrounds), labelled("Splats", this.size, this.sizeText),
      labelled("Controls", ...this.themes));
    this.chosen = "Scene";
  }

  toggle() {
    this.panel.hidden = !this.panel.hidden;
    this.button.setAttribute("aria-expanded", String(!this.panel.hidden));
  }

  /** @param {string} name @param {number[] | null} color */
  #choose(name, color) {
    this.chosen = name;
    this.viewer.setBackground(color);
  }

  update() {
    for (const button of this.backgrounds) setPressed(button, button.textContent === this.chosen);
    for (const button of this.themes) setPressed(button, button.textContent === this.viewer.theme);
    const text = `${Math.round(100 * this.viewer.sizeFactor)} %`;
    this.sizeText.value = text;
    this.size.style.setProperty("--at", `${(100 * (this.viewer.sizeFactor - 0.1)) / 1.9}%`);
    this.size.setAttribute("aria-valuetext", text);
  }
}

/** @param {string} text @param {...HTMLElement} controls */
function labelled(text, ...controls) {
  return element("div", { class: "setting" }, element("span", { class: "label" }, text),
    element("div", { class: "controls" }, ...controls));
}

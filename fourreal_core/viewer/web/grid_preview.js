/** A frame grid to look through: the picture of one cell, two sliders, and a map of all cells with the given marked. */

import { ByteReader, PayloadError } from "./bytes.js";
import { readContainerHead } from "./container.js";
import { element } from "./dom.js";
import { GRID_CSS } from "./grid_style.js";

const FORMAT = "fourreal-grid";
const VERSION = 1;

export class GridPreview {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
    this.views = this.times = 1;
    this.view = this.time = 0;
    /** @type {Map<string, string>} addresses of the pictures by cell */
    this.pictures = new Map();
    /** @type {Set<string>} */
    this.known = new Set();
    this.image = element("img", { alt: "", draggable: "false" });
    this.stage = element("div", { class: "stage", tabindex: 0, role: "group", "aria-label":
      "Frame grid: arrow keys or dragging change time and view" }, this.image);
    this.note = element("p", { class: "note", role: "status" });
    this.caption = element("output", { class: "caption" });
    this.sliders = { time: this.#slider("Time"), view: this.#slider("View") };
    this.map = element("div", { class: "map", role: "group", "aria-label": "Cells of the grid" });
    this.root = element("div", { class: "grid-preview" }, this.stage, element("div", { class: "dock" },
      element("label", {}, "Time", this.sliders.time), element("label", {}, "View", this.sliders.view),
      element("div", { class: "row" }, this.caption, this.note), this.map));
    const shadow = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    shadow.replaceChildren(element("style", {}, GRID_CSS), this.root);
    this.#listen();
  }

  /** @param {string} name */
  #slider(name) {
    return element("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": name, input: () =>
      this.show(Number(this.sliders.view.value), Number(this.sliders.time.value)) });
  }

  #listen() {
    /** @type {{x: number, y: number, view: number, time: number} | null} */
    let start = null;
    this.stage.addEventListener("pointerdown", (event) => {
      start = { x: event.clientX, y: event.clientY, view: this.view, time: this.time };
      this.stage.setPointerCapture(event.pointerId);
      this.stage.focus({ preventScroll: true });
      event.preventDefault();
      event.stopPropagation();
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!start) return;
      const box = this.stage.getBoundingClientRect();
      const across = ((event.clientX - start.x) / box.width) * Math.max(this.times - 1, 1) * 1.4;
      const down = ((event.clientY - start.y) / box.height) * Math.max(this.views - 1, 1) * 1.4;
      this.show(start.view + Math.round(down), start.time + Math.round(across));
    });
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, () => (start = null));
    this.stage.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      const step = steps[/** @type {keyof typeof steps} */ (event.key)];
      if (!step) return;
      this.show(this.view + step[0], this.time + step[1]);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** @param {AsyncIterator<Uint8Array>} pieces of a payload */
  async load(pieces) {
    this.note.textContent = "";
    try {
      const reader = new ByteReader(pieces);
      const head = await readContainerHead(reader, FORMAT, VERSION);
      this.#open(head);
      for (const section of head.sections) {
        const picture = new Blob([await reader.take(section.bytes)], { type: section.type });
        this.pictures.set(`${section.view},${section.time}`, URL.createObjectURL(picture));
        if (section.view === this.view && section.time === this.time) this.show(this.view, this.time);
      }
      this.show(this.view, this.time);
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {unknown} error */
  fail(error) {
    if (!(error instanceof PayloadError)) console.error(error);
    this.note.textContent = error instanceof PayloadError ? `${error.message} ${error.remedy}` : String(error);
  }

  /** @param {{views: number, times: number, size: number[], known: number[][]}} head */
  #open(head) {
    this.#forget();
    Object.assign(this, { views: head.views, times: head.times });
    this.known = new Set(head.known.map(([v, t]) => `${v},${t}`));
    this.sliders.time.max = String(head.times - 1);
    this.sliders.view.max = String(head.views - 1);
    this.stage.style.setProperty("--aspect", String(head.size[1] / head.size[0]));
    this.map.hidden = head.views * head.times > 1024;
    this.map.style.setProperty("--times", String(head.times));
    const cells = this.map.hidden ? [] : Array.from({ length: head.views * head.times }, (_, k) => {
      const [v, t] = [Math.floor(k / head.times), k % head.times];
      return element("button", { type: "button", tabindex: -1, class: this.known.has(`${v},${t}`) ? "known" : "",
        "aria-label": `View ${v}, time ${t}`, title: `view ${v}, time ${t}`, click: () => this.show(v, t) });
    });
    this.map.replaceChildren(...cells);
  }

  /** @param {number} view @param {number} time held at the ends */
  show(view, time) {
    this.view = Math.min(Math.max(view, 0), this.views - 1);
    this.time = Math.min(Math.max(time, 0), this.times - 1);
    const cell = `${this.view},${this.time}`;
    const picture = this.pictures.get(cell);
    this.image.hidden = !picture;
    if (picture && this.image.src !== picture) this.image.src = picture;
    const kind = this.known.has(cell) ? "given" : picture ? "completed" : "not filled";
    this.image.alt = `View ${this.view}, time ${this.time}, ${kind}`;
    this.caption.value = `view ${this.view} · time ${this.time} · ${kind}`;
    this.sliders.view.value = String(this.view);
    this.sliders.time.value = String(this.time);
    const at = this.view * this.times + this.time;
    [...this.map.children].forEach((button, k) => button.classList.toggle("here", k === at));
  }

  #forget() {
    for (const address of this.pictures.values()) URL.revokeObjectURL(address);
    this.pictures.clear();
  }

  close() {
    this.#forget();
    this.root.remove();
  }
}

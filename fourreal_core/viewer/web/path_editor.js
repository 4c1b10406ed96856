/** The strip of keyframes: add, choose, replace, move, delete; preview; copy, download, load. */

import { fitted } from "./cameras.js";
import { canvasOf, download, element, iconButton, setPressed } from "./dom.js";
import { CameraPath } from "./path.js";

/** @typedef {import("./viewer.js").Viewer} Viewer */

const PICTURE_WIDTH = 144;

export class PathEditor {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.path = new CameraPath();
    this.chosen = -1;
    this.strip = element("div", { class: "strip", role: "listbox", "aria-label": "Keyframes", tabindex: 0,
      keydown: (event) => this.#key(/** @type {KeyboardEvent} */ (event)) });
    this.preview = iconButton("play", "Preview the camera path", () => viewer.toggleTour("drawn"), "Preview");
    this.changing = [
      iconButton("replace", "Replace the chosen keyframe by this camera and time", () => this.replace(), "Replace"),
      iconButton("left", "Move the chosen keyframe to the left", () => this.move(-1)),
      iconButton("right", "Move the chosen keyframe to the right", () => this.move(1)),
      iconButton("remove", "Delete the chosen keyframe", () => this.remove()),
    ];
    this.count = element("input", { type: "number", min: 1, max: 100000, value: this.path.count,
      "aria-label": "Frames of the video", change: () => this.#setCount() });
    this.smooth = element("input", { type: "checkbox", checked: true, change: () => {
      this.path.smooth = this.smooth.checked;
      this.#changed();
    } });
    this.file = element("input", { type: "file", accept: ".json,application/json", hidden: true, "aria-label":
      "Camera path file", change: () => this.#loadFile() });
    this.leaving = [
      iconButton("copy", "Copy the path as JSON", () => this.copy(), "Copy"),
      iconButton("save", "Download the path as JSON", () => this.save(), "Download"),
    ];
    this.note = element("span", { class: "note", role: "status" });
    this.root = element("div", { class: "path-editor", hidden: true, role: "group", "aria-label": "Camera path" },
      element("div", { class: "row" },
        iconButton("add", "Add this camera and time as a keyframe (K)", () => this.add(), "Add keyframe"),
        ...this.changing, element("span", { class: "gap" }), this.preview,
        element("label", { class: "field" }, "Frames", this.count),
        element("label", { class: "field", title: "Round corners at the keyframes" }, this.smooth, "Smooth"),
        ...this.leaving, iconButton("load", "Load a path from JSON", () => this.file.click(), "Load"), this.file),
      this.strip, this.note);
  }

  /** Keyframes in, for example those of a saved workflow. @param {string} text JSON */
  load(text) {
    const { scene } = this.viewer;
    if (!scene) return;
    this.path = CameraPath.fromJSON(text, scene);
    for (const key of this.path.keyframes) key.picture = this.#picture(key);
    this.count.value = String(this.path.count);
    this.smooth.checked = this.path.smooth;
    this.chosen = -1;
    this.#changed();
  }

  add() {
    if (!this.viewer.scene) return;
    const at = this.chosen < 0 ? this.path.keyframes.length : this.chosen + 1;
    this.path.keyframes.splice(at, 0, this.#present());
    this.choose(at, false);
    this.#changed();
  }

  replace() {
    if (this.chosen < 0) return;
    this.path.keyframes[this.chosen] = this.#present();
    this.#changed();
  }

  /** @param {number} by */
  move(by) {
    const to = this.chosen + by;
    const keys = this.path.keyframes;
    if (this.chosen < 0 || to < 0 || to >= keys.length) return;
    [keys[this.chosen], keys[to]] = [keys[to], keys[this.chosen]];
    this.chosen = to;
    this.#changed();
  }

  remove() {
    if (this.chosen < 0) return;
    this.path.keyframes.splice(this.chosen, 1);
    this.chosen = Math.min(this.chosen, this.path.keyframes.length - 1);
    this.#changed();
  }

  /** @param {number} index @param {boolean} go */
  choose(index, go) {
    this.chosen = index;
    const key = this.path.keyframes[index];
    if (go && key) this.viewer.goTo(key.camera, key.time);
    this.#draw();
  }

  /** @returns {string} the JSON that the command line and the nodes take; empty without keyframes */
  text() {
    return this.path.keyframes.length ? this.path.toJSON() : "";
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.text());
      this.say("Copied. `fourreal render --mode path --path FILE` takes it, and the node Render 4D Scene.");
    } catch {
      this.say("The browser does not allow copying here; download the file.");
    }
  }

  save() {
    download(new Blob([this.text()], { type: "application/json" }), "camera_path.json");
    this.say("Saved camera_path.json: `fourreal render OUT -o mine.mp4 --mode path --path camera_path.json`");
  }

  /** @param {string} text */
  say(text) {
    this.note.textContent = text;
  }

  update() {
    setPressed(this.preview, this.viewer.tour?.name === "drawn");
  }

  async #loadFile() {
    const file = this.file.files?.[0];
    if (!file) return;
    try {
      this.load(await file.text());
      this.say(`${this.path.keyframes.length} keyframes from ${file.name}`);
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
    }
    this.file.value = "";
  }

  #setCount() {
    this.path.count = Math.min(Math.max(Math.round(Number(this.count.value)) || 1, 1), 100_000);
    this.count.value = String(this.path.count);
    this.#changed();
  }

  /** @returns {import("./path.js").Keyframe} */
  #present() {
    const key = { camera: this.viewer.camera, time: Number(this.viewer.clock.time.toFixed(6)) };
    return { ...key, picture: this.#picture(key) };
  }

  /** @param {import("./path.js").Keyframe} key @returns {string} a small picture as a data URL */
  #picture({ camera, time }) {
    const height = Math.round((PICTURE_WIDTH * camera.height) / camera.width);
    return canvasOf(this.viewer.still(fitted(camera, PICTURE_WIDTH, height), time)).toDataURL("image/jpeg", 0.85);
  }

  #changed() {
    this.viewer.pathChanged();
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const last = this.path.keyframes.length - 1;
    if (step && event.altKey) this.move(step);
    else if (step) this.choose(Math.min(Math.max(this.chosen + step, 0), last), false);
    else if (event.key === "Enter" && this.chosen >= 0) this.choose(this.chosen, true);
    else if (event.key === "Delete" || event.key === "Backspace") this.remove();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #draw() {
    const keys = this.path.keyframes;
    this.strip.replaceChildren(...keys.map((key, k) => {
      const name = `Keyframe ${k + 1}, time ${key.time.toFixed(2)}`;
      const option = element("div", { class: "key", role: "option", id: `key-${k}`, "aria-selected":
        String(k === this.chosen), "aria-label": name, title: name, click: () => this.choose(k, true) },
      element("img", { src: key.picture ?? "", alt: "", draggable: "false" }),
      element("span", {}, `${k + 1}`), element("span", { class: "when" }, `t ${key.time.toFixed(2)}`));
      return option;
    }));
    if (!keys.length) {
      this.strip.append(element("p", { class: "empty" },
        "Move the camera and the time to where the path should start, and add a keyframe."));
    }
    if (this.chosen >= 0) this.strip.setAttribute("aria-activedescendant", `key-${this.chosen}`);
    else this.strip.removeAttribute("aria-activedescendant");
    for (const button of this.changing) button.disabled = this.chosen < 0;
    for (const button of [...this.leaving, this.preview]) button.disabled = keys.length < 1;
    this.preview.disabled = keys.length < 2;
  }

  open() {
    this.#draw();
  }
}

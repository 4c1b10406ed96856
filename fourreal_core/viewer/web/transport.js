/** The row that runs time: play, scrub, speed, there and back. */

import { SPEEDS } from "./clock.js";
import { element, iconButton, setButton } from "./dom.js";

/** @typedef {import("./viewer.js").Viewer} Viewer */

export class Transport {
  /** @param {Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.play = iconButton("play", "Play (space)", () => viewer.togglePlaying());
    this.play.classList.add("main");
    this.slider = element("input", {
      type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "Time", class: "time",
      input: () => viewer.setTime(Number(this.slider.value)) });
    this.ticks = element("div", { class: "ticks", "aria-hidden": "true" });
    this.readout = element("output", { class: "readout", "aria-label": "Time step" });
    this.speed = element("select", {
      "aria-label": "Speed", title: "Speed ([ and ])", change: () => viewer.setSpeed(Number(this.speed.value)) },
    ...SPEEDS.map((speed) => element("option", { value: speed }, speedText(speed))));
    this.bounce = iconButton("bounce", "Runs there and back (T)", () => viewer.toggleThereAndBack());
    this.root = element("div", { class: "row transport" }, this.play,
      element("div", { class: "track" }, this.slider, this.ticks), this.readout, this.speed, this.bounce);
  }

  /** Takes over the scene's times. */
  open() {
    const { scene } = this.viewer;
    if (!scene) return;
    const last = scene.times - 1;
    this.root.hidden = last < 1;
    this.slider.max = String(last);
    const every = Math.ceil(scene.times / 32);
    const marks = Array.from({ length: Math.floor(last / every) + 1 }, (_, k) => (k * every) / Math.max(last, 1));
    this.ticks.replaceChildren(...marks.map((at) => element("i", { style: `left:${100 * at}%` })));
  }

  update() {
    const { clock } = this.viewer;
    setButton(this.play, this.viewer.running ? "pause" : "play",
      this.viewer.running ? "Pause (space)" : "Play (space)");
    setButton(this.bounce, clock.thereAndBack ? "bounce" : "loop",
      clock.thereAndBack ? "Runs there and back (T)" : "Starts again at the end (T)");
    this.slider.value = String(clock.time);
    this.slider.style.setProperty("--at", `${(100 * clock.time) / Math.max(clock.last, 1)}%`);
    this.slider.setAttribute("aria-valuetext", `time ${clock.time.toFixed(2)} of ${clock.last}`);
    this.readout.value = `${clock.time.toFixed(2)} / ${clock.last}`;
    this.speed.value = String(clock.speed);
  }
}

/** @param {number} speed */
function speedText(speed) {
  return speed < 1 ? `1/${Math.round(1 / speed)} ×` : `${speed} ×`;
}

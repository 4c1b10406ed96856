/** The list of keys and gestures. */

import { element, iconButton } from "./dom.js";

/** @type {[string, [string, string][]][]} */
const TOPICS = [
  ["Time", [
    ["Space", "play or pause"], [", | .", "one step back or forward (with Shift a tenth)"],
    ["Home | End", "first or last step"],
    ["[ | ]", "slower or faster"], ["T", "there and back, or from the start again"],
  ]],
  ["Camera", [
    ["Drag | one finger", "turn about the target"], ["Shift + drag | right button | two fingers", "shift"],
    ["Wheel | pinch | + | −", "approach or back off"], ["Arrows", "turn"], ["W A S D | Q E", "fly (with Shift faster)"],
    ["Double click", "make that point the target"], ["1 … 9", "views of the clip"], ["P", "along the clip's path"],
    ["B", "bullet time"], ["R", "back to the start"],
  ]],
  ["Camera path", [
    ["M", "open or close the editor"], ["K", "add this camera and time"], ["Enter", "go to the chosen keyframe"],
    ["Delete", "delete it"], ["Alt + ← →", "move it"],
  ]],
  ["Picture", [
    ["C", "compare with the given frame: over, beside, off"], ["I", "save a still picture"], ["F", "full screen"],
    ["H", "hide or show the controls"], ["?", "this list"],
  ]],
];

export class Help {
  constructor() {
    const close = iconButton("close", "Close", () => this.dialog.close());
    const row = (/** @type {[string, string]} */ [keys, text]) =>
      [element("dt", {}, ...keysOf(keys)), element("dd", {}, text)];
    const topics = TOPICS.map(([title, lines]) =>
      element("section", {}, element("h3", {}, title), element("dl", {}, ...lines.flatMap(row))));
    this.dialog = element("dialog", {
      class: "help", "aria-label": "Keys and gestures",
      click: (event) => event.target === this.dialog && this.dialog.close() },
    element("header", {}, element("h2", {}, "Keys and gestures"), close),
    element("div", { class: "topics" }, ...topics));
  }

  toggle() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }
}

/** @param {string} keys */
function keysOf(keys) {
  return keys.split(" | ").flatMap((part, k) => [...(k ? [" "] : []), element("kbd", {}, part)]);
}

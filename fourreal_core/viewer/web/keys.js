/** What the keyboard does, key by key. */

/** @typedef {import("./viewer.js").Viewer} Viewer */

const TURN = 0.05; // radians a press of an arrow

/** @type {Record<string, (viewer: Viewer, event: KeyboardEvent) => void>} */
const ACTIONS = {
  " ": (viewer) => viewer.togglePlaying(),
  ",": (viewer) => viewer.setTime(Math.ceil(viewer.clock.time - 1)),
  ".": (viewer) => viewer.setTime(Math.floor(viewer.clock.time + 1)),
  "<": (viewer) => viewer.setTime(viewer.clock.time - 0.1),
  ">": (viewer) => viewer.setTime(viewer.clock.time + 0.1),
  ";": (viewer) => viewer.setTime(viewer.clock.time - 0.1),
  ":": (viewer) => viewer.setTime(viewer.clock.time + 0.1),
  Home: (viewer) => viewer.setTime(0),
  End: (viewer) => viewer.setTime(viewer.clock.last),
  "[": (viewer) => viewer.changeSpeed(-1),
  "]": (viewer) => viewer.changeSpeed(1),
  t: (viewer) => viewer.toggleThereAndBack(),
  p: (viewer) => viewer.toggleTour("path"),
  b: (viewer) => viewer.toggleTour("bullet"),
  r: (viewer) => viewer.reset(),
  m: (viewer) => viewer.togglePathEditor(),
  k: (viewer) => viewer.addKeyframe(),
  c: (viewer) => viewer.compare.next(),
  i: (viewer) => void viewer.saveStill(),
  f: (viewer) => viewer.frame.toggleFullScreen(),
  h: (viewer) => viewer.frame.toggleControls(),
  "?": (viewer) => viewer.help.toggle(),
  "+": (viewer) => viewer.approach(0.9),
  "=": (viewer) => viewer.approach(0.9),
  "-": (viewer) => viewer.approach(1 / 0.9),
  ArrowLeft: (viewer) => viewer.turn(TURN, 0),
  ArrowRight: (viewer) => viewer.turn(-TURN, 0),
  ArrowUp: (viewer) => viewer.turn(0, TURN),
  ArrowDown: (viewer) => viewer.turn(0, -TURN),
};

/**
 * @param {Viewer} viewer
 * @param {KeyboardEvent} event pressed where no text is typed
 * @returns {boolean} whether it meant something
 */
export function pressed(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return false;
  const target = /** @type {HTMLElement} */ (event.composedPath()[0]);
  const type = target instanceof HTMLInputElement ? target.type : target.tagName;
  if (type === "SELECT") return false;
  if (type === "range" && /^(Arrow|Home|End|Page)/.test(event.key)) return false;
  if (target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter")) return false;
  if (type === "checkbox" && event.key === " ") return false;
  if (/^[1-9]$/.test(event.key)) {
    viewer.goToView(Number(event.key) - 1);
    return true;
  }
  const action = ACTIONS[event.key] ?? ACTIONS[event.key.toLowerCase()];
  action?.(viewer, event);
  return Boolean(action);
}

/** @param {KeyboardEvent} event @returns {boolean} whether letters are wanted where it was pressed */
export function typing(event) {
  const target = event.composedPath()[0];
  return target instanceof HTMLTextAreaElement
    || (target instanceof HTMLInputElement && ["number", "text", "search"].includes(target.type));
}

/** Pointers, wheel and keys on the picture, said as wishes: turn, shift, approach, fly, pick. */

/**
 * @typedef {object} Wishes
 * @property {(dx: number, dy: number) => void} turn pixels
 * @property {(dx: number, dy: number) => void} shift pixels
 * @property {(factor: number) => void} approach factor of the distance that is left
 * @property {(x: number, y: number) => void} pick pixels of the element
 */

/**
 * @param {HTMLElement} element
 * @param {Wishes} wishes
 * @param {AbortSignal} signal takes the listeners away again
 */
export function listenToPointers(element, wishes, signal) {
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let shifting = false;

  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    element.focus({ preventScroll: true });
    shifting = event.button !== 0 || event.shiftKey;
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    event.preventDefault();
  }, { signal });

  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    if (down.size === 2) twoFingers(before, now, event.pointerId);
    else if (shifting) wishes.shift(now.x - before.x, now.y - before.y);
    else wishes.turn(now.x - before.x, now.y - before.y);
    down.set(event.pointerId, now);
  }, { signal });

  /** @param {{x: number, y: number}} before @param {{x: number, y: number}} now @param {number} id */
  function twoFingers(before, now, id) {
    const other = [...down].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const apart = (/** @type {{x: number, y: number}} */ p) => Math.hypot(p.x - other.x, p.y - other.y);
    wishes.shift((now.x - before.x) / 2, (now.y - before.y) / 2);
    if (apart(now) > 8) wishes.approach(Math.max(apart(before), 8) / apart(now));
  }

  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
    element.addEventListener(name, (event) => down.delete(event.pointerId), { signal });
  }
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    event.stopPropagation();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    wishes.approach(Math.exp(Math.min(Math.max(event.deltaY * lines, -240), 240) * 0.0015));
  }, { signal, passive: false });
  element.addEventListener("dblclick", (event) => wishes.pick(event.offsetX, event.offsetY), { signal });
  element.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
}

/** Keys that fly while they are held, and the camera's axis they fly along. */
const FLIGHT = new Map([
  ["KeyW", [0, 0, 1]], ["KeyS", [0, 0, -1]], ["KeyA", [-1, 0, 0]], ["KeyD", [1, 0, 0]], ["KeyQ", [0, 1, 0]],
  ["KeyE", [0, -1, 0]],
]);

export class FlightKeys {
  constructor() {
    /** @type {Set<string>} */
    this.held = new Set();
    this.fast = false;
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it is one of them */
  take(event) {
    if (!FLIGHT.has(event.code) || event.ctrlKey || event.metaKey || event.altKey) return false;
    this.fast = event.shiftKey;
    if (event.type === "keydown") this.held.add(event.code);
    else this.held.delete(event.code);
    return true;
  }

  /** @returns {number[] | null} direction in the camera's axes, longer when fast; null where none is held */
  direction() {
    if (!this.held.size) return null;
    const sum = [0, 0, 0];
    for (const code of this.held) FLIGHT.get(code)?.forEach((x, i) => (sum[i] += x * (this.fast ? 3 : 1)));
    return sum;
  }
}

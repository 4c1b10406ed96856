/** Sorting beside the page: one worker a scene, one view in flight, the latest wish next. */

import { padded } from "./scene.js";
import { DepthOrder, serveSorting } from "./sort.js";

/**
 * @typedef {import("./sort.js").SortView} SortView
 * @typedef {{indices: Uint32Array, count: number, milliseconds: number, ticket: number, view: SortView}} Sorted
 */

export class Sorter {
  /**
   * @param {import("./scene.js").ViewerScene} scene
   * @param {(sorted: Sorted) => void} onOrder
   */
  constructor(scene, onOrder) {
    const source = `${DepthOrder.toString()}\n(${serveSorting.toString()})(${DepthOrder.name});`;
    this.url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(this.url);
    /** @type {SortView | null} */
    this.next = null;
    this.busy = false;
    /** Requests so far; an order says which one it answers. */
    this.tickets = 0;
    this.serving = 0;
    /** @type {SortView | null} */
    this.sorting = null;
    /** @type {Uint32Array | undefined} */
    this.spare = undefined;
    this.worker.onmessage = (event) => {
      this.busy = false;
      if (this.sorting) onOrder({ ...event.data, ticket: this.serving, view: this.sorting });
      if (this.next) this.#send(this.next);
    };
    this.room = padded(scene.count);
    const { positions, scales, units, keyTimes, lifetimes } = scene;
    this.worker.postMessage({ open: { positions, scales, units, keyTimes, lifetimes } });
  }

  /** @param {number} key @param {Int16Array} steps */
  addMotion(key, steps) {
    this.worker.postMessage({ motion: { key, steps } });
  }

  /** @param {SortView} view @returns {number} the ticket that its order, or a later one, will bear */
  request(view) {
    this.tickets += 1;
    if (this.busy) this.next = view;
    else this.#send(view);
    return this.tickets;
  }

  /** @param {SortView} view */
  #send(view) {
    this.next = null;
    this.serving = this.tickets;
    this.sorting = view;
    this.busy = true;
    const buffer = this.spare;
    this.spare = undefined;
    this.worker.postMessage({ view, buffer, room: this.room }, buffer ? [buffer.buffer] : []);
  }

  /** @param {Uint32Array} buffer a buffer that is no longer needed */
  recycle(buffer) {
    this.spare = new Uint32Array(buffer.buffer);
  }

  close() {
    this.worker.terminate();
    URL.revokeObjectURL(this.url);
  }
}

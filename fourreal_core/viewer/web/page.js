/** Starts the viewer on a page of its own, from pieces in the page or from an address. */

import { piecesOf, PayloadError } from "./bytes.js";
import { Viewer } from "./viewer.js";

/**
 * Pieces that a page hands over one by one while it is still being read.
 */
export class PageFeed {
  constructor() {
    /** @type {Uint8Array[]} */
    this.pieces = [];
    this.ended = false;
    this.wake = () => {};
  }

  /** Takes the text of the element before the running script. */
  take() {
    const holder = document.currentScript?.previousElementSibling;
    const text = atob(holder?.textContent?.trim() ?? "");
    this.pieces.push(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
    holder?.remove(); // its memory is wanted
    this.wake();
  }

  end() {
    this.ended = true;
    this.wake();
  }

  /** @returns {AsyncGenerator<Uint8Array>} */
  async* read() {
    for (;;) {
      const piece = this.pieces.shift();
      if (piece) yield piece;
      else if (this.ended) return;
      else await new Promise((resolve) => (this.wake = () => resolve(null)));
    }
  }
}

/** @param {HTMLElement} host @returns {PageFeed} to hand the payload to */
export function openPage(host) {
  const feed = new PageFeed();
  const viewer = new Viewer(host, { wholePage: true });
  Object.assign(window, { fourrealViewer: viewer });
  void viewer.load(feed.read());
  return feed;
}

/** @param {HTMLElement} host @param {string} address of a payload @returns {Promise<Viewer>} */
export async function openAddress(host, address) {
  const viewer = new Viewer(host, { wholePage: true });
  Object.assign(window, { fourrealViewer: viewer });
  try {
    const response = await fetch(address);
    if (!response.ok) {
      throw new PayloadError(`The scene can't be read (${response.status}).`, "Is the run still where it was?");
    }
    await viewer.load(piecesOf(response));
  } catch (error) {
    viewer.fail(error instanceof TypeError
      ? new PayloadError("The scene can't be reached.", "Is `fourreal view` still running?") : error);
  }
  return viewer;
}

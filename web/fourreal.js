/** 4Real's previews in ComfyUI's front end, classic and Vue nodes alike: both nodes get a DOM widget. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const VIEWER = new URL("../../fourreal/viewer/", import.meta.url).href;
const SMALLEST = 200;

/**
 * @typedef {{close: () => void}} Shown
 * @typedef {{filename: string, subfolder: string, type: string}} TempFile
 */

/**
 * A widget whose contents live only while they are seen: the GPU's memory is given back off screen.
 *
 * @template {Shown} T
 */
class Pane {
  /**
   * @param {any} node the host's
   * @param {(host: HTMLElement) => Promise<T>} make what is shown
   * @param {(shown: T, pieces: AsyncIterator<Uint8Array>, again: boolean) => Promise<void>} load
   */
  constructor(node, make, load) {
    this.make = make;
    this.load = load;
    /** @type {T | null} */
    this.shown = null;
    /** @type {TempFile | null} */
    this.file = null;
    this.making = false;
    this.element = document.createElement("div");
    this.element.className = "fourreal-preview";
    this.element.style.cssText =
      `width: 100%; height: 100%; min-height: ${SMALLEST}px; border-radius: 8px; overflow: hidden`;
    this.#wait();
    // the canvas behind must not be dragged, zoomed or told keys from within the preview
    for (const name of ["pointerdown", "wheel", "keydown", "contextmenu", "dblclick"]) {
      this.element.addEventListener(name, (event) => event.stopPropagation());
    }
    this.widget = node.addDOMWidget("preview", "fourreal_preview", this.element, {
      serialize: false, hideOnZoom: false, getMinHeight: () => SMALLEST });
    this.observer = new IntersectionObserver((entries) => this.#seen(entries[entries.length - 1].isIntersecting));
    this.observer.observe(this.element);
    const removed = node.onRemoved;
    node.onRemoved = (/** @type {any[]} */ ...more) => {
      this.close();
      return removed?.apply(node, more);
    };
  }

  /** @param {TempFile} file */
  async open(file) {
    const again = this.file !== null;
    this.file = file;
    if (this.shown) await this.#fetch(again);
    else if (this.visible) await this.#show();
  }

  /** @param {boolean} visible */
  #seen(visible) {
    this.visible = visible;
    clearTimeout(this.leaving);
    if (visible) void this.#show();
    else this.leaving = setTimeout(() => this.#hide(), 3000);
  }

  async #show() {
    if (this.shown || this.making || !this.file) return;
    this.making = true;
    try {
      const host = document.createElement("div");
      host.style.cssText = "width: 100%; height: 100%";
      this.element.replaceChildren(host);
      this.shown = await this.make(host);
      await this.#fetch(false);
    } finally {
      this.making = false;
    }
  }

  #hide() {
    this.shown?.close();
    this.shown = null;
    this.#wait();
  }

  /** What stands there before there is something to see. */
  #wait() {
    const text = document.createElement("p");
    text.textContent = "Shown here after a run";
    text.style.cssText =
      "margin: 0; height: 100%; display: grid; place-items: center; font: 13px sans-serif; opacity: 0.5";
    this.element.replaceChildren(text);
  }

  /** @param {boolean} again */
  async #fetch(again) {
    if (!this.file || !this.shown) return;
    const { piecesOf } = await import(`${VIEWER}bytes.js`);
    const response = await api.fetchApi(`/view?${new URLSearchParams({ ...this.file })}`);
    if (this.shown) await this.load(this.shown, piecesOf(response.ok ? response : new Response("")), again);
  }

  close() {
    clearTimeout(this.leaving);
    this.observer.disconnect();
    this.#hide();
  }
}

/** @param {any} node @param {string} name what the node's output is called @param {Pane<any>} pane */
function openWhenExecuted(node, name, pane) {
  const executed = node.onExecuted;
  node.onExecuted = (/** @type {any} */ output, /** @type {any[]} */ ...more) => {
    const file = output?.[name]?.[0];
    if (file) void pane.open(file);
    return executed?.call(node, output, ...more);
  };
  const [width, height] = node.size;
  node.setSize?.([Math.max(width, 420), Math.max(height, 460)]);
}

/** @param {any} node */
function addScenePreview(node) {
  const keyframes = node.widgets?.find((/** @type {any} */ widget) => widget.name === "keyframes");
  if (keyframes) {
    keyframes.hidden = true; // the viewer writes it
    keyframes.options = { ...keyframes.options, hidden: true };
    keyframes.computeSize = () => [0, -4];
  }
  /** @type {{camera: any, time: number} | null} kept while the viewer is away */
  let place = null;
  let restoring = false;
  const pane = new Pane(node, async (host) => {
    const { Viewer } = await import(`${VIEWER}viewer.js`);
    return new Viewer(host, {
      theme: "dark",
      onPath: (/** @type {string} */ text) => {
        if (!keyframes || restoring || keyframes.value === text) return;
        keyframes.value = text;
        keyframes.callback?.(text);
        node.graph?.change?.();
      },
      onRest: (/** @type {any} */ camera, /** @type {number} */ time) => {
        if (!restoring) place = { camera, time };
      } });
  }, async (viewer, pieces, again) => {
    const before = place;
    restoring = true;
    try {
      await viewer.load(pieces, { keepCamera: again });
      if (!again && before) viewer.goTo(before.camera, before.time);
      if (!again && keyframes?.value) viewer.loadPath(keyframes.value);
    } finally {
      restoring = false;
    }
  });
  openWhenExecuted(node, "fourreal_scene", pane);
}

/** @param {any} node */
function addGridPreview(node) {
  const pane = new Pane(node, async (host) => {
    const { GridPreview } = await import(`${VIEWER}grid_preview.js`);
    return new GridPreview(host);
  }, (preview, pieces) => preview.load(pieces));
  openWhenExecuted(node, "fourreal_grid", pane);
}

app.registerExtension({
  name: "fourreal.previews",
  nodeCreated(/** @type {any} */ node) {
    if (node.comfyClass === "FourRealPreviewScene") addScenePreview(node);
    else if (node.comfyClass === "FourRealPreviewGrid") addGridPreview(node);
  },
});

/** The viewer: a scene, a camera, a time, and the controls around the picture. */

import { fitted, pictureIn } from "./cameras.js";
import { PayloadError } from "./bytes.js";
import { Clock, SPEEDS } from "./clock.js";
import { Compare } from "./compare.js";
import { canvasOf, download } from "./dom.js";
import { Frame } from "./frame.js";
import { listenToPointers } from "./gestures.js";
import { Help } from "./help.js";
import { pressed, typing } from "./keys.js";
import { Look } from "./look.js";
import { Moves } from "./moves.js";
import { PathEditor } from "./path_editor.js";
import { readPayload } from "./payload.js";
import { Rig } from "./rig.js";
import { Stage } from "./stage.js";
import { bulletTime, clipPath, drawnPath } from "./tours.js";
import { Transport } from "./transport.js";

/**
 * @typedef {import("./cameras.js").Camera} Camera
 * @typedef {import("./scene.js").ViewerScene} ViewerScene
 *
 * @typedef {object} ViewerOptions
 * @property {boolean} [wholePage] takes keys that are pressed anywhere on the page
 * @property {string} [theme] auto, dark or light
 * @property {(text: string) => void} [onPath] the drawn path has changed; its JSON
 * @property {(camera: Camera, time: number) => void} [onRest] the camera and the time came to rest
 */

const LONGEST_STEP = 0.5; // seconds that a movement goes on by in one picture, however long it took

export class Viewer {
  /** @param {HTMLElement} host @param {ViewerOptions} [options] */
  constructor(host, options = {}) {
    this.host = host;
    this.options = options;
    this.theme = options.theme ?? "auto";
    /** @type {ViewerScene | null} */
    this.scene = null;
    this.clock = new Clock(1, 8);
    this.rig = new Rig();
    this.sizeFactor = 1;
    /** @type {number[] | null} */
    this.background = null;
    this.pathEditorOpen = false;
    this.listeners = new AbortController();
    this.loading = new AbortController();
    this.tick = 0;
    this.before = 0;
    this.busy = false;
    this.fps = 0;

    this.transport = new Transport(this);
    this.moves = new Moves(this);
    this.look = new Look(this);
    this.compare = new Compare(this);
    this.help = new Help();
    this.editor = new PathEditor(this);
    this.parts = [this.transport, this.moves, this.look, this.compare, this.editor];
    this.frame = new Frame(this);
    /** @type {Stage | null} */
    this.stage = null;
    try {
      this.stage = new Stage(this.frame.canvas, () => this.refresh());
      this.#listen();
    } catch (error) {
      this.fail(error);
    }
  }

  get camera() {
    return this.rig.camera;
  }

  /** The clip's view the camera is exactly at, or -1. */
  get atView() {
    return this.rig.atView;
  }

  get tour() {
    return this.rig.tour;
  }

  #listen() {
    const { signal } = this.listeners;
    const { canvas, stage } = this.frame;
    const perPixel = () => Math.PI / Math.max(canvas.clientWidth, canvas.clientHeight, 480);
    listenToPointers(canvas, {
      turn: (dx, dy) => this.turn(dx * perPixel(), dy * perPixel()),
      shift: (dx, dy) => {
        const { factor } = this.#picture();
        this.rig.shift(dx / factor, dy / factor);
        this.refresh();
      },
      approach: (factor) => this.approach(factor), pick: (x, y) => this.rig.aim(x, y, canvas) }, signal);
    const keys = this.options.wholePage ? document : this.host;
    for (const type of ["keydown", "keyup"]) {
      keys.addEventListener(type, (event) => this.#key(/** @type {KeyboardEvent} */ (event)), { signal });
    }
    window.addEventListener("blur", () => this.rig.flight.held.clear(), { signal });
    const observer = new ResizeObserver(() => this.layout());
    observer.observe(stage);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  /**
   * Shows a payload as it arrives.
   *
   * @param {AsyncIterator<Uint8Array>} pieces
   * @param {{keepCamera?: boolean}} [options]
   */
  async load(pieces, { keepCamera = false } = {}) {
    if (!this.stage) return;
    this.loading.abort();
    const loading = this.loading = new AbortController();
    const current = () => !loading.signal.aborted;
    this.frame.say("");
    this.frame.loaded(0);
    try {
      await readPayload(pieces, {
        onScene: (scene) => current() && this.#open(scene, keepCamera),
        onMotion: (key) => current() && this.#addMotion(key),
        onFrame: () => current() && this.compare.open(),
        onDifference: (view) => {
          if (current() && view === this.rig.shownView) this.stage?.reorder();
        },
        onBytes: (done, total) => current() && this.frame.loaded(done / total) });
      if (current()) this.frame.loaded(1);
    } catch (error) {
      if (current()) this.fail(error);
    }
    this.refresh();
  }

  /** Draws again only where the new motion is seen: pictures cost more than reading. @param {number} key */
  #addMotion(key) {
    this.stage?.addMotion(key);
    const seen = this.scene?.keysAround(this.clock.time);
    if (seen && (seen.key === key || (seen.next === key && seen.part > 0))) this.stage?.reorder();
  }

  /** @param {ViewerScene} scene @param {boolean} keepCamera */
  #open(scene, keepCamera) {
    const { scene: before, clock } = this;
    this.scene = scene;
    this.clock = new Clock(scene.times, scene.head.steps_per_second);
    Object.assign(this.clock, { speed: clock.speed, thereAndBack: clock.thereAndBack });
    this.stage?.open(scene);
    this.rig.open(scene);
    this.frame.open(scene.title);
    for (const part of this.parts) if ("open" in part) part.open();
    if (before && keepCamera) {
      this.clock.set(clock.time);
      this.clock.playing = clock.playing;
    } else {
      this.reset();
    }
    before?.close();
  }

  /** @param {unknown} error */
  fail(error) {
    const known = error instanceof PayloadError;
    if (!known) console.error(error);
    this.frame.say(known ? error.message : "The scene can't be shown.", known ? error.remedy : String(error));
    this.frame.loaded(1);
  }

  /** Whether anything runs by itself. */
  get running() {
    return this.clock.playing || this.tour !== null;
  }

  togglePlaying() {
    if (this.tour) this.rig.start(null);
    else this.clock.playing = !this.clock.playing && this.clock.last > 0;
    this.refresh();
  }

  /** @param {number} time time step, fractions allowed */
  setTime(time) {
    if (this.tour?.setsTime) this.rig.start(null);
    this.clock.playing = false;
    this.clock.set(time);
    this.refresh();
  }

  /** @param {number} speed */
  setSpeed(speed) {
    this.clock.speed = speed;
    this.refresh();
  }

  /** @param {number} by */
  changeSpeed(by) {
    const at = SPEEDS.indexOf(this.clock.speed) + by;
    this.setSpeed(SPEEDS[Math.min(Math.max(at, 0), SPEEDS.length - 1)]);
  }

  toggleThereAndBack() {
    this.clock.thereAndBack = !this.clock.thereAndBack;
    this.refresh();
  }

  /** @param {"path" | "bullet" | "drawn"} name */
  toggleTour(name) {
    const { scene, editor } = this;
    if (this.tour?.name === name) this.rig.start(null);
    else if (scene && (name !== "drawn" || editor.path.keyframes.length > 1)) {
      const made = {
        path: () => clipPath(scene), bullet: () => bulletTime(scene), drawn: () => drawnPath(editor.path) };
      this.rig.start(made[name]());
      if (this.tour?.setsTime) this.clock.playing = false;
    }
    this.refresh();
  }

  reset() {
    if (!this.scene) return;
    this.sizeFactor = 1;
    this.clock.set(0);
    this.clock.direction = 1;
    this.rig.reset();
    this.refresh();
  }

  /** @param {number} view of the clip */
  goToView(view) {
    this.rig.goToView(view);
    this.refresh();
  }

  /** @param {number} view @param {number} time */
  goToCell(view, time) {
    this.rig.goToView(view);
    this.setTime(time);
  }

  /** @param {Camera} camera @param {number} [time] */
  goTo(camera, time = this.clock.time) {
    this.rig.goTo(camera);
    this.setTime(time);
  }

  /** @param {number} yaw radians @param {number} pitch */
  turn(yaw, pitch) {
    this.rig.turn(yaw, pitch);
    this.refresh();
  }

  /** @param {number} factor of the distance to the target that is left */
  approach(factor) {
    this.rig.approach(factor);
    this.refresh();
  }

  /** @param {number[] | null} color null is the scene's own */
  setBackground(color) {
    this.background = color;
    this.frame.root.classList.toggle("clear", color?.[3] === 0);
    this.refresh();
  }

  /** @param {number} factor */
  setSizeFactor(factor) {
    this.sizeFactor = factor;
    this.refresh();
  }

  /** @param {string} theme auto, dark or light */
  setTheme(theme) {
    this.theme = theme;
    this.frame.root.dataset.theme = theme;
    this.refresh();
  }

  togglePathEditor() {
    this.pathEditorOpen = !this.pathEditorOpen;
    this.editor.root.hidden = !this.pathEditorOpen;
    this.layout();
  }

  addKeyframe() {
    if (!this.pathEditorOpen) this.togglePathEditor();
    this.editor.add();
  }

  /** Keyframes that were drawn before. @param {string} text JSON */
  loadPath(text) {
    try {
      this.editor.load(text);
    } catch (error) {
      this.editor.say(error instanceof Error ? error.message : String(error));
    }
  }

  pathChanged() {
    this.options.onPath?.(this.editor.text());
    this.refresh();
  }

  /**
   * An exact picture.
   *
   * @param {Camera} camera says how large
   * @param {number} time
   * @param {number} [view] whose differences are added
   * @param {number} [enlarged] pixels a pixel of the clip; 1 as a rasterizer draws it
   * @returns {ImageData}
   */
  still(camera, time, view = -1, enlarged = 1) {
    if (!this.stage || !this.scene) throw new Error("no scene yet");
    return this.stage.still({ camera, time, view, viewWeight: view < 0 ? 0 : 1, sizeFactor: this.sizeFactor,
      enlarged, background: this.background ?? this.scene.background });
  }

  /** What is seen, as a PNG file. */
  async saveStill() {
    if (!this.scene) return;
    const { width, height } = this.frame.canvas;
    const camera = fitted(this.camera, width, height);
    const image = this.still(camera, this.clock.time, this.atView, camera.fx / this.camera.fx);
    const blob = await new Promise((resolve) => canvasOf(image).toBlob(resolve));
    if (blob) download(blob, `scene_t${this.clock.time.toFixed(2)}.png`);
  }

  /** Where the clip's picture lies on the stage, pixels of the page. @param {boolean} beside of the second picture */
  pictureBox(beside) {
    const { canvas, root } = this.frame;
    const { factor, left, top } = this.#picture();
    const box = { left, top, width: this.camera.width * factor, height: this.camera.height * factor };
    if (!beside) return box;
    return root.classList.contains("stacked") ? { ...box, top: top + canvas.clientHeight }
      : { ...box, left: left + canvas.clientWidth };
  }

  #picture() {
    return pictureIn(this.camera, this.frame.canvas.clientWidth, this.frame.canvas.clientHeight);
  }

  /** After something moved on the page. */
  layout() {
    this.frame.arrange(this.compare.mode === "beside", this.camera.width / this.camera.height);
    this.refresh();
  }

  /** Draws soon. */
  refresh() {
    if (!this.tick) this.tick = requestAnimationFrame((now) => this.#draw(now));
  }

  /** @param {number} now milliseconds */
  #draw(now) {
    this.tick = 0;
    const passed = (now - this.before) / 1000;
    this.before = now;
    const { scene, stage, rig } = this;
    if (!scene || !stage || !this.host.isConnected) return;
    const following = this.busy; // else it stood still before
    const seconds = following ? Math.min(passed, LONGEST_STEP) : 0;
    if (this.clock.playing) this.clock.advance(seconds);
    const { busy: moving, time } = rig.advance(seconds, this.clock.speed);
    if (time !== null) this.clock.set(time);
    const busy = this.busy = moving || this.clock.playing;
    if (busy && following) this.fps += 0.1 * (stage.measure(passed) - this.fps);
    stage.draw({ camera: rig.camera, time: this.clock.time, view: rig.shownView, viewWeight: rig.viewWeight,
      sizeFactor: this.sizeFactor, background: this.background ?? scene.background }, busy);
    for (const part of this.parts) part.update();
    this.frame.inform(scene, busy ? this.fps : 0);
    if (busy) this.refresh();
    else this.options.onRest?.(rig.camera, this.clock.time);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.scene || this.help.dialog.open) return;
    if (!typing(event) && this.rig.flight.take(event)) this.refresh();
    else if (event.type !== "keydown" || !pressed(this, event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Takes everything down and gives the GPU's memory back. */
  close() {
    cancelAnimationFrame(this.tick);
    this.tick = -1; // never draws again
    this.loading.abort();
    this.listeners.abort();
    this.stage?.close();
    this.scene?.close();
    this.scene = null;
    this.frame.root.remove();
  }
}

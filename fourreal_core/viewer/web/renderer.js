/** Draws a scene with WebGL2: order in, picture out. Knows nothing of time running or of people. */

import { PayloadError } from "./bytes.js";
import { Program, Target } from "./gl.js";
import { TEXTURE_WIDTH, padded } from "./scene.js";
import { RESOLVE_FRAGMENT, RESOLVE_VERTEX, SPLAT_FRAGMENT, SPLAT_VERTEX } from "./shaders.js";
import { DepthOrder } from "./sort.js";

/**
 * @typedef {import("./cameras.js").Camera} Camera
 * @typedef {import("./scene.js").ViewerScene} ViewerScene
 *
 * @typedef {object} Shot what is to be seen
 * @property {Camera} camera for a picture of its own width and height
 * @property {number} time
 * @property {number} view the clip's view whose differences are added, or -1
 * @property {number} viewWeight how much of them
 * @property {number} sizeFactor
 * @property {number} [enlarged] how many pixels of the picture one of the clip covers, a side; 1 unless said otherwise
 * @property {number[]} background red, green, blue; with a fourth number 0 where nothing is, the picture is clear
 */

const UNITS = ["order", "geometry", "appearance", "units", "motionBefore", "motionAfter", "viewOffsets", "viewColors",
  "lifetimes"];

export class Renderer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onRestored the browser gave the context back after taking it away
   */
  constructor(canvas, onRestored) {
    const gl = canvas.getContext("webgl2", {
      alpha: true, antialias: false, depth: false, premultipliedAlpha: true, powerPreference: "high-performance" });
    if (!gl) {
      throw new PayloadError("This browser has no WebGL2, which drawing the scene needs.",
        "Switch on hardware acceleration, or open the file in a current Chrome, Edge, Firefox or Safari.");
    }
    this.canvas = canvas;
    this.gl = gl;
    this.lost = false;
    /** @type {ViewerScene | null} */
    this.scene = null;
    /** @type {DepthOrder | null} */
    this.ownOrder = null;
    /** How many splats the order holds. */
    this.drawn = 0;
    /** @type {Uint32Array | null} the order itself, for when a still has taken its place */
    this.kept = null;
    this.#build();
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.lost = true;
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.lost = false;
      this.#build();
      if (this.scene) this.setScene(this.scene);
      onRestored();
    });
  }

  #build() {
    const gl = this.gl;
    this.sumFormat = sumFormat(gl);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.splats = new Program(gl, SPLAT_VERTEX, SPLAT_FRAGMENT);
    this.resolve = new Program(gl, RESOLVE_VERTEX, RESOLVE_FRAGMENT);
    this.drawn = 0;
    this.array = gl.createVertexArray();
    this.corners = gl.createBuffer();
    /** @type {Map<string, WebGLTexture>} */
    this.textures = new Map();
    /** @type {Map<string, number>} which key or view a texture holds */
    this.holds = new Map();
    /** @type {Target | null} */
    this.target = null;
  }

  /** @param {ViewerScene} scene */
  setScene(scene) {
    const gl = this.gl;
    this.scene = scene;
    this.ownOrder = null;
    this.holds.clear();
    this.#makeCorners(scene.count);
    const geometry = new Float32Array(scene.rgba.length);
    for (let n = 0; n < scene.count; n++) {
      geometry.set(scene.positions.subarray(3 * n, 3 * n + 3), 4 * n);
      geometry[4 * n + 3] = scene.scales[n];
    }
    const units = new Float32Array(padded(scene.moving));
    units.set(scene.units);
    this.#upload("geometry", gl.RGBA32F, gl.RGBA, gl.FLOAT, geometry, 4);
    this.#upload("appearance", gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, scene.rgba, 4);
    this.#upload("units", gl.R32F, gl.RED, gl.FLOAT, units, 1);
    this.#upload("lifetimes", gl.RG32F, gl.RG, gl.FLOAT, scene.lifetimes ?? new Float32Array(2 * TEXTURE_WIDTH), 2);
    const nothing = new Int16Array(3 * TEXTURE_WIDTH);
    for (const name of ["motionBefore", "motionAfter", "viewOffsets"]) {
      this.#upload(name, gl.RGB16I, gl.RGB_INTEGER, gl.SHORT, nothing, 3);
    }
    this.#upload("viewColors", gl.RGB8I, gl.RGB_INTEGER, gl.BYTE, new Int8Array(3 * TEXTURE_WIDTH), 3);
  }

  /** @param {Uint32Array} indices front to back, padded to whole texture rows @param {number} count */
  setOrder(indices, count) {
    const gl = this.gl;
    const used = indices.subarray(0, padded(count));
    this.#upload("order", gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, used, 1);
    this.drawn = count;
    this.kept = used;
  }

  /** Two triangles a splat. One draw of them all is as fast as instances on a GPU and far faster without one. */
  #makeCorners(/** @type {number} */ count) {
    const gl = this.gl;
    const corners = new Uint32Array(6 * count);
    for (let n = 0, at = 0, first = 0; n < count; n++, first += 4) {
      for (const corner of [0, 1, 2, 2, 1, 3]) corners[at++] = first + corner;
    }
    gl.bindVertexArray(this.array ?? null);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.corners ?? null);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
  }

  /**
   * Draws to the canvas, in its own number of pixels or in fewer that are magnified.
   *
   * @param {Shot} shot
   */
  draw(shot) {
    if (this.lost || !this.scene) return;
    this.#sum(shot);
    const { width, height } = this.canvas;
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, null);
    this.#resolve(shot, width, height);
  }

  /**
   * A picture that is exact: sorted for itself, read back.
   *
   * @param {Shot} shot its camera says how large
   * @returns {ImageData}
   */
  still(shot) {
    const { gl, scene } = this;
    if (!scene) throw new Error("no scene yet");
    const { drawn, kept } = this;
    const indices = new Uint32Array(padded(scene.count));
    this.ownOrder ??= new DepthOrder(scene.positions, scene.scales, scene.units, scene.keyTimes, scene.lifetimes);
    this.ownOrder.motion = scene.motion;
    this.setOrder(indices, this.ownOrder.sort(sortViewOf(scene, shot), indices));
    this.#sum(shot);
    const { width, height } = shot.camera;
    const target = new Target(gl, width, height, gl.RGBA8);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.framebuffer);
    this.#resolve(shot, width, height);
    const pixels = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    target.close();
    if (kept) this.setOrder(kept, drawn);
    return upright(pixels, width, height);
  }

  close() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
    this.scene = null;
  }

  /** @param {Shot} shot */
  #sum(shot) {
    const { gl, scene, splats } = this;
    if (!scene || !splats) return;
    const { width, height } = shot.camera;
    if (this.target?.width !== width || this.target.height !== height) {
      this.target?.close();
      this.target = new Target(gl, width, height, this.sumFormat ?? gl.RGBA16F);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.framebuffer);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE_MINUS_DST_ALPHA, gl.ONE);
    splats.use();
    const weights = this.#bindMotion(scene, shot.time);
    const viewWeight = this.#bindDifference(scene, shot);
    UNITS.forEach((name, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, this.textures.get(name) ?? null);
      gl.uniform1i(splats.at(name), unit);
    });
    this.#setUniforms(scene, shot, weights, viewWeight);
    gl.bindVertexArray(this.array ?? null);
    gl.drawElements(gl.TRIANGLES, 6 * this.drawn, gl.UNSIGNED_INT, 0);
    gl.disable(gl.BLEND);
  }

  /** @param {ViewerScene} scene @param {Shot} shot @param {number[]} weights @param {number} viewWeight */
  #setUniforms(scene, shot, weights, viewWeight) {
    const { gl, splats } = this;
    if (!splats) return;
    const { camera } = shot;
    const { near, min_alpha, max_alpha } = scene.raster;
    gl.uniform1i(splats.at("moving"), weights[0] || weights[1] ? scene.moving : 0);
    gl.uniform2f(splats.at("motionWeights"), weights[0], weights[1]);
    gl.uniform1f(splats.at("viewWeight"), viewWeight);
    if (viewWeight > 0) {
      const own = scene.cameras[shot.view];
      gl.uniform4fv(splats.at("viewRow"), [...own.rotation.slice(6), own.translation[2]]);
      gl.uniform1f(splats.at("viewUnit"), scene.head.view_step_px / own.fx);
    }
    gl.uniformMatrix3fv(splats.at("rotation"), true, camera.rotation);
    gl.uniform3fv(splats.at("translation"), camera.translation);
    gl.uniform4f(splats.at("intrinsics"), camera.fx, camera.fy, camera.cx, camera.cy);
    gl.uniform2f(splats.at("size"), camera.width, camera.height);
    gl.uniform2fv(splats.at("colorRange"), scene.head.color_range);
    gl.uniform1f(splats.at("sizeFactor"), shot.sizeFactor);
    gl.uniform1f(splats.at("time"), scene.lifetimes ? shot.time : -1);
    gl.uniform1f(splats.at("near"), near);
    gl.uniform1f(splats.at("lowPass"), lowPassOf(scene, shot));
    gl.uniform1f(splats.at("minAlpha"), min_alpha);
    gl.uniform1f(splats.at("maxAlpha"), max_alpha);
  }

  /** @param {ViewerScene} scene @param {number} time @returns {number[]} weights of the two keys */
  #bindMotion(scene, time) {
    if (!scene.moving) return [0, 0];
    const { key, next, part } = scene.keysAround(time);
    const weights = [0, 0];
    ["motionBefore", "motionAfter"].forEach((name, side) => {
      const wanted = side ? next : key;
      const steps = scene.motion[wanted];
      if (!steps) return;
      if (this.holds.get(name) !== wanted) {
        this.#upload(name, this.gl.RGB16I, this.gl.RGB_INTEGER, this.gl.SHORT, steps, 3);
        this.holds.set(name, wanted);
      }
      weights[side] = side ? part : 1 - part;
    });
    return weights;
  }

  /** @param {ViewerScene} scene @param {Shot} shot @returns {number} the weight with which it counts */
  #bindDifference(scene, shot) {
    const difference = shot.view >= 0 ? scene.differences[shot.view] : null;
    if (!difference || shot.viewWeight <= 0) return 0;
    if (this.holds.get("viewOffsets") !== shot.view) {
      const gl = this.gl;
      this.#upload("viewOffsets", gl.RGB16I, gl.RGB_INTEGER, gl.SHORT, difference.offsets, 3);
      this.#upload("viewColors", gl.RGB8I, gl.RGB_INTEGER, gl.BYTE, difference.colors, 3);
      this.holds.set("viewOffsets", shot.view);
    }
    return shot.viewWeight;
  }

  /** @param {Shot} shot @param {number} width @param {number} height */
  #resolve(shot, width, height) {
    const { gl, resolve, target } = this;
    if (!resolve || !target) return;
    gl.viewport(0, 0, width, height);
    resolve.use();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, target.texture);
    gl.uniform1i(resolve.at("summed"), 0);
    const [red, green, blue, alpha = 1] = shot.background;
    gl.uniform4f(resolve.at("background"), red * alpha, green * alpha, blue * alpha, alpha);
    gl.uniform2f(resolve.at("magnify"), target.width / width, target.height / height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /**
   * @param {string} name
   * @param {number} stored @param {number} format @param {number} type
   * @param {ArrayBufferView} data @param {number} channels
   */
  #upload(name, stored, format, type, data, channels) {
    const gl = this.gl;
    const known = this.textures.get(name);
    const texture = known ?? gl.createTexture();
    const height = /** @type {{length: number} & ArrayBufferView} */ (data).length / channels / TEXTURE_WIDTH;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, stored, TEXTURE_WIDTH, height, 0, format, type, data);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    this.textures.set(name, texture);
  }
}

/**
 * Variance that is added to every splat, in squared pixels: that of the clip's own size, enlarged with the picture.
 * Left as it is, gaps would open between splats that cover one pixel of the clip each.
 *
 * @param {ViewerScene} scene
 * @param {Shot} shot
 */
function lowPassOf(scene, shot) {
  return scene.raster.low_pass * Math.max(shot.enlarged ?? 1, 1) ** 2;
}

/**
 * What a sort needs of a shot.
 *
 * @param {ViewerScene} scene
 * @param {Shot} shot
 * @returns {import("./sort.js").SortView}
 */
export function sortViewOf(scene, shot) {
  const { rotation, translation, fx, fy, cx, cy, width, height } = shot.camera;
  const difference = shot.view >= 0 && shot.viewWeight > 0 ? scene.differences[shot.view] : null;
  const own = scene.cameras[Math.max(shot.view, 0)];
  return {
    rotation, translation, time: shot.time, near: scene.raster.near, sizeFactor: shot.sizeFactor,
    slopes: [-cx / fx, (width - cx) / fx, -cy / fy, (height - cy) / fy],
    blur: (Math.sqrt(lowPassOf(scene, shot)) + 0.5) / Math.min(fx, fy),
    shift: difference && {
      offsets: difference.offsets, row: [...own.rotation.slice(6), own.translation[2]],
      unit: scene.head.view_step_px / own.fx, weight: shot.viewWeight },
  };
}

/**
 * Half floats are enough to sum in and quick on a GPU; where the processor draws, whole floats are quicker.
 *
 * @param {WebGL2RenderingContext} gl
 * @returns {number}
 */
function sumFormat(gl) {
  const halves = gl.getExtension("EXT_color_buffer_float") ?? gl.getExtension("EXT_color_buffer_half_float");
  if (!halves) return gl.RGBA8;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  const software = /swiftshader|llvmpipe|softpipe|basic render/i.test(name);
  return software && gl.getExtension("EXT_float_blend") ? gl.RGBA32F : gl.RGBA16F;
}

/** @param {Uint8Array} pixels bottom row first @param {number} width @param {number} height */
function upright(pixels, width, height) {
  const image = new ImageData(width, height);
  const row = 4 * width;
  for (let y = 0; y < height; y++) image.data.set(pixels.subarray(y * row, (y + 1) * row), (height - 1 - y) * row);
  return image;
}

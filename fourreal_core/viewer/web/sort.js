/**
 * Front-to-back order of the splats that a camera may see: one counting sort over the bits of their depths.
 *
 * The class runs in a worker and, for stills, in the page itself. Its source is handed to the worker as text, so it
 * must not refer to anything outside itself.
 *
 * @typedef {object} SortView
 * @property {number[]} rotation nine numbers, world to camera
 * @property {number[]} translation
 * @property {number[]} slopes left, right, top, bottom edge of the picture at depth 1
 * @property {number} blur world size at depth 1 of the low-pass filter and half a pixel
 * @property {number} near splats nearer than this are left out
 * @property {number} time time step, fractions allowed
 * @property {number} sizeFactor
 * @property {ViewShift | null} shift
 *
 * @typedef {object} ViewShift
 * @property {Int16Array} offsets three a splat, in units
 * @property {number[]} row four numbers that give a splat's depth in its view
 * @property {number} unit offset at depth 1 that a step stands for
 * @property {number} weight
 */

export class DepthOrder {
  /**
   * @param {Float32Array} positions three a splat; those that move come first
   * @param {Float32Array} scales
   * @param {Float32Array} units what a step of motion stands for, one a splat that moves
   * @param {number[]} keyTimes times of the motion's keys, rising
   * @param {Float32Array | null} lifetimes first and last time step of every splat; null where all are there always
   */
  constructor(positions, scales, units, keyTimes, lifetimes) {
    this.positions = positions;
    this.scales = scales;
    this.units = units;
    this.keyTimes = keyTimes;
    this.lifetimes = lifetimes;
    /** @type {(Int16Array | null)[]} */
    this.motion = keyTimes.map(() => null);
    this.depths = new Float32Array(scales.length);
    this.bits = new Uint32Array(this.depths.buffer);
    this.seen = new Uint32Array(scales.length);
    this.starts = new Uint32Array((1 << 17) + 1);
  }

  /**
   * @param {SortView} view
   * @param {Uint32Array} order receives the indices
   * @returns {number} how many are in view
   */
  sort(view, order) {
    return this.#scatter(this.#gather(view), order);
  }

  /** @param {SortView} view @returns {number} how many splats are in view; their depths and indices are kept */
  #gather(view) {
    const { positions, scales, units, depths, seen, lifetimes } = this;
    const [a, b, c, d, e, f, g, h, i] = view.rotation;
    const [tx, ty, tz] = view.translation;
    const [left, right, top, bottom] = view.slopes;
    const { key, part } = this.#keyOf(view.time);
    const before = this.motion[key], after = this.motion[Math.min(key + 1, this.motion.length - 1)];
    const moving = before || after ? units.length : 0;
    const reach = 3.34 * view.sizeFactor, blur = 3.34 * view.blur, near = view.near;
    const shift = view.shift;
    const row = shift ? shift.row : [0, 0, 0, 0], unit = shift ? shift.unit * shift.weight : 0;
    let count = 0;
    for (let n = 0, at = 0; n < scales.length; n++, at += 3) {
      if (lifetimes && (view.time <= lifetimes[2 * n] - 1 || view.time >= lifetimes[2 * n + 1] + 1)) continue;
      let px = positions[at], py = positions[at + 1], pz = positions[at + 2];
      let sx = 0, sy = 0, sz = 0;
      if (shift) {
        const step = unit * Math.max(row[0] * px + row[1] * py + row[2] * pz + row[3], near);
        sx = shift.offsets[at] * step;
        sy = shift.offsets[at + 1] * step;
        sz = shift.offsets[at + 2] * step;
      }
      if (n < moving) {
        const wa = before ? units[n] * (1 - part) : 0, wb = after ? units[n] * part : 0;
        if (before) {
          px += wa * before[at];
          py += wa * before[at + 1];
          pz += wa * before[at + 2];
        }
        if (after) {
          px += wb * after[at];
          py += wb * after[at + 1];
          pz += wb * after[at + 2];
        }
      }
      const z = g * px + h * py + i * pz + tz + sz;
      if (!(z >= near)) continue;
      const x = a * px + b * py + c * pz + tx + sx;
      const y = d * px + e * py + f * pz + ty + sy;
      const r = reach * scales[n] + blur * z;
      if (x + r < left * z || x - r > right * z || y + r < top * z || y - r > bottom * z) continue;
      depths[count] = z;
      seen[count++] = n;
    }
    return count;
  }

  /** @param {number} count @param {Uint32Array} order @returns {number} */
  #scatter(count, order) {
    const { bits, seen, starts } = this;
    let low = 0xffffffff, high = 0;
    for (let k = 0; k < count; k++) {
      if (bits[k] < low) low = bits[k];
      if (bits[k] > high) high = bits[k];
    }
    // positive floats are ordered as their bits are; 17 bits of them tell depths apart to some 1e-5
    const shift = Math.max(0, 15 - Math.clz32(Math.max(high - low, 1)));
    starts.fill(0);
    for (let k = 0; k < count; k++) starts[((bits[k] - low) >>> shift) + 1]++;
    for (let k = 1; k < starts.length; k++) starts[k] += starts[k - 1];
    for (let k = 0; k < count; k++) order[starts[(bits[k] - low) >>> shift]++] = seen[k];
    return count;
  }

  /** @param {number} time @returns {{key: number, part: number}} */
  #keyOf(time) {
    const times = this.keyTimes;
    let key = 0;
    while (key < times.length - 2 && times[key + 1] <= time) key++;
    const width = times.length > 1 ? times[key + 1] - times[key] : 1;
    return { key, part: Math.min(Math.max((time - times[key]) / width, 0), 1) };
  }
}

/**
 * The worker's loop: takes the arrays once, then answers every view with its order.
 *
 * @param {typeof DepthOrder} Order
 */
export function serveSorting(Order) {
  /** @type {DepthOrder | null} */
  let order = null;
  self.onmessage = (event) => {
    const message = event.data;
    if (message.open) {
      const { positions, scales, units, keyTimes, lifetimes } = message.open;
      order = new Order(positions, scales, units, keyTimes, lifetimes);
    } else if (order && message.motion) {
      order.motion[message.motion.key] = message.motion.steps;
    } else if (order && message.view) {
      const began = performance.now();
      /** @type {Uint32Array} */
      const indices = message.buffer ?? new Uint32Array(message.room);
      const count = order.sort(message.view, indices);
      const milliseconds = performance.now() - began;
      self.postMessage({ indices, count, milliseconds }, { transfer: [indices.buffer] });
    }
  };
}

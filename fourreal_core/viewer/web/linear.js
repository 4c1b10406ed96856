/**
 * Vectors, 3 x 3 matrices (row-major arrays of nine) and unit quaternions (w first), as plain arrays of numbers.
 *
 * @typedef {number[]} Vec3
 * @typedef {number[]} Mat3
 * @typedef {number[]} Quat
 */

/** @param {Vec3} a @param {Vec3} b @returns {Vec3} */
export function add(a, b) {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

/** @param {Vec3} a @param {Vec3} b @returns {Vec3} */
export function subtract(a, b) {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

/** @param {Vec3} a @param {number} s @returns {Vec3} */
export function scale(a, s) {
  return [a[0] * s, a[1] * s, a[2] * s];
}

/** @param {number[]} a @param {number[]} b @returns {number} */
export function dot(a, b) {
  return a.reduce((sum, x, i) => sum + x * b[i], 0);
}

/** @param {number[]} a @returns {number} */
export function length(a) {
  return Math.sqrt(dot(a, a));
}

/** @param {number[]} a @returns {number[]} */
export function normalize(a) {
  const size = length(a);
  return a.map((x) => x / size);
}

/** @param {Vec3} a @param {Vec3} b @returns {Vec3} */
export function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** @param {number[]} a @param {number[]} b @param {number} t @returns {number[]} */
export function mix(a, b, t) {
  return a.map((x, i) => x * (1 - t) + b[i] * t);
}

/** @param {Mat3} m @param {Vec3} v @returns {Vec3} */
export function apply(m, v) {
  return [
    m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
    m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
    m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
  ];
}

/** @param {Mat3} m @returns {Mat3} */
export function transpose(m) {
  return [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];
}

/** @param {Mat3} a @param {Mat3} b @returns {Mat3} */
export function multiply(a, b) {
  const columns = transpose(b);
  const rows = [0, 3, 6].map((r) => a.slice(r, r + 3));
  return rows.flatMap((row) => [0, 3, 6].map((c) => dot(row, columns.slice(c, c + 3))));
}

/**
 * Rotation by an angle about a unit axis.
 *
 * @param {Vec3} axis
 * @param {number} angle radians
 * @returns {Mat3}
 */
export function rotationAbout(axis, angle) {
  const half = angle / 2;
  return rotationFromQuat([Math.cos(half), ...scale(axis, Math.sin(half))]);
}

/**
 * Unit quaternion with w >= 0; the largest component is solved first, which stays exact for half-turns.
 *
 * @param {Mat3} m
 * @returns {Quat}
 */
export function quatFromRotation(m) {
  const trace = m[0] + m[4] + m[8];
  const squares = [1 + trace, 1 + 2 * m[0] - trace, 1 + 2 * m[4] - trace, 1 + 2 * m[8] - trace];
  const [a, b, c] = [m[7] - m[5], m[2] - m[6], m[3] - m[1]];
  const [xy, xz, yz] = [m[3] + m[1], m[6] + m[2], m[7] + m[5]];
  const rows = [
    [squares[0], a, b, c],
    [a, squares[1], xy, xz],
    [b, xy, squares[2], yz],
    [c, xz, yz, squares[3]],
  ];
  const q = normalize(rows[squares.indexOf(Math.max(...squares))]);
  return q[0] < 0 ? q.map((x) => -x) : q;
}

/** @param {Quat} q unit @returns {Mat3} */
export function rotationFromQuat([w, x, y, z]) {
  return [
    1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
    2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
    2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
  ];
}

/**
 * The shorter arc between two unit quaternions.
 *
 * @param {Quat} a
 * @param {Quat} b
 * @param {number} t in [0, 1]
 * @returns {Quat}
 */
export function slerp(a, b, t) {
  const cosine = dot(a, b);
  const near = cosine < 0 ? b.map((x) => -x) : b;
  const angle = Math.acos(Math.min(Math.abs(cosine), 1));
  const sine = Math.sin(angle);
  if (sine < 1e-4) return normalize(mix(a, near, t)); // one rotation to rounding: the straight line is the arc
  const [wa, wb] = [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
  return normalize(a.map((x, i) => wa * x + wb * near[i]));
}

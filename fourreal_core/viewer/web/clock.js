/** Time as it runs in the viewer: in time steps, fractions allowed. */

export const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4];

export class Clock {
  /** @param {number} times number of time steps @param {number} stepsPerSecond at speed 1 */
  constructor(times, stepsPerSecond) {
    this.last = Math.max(times - 1, 0);
    this.stepsPerSecond = stepsPerSecond;
    this.speed = 1;
    this.thereAndBack = true;
    this.playing = false;
    this.phase = 0;
    this.direction = 1;
  }

  /** The time step that is shown; where the clip starts again, its last step is held as long as any other. */
  get time() {
    return Math.min(this.phase, this.last);
  }

  /** @param {number} time */
  set(time) {
    this.phase = Math.min(Math.max(time, 0), this.last);
  }

  /** @param {number} seconds that pass */
  advance(seconds) {
    if (!this.last) return;
    const steps = seconds * this.speed * this.stepsPerSecond;
    if (!this.thereAndBack) {
      this.phase = (this.phase + steps) % (this.last + 1);
      return;
    }
    const round = 2 * this.last;
    const along = (this.direction > 0 ? this.time : round - this.time) + steps;
    const place = along % round;
    this.direction = place < this.last ? 1 : -1;
    this.set(this.direction > 0 ? place : round - place);
  }
}

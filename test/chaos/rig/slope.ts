/** How a measured quantity grows: a straight line through it, and how sure its slope is. */

export interface Point {
  readonly atMs: number;
  readonly value: number;
}

export interface Slope {
  readonly perHour: number;
  /** Half of the 95 % confidence interval. */
  readonly plusMinus: number;
  readonly points: number;
}

const HOUR_MS = 3_600_000;
/** Residuals that are more alike than this would make the interval endless. */
const CORRELATION_MAX = 0.95;
/** Two-sided 95 % of Student's distribution for many degrees of freedom is 1.96; for few it is more: this fits to 1 %. */
const studentT = (degrees: number): number => 1.96 + 2.4 / degrees + 3 / degrees ** 2;

/**
 * Least squares through the lowest value of each window of time: the lowest, because what is in flight comes and goes. Windows
 * that follow each other are alike, so that they say less than as many that are independent: the interval is widened by the
 * correlation of neighbouring residuals, as of a first-order autoregressive process.
 */
export function slopeOf(points: readonly Point[], windowMs: number): Slope {
  const all = lowestOfEach(points, windowMs);
  const count = all.length;
  if (count < 3) return { perHour: 0, plusMinus: Infinity, points: count };
  const mean = (of: (point: Point) => number): number => all.reduce((sum, point) => sum + of(point), 0) / count;
  const [meanAt, meanValue] = [mean(({ atMs }) => atMs), mean(({ value }) => value)];
  const spread = all.reduce((sum, { atMs }) => sum + (atMs - meanAt) ** 2, 0);
  const slope = all.reduce((sum, { atMs, value }) => sum + (atMs - meanAt) * (value - meanValue), 0) / spread;
  const residuals = all.map(({ atMs, value }) => value - meanValue - slope * (atMs - meanAt));
  const squares = residuals.reduce((sum, residual) => sum + residual ** 2, 0);
  const products = residuals.slice(1).reduce((sum, residual, n) => sum + residual * (residuals[n] ?? 0), 0);
  const correlation = squares === 0 ? 0 : Math.min(CORRELATION_MAX, Math.max(0, products / squares));
  const error = Math.sqrt((squares / (count - 2) / spread) * ((1 + correlation) / (1 - correlation)));
  return { perHour: slope * HOUR_MS, plusMinus: studentT(count - 2) * error * HOUR_MS, points: count };
}

/** In the order of time, of each window that has any. */
export function lowestOfEach(points: readonly Point[], windowMs: number): readonly Point[] {
  const lowest = new Map<number, Point>();
  for (const point of points) {
    const window = Math.floor(point.atMs / windowMs);
    const known = lowest.get(window);
    if (known === undefined || point.value < known.value) lowest.set(window, point);
  }
  return [...lowest.values()];
}

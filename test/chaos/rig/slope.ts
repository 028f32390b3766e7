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
/** Two-sided 95 % of Student's distribution for many degrees of freedom is 1.96; for few it is more: this fits to 1 %. */
const studentT = (degrees: number): number => 1.96 + 2.4 / degrees + 3 / degrees ** 2;

/**
 * Least squares through the lowest value of each window of time. The lowest, because garbage waits for its collection in
 * between; one for each window, because neighbours are not independent of each other.
 */
export function slopeOf(points: readonly Point[], windowMs: number): Slope {
  const lowest = new Map<number, Point>();
  for (const point of points) {
    const window = Math.floor(point.atMs / windowMs);
    const known = lowest.get(window);
    if (known === undefined || point.value < known.value) lowest.set(window, point);
  }
  const all = [...lowest.values()];
  const count = all.length;
  if (count < 3) return { perHour: 0, plusMinus: Infinity, points: count };
  const mean = (of: (point: Point) => number): number => all.reduce((sum, point) => sum + of(point), 0) / count;
  const [meanAt, meanValue] = [mean(({ atMs }) => atMs), mean(({ value }) => value)];
  const spread = all.reduce((sum, { atMs }) => sum + (atMs - meanAt) ** 2, 0);
  const slope = all.reduce((sum, { atMs, value }) => sum + (atMs - meanAt) * (value - meanValue), 0) / spread;
  const residual = all.reduce((sum, { atMs, value }) => sum + (value - meanValue - slope * (atMs - meanAt)) ** 2, 0);
  const error = Math.sqrt(residual / (count - 2) / spread);
  return { perHour: slope * HOUR_MS, plusMinus: studentT(count - 2) * error * HOUR_MS, points: count };
}

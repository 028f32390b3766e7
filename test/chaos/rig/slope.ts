/** How a measured quantity grows: the slope of a straight line through it, and how certain that slope is. */

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
/** Two-sided 95 % of the normal distribution. */
const Z = 1.96;

/**
 * The median of the slopes between all pairs of points (Theil and Sen), with Sen's interval from the ranks. The points are the
 * lowest value of each time window, because what is in flight comes and goes. The median, because a few windows far from the
 * others would tilt a least-squares line.
 */
export function slopeOf(points: readonly Point[], windowMs: number): Slope {
  const all = lowestOfEach(points, windowMs);
  const count = all.length;
  if (count < 3) return { perHour: 0, plusMinus: Infinity, points: count };
  const slopes = all
    .flatMap((from, n) => all.slice(n + 1).map((to) => (to.value - from.value) / (to.atMs - from.atMs)))
    .sort((a, b) => a - b);
  const spread = Z * Math.sqrt((count * (count - 1) * (2 * count + 5)) / 18);
  const at = (place: number): number => slopes[Math.min(slopes.length - 1, Math.max(0, place))] ?? 0;
  const [low, high] = [at(Math.floor((slopes.length - spread) / 2)), at(Math.ceil((slopes.length + spread) / 2))];
  const middle = (at(Math.floor((slopes.length - 1) / 2)) + at(Math.ceil((slopes.length - 1) / 2))) / 2;
  return { perHour: middle * HOUR_MS, plusMinus: ((high - low) / 2) * HOUR_MS, points: count };
}

/** The lowest point of each window that contains points, in chronological order. */
export function lowestOfEach(points: readonly Point[], windowMs: number): readonly Point[] {
  const lowest = new Map<number, Point>();
  for (const point of points) {
    const window = Math.floor(point.atMs / windowMs);
    const known = lowest.get(window);
    if (known === undefined || point.value < known.value) lowest.set(window, point);
  }
  return [...lowest.values()];
}

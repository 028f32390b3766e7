/**
 * The distribution of times: a histogram with high dynamic range (node's own HdrHistogram), exact to three figures,
 * from a nanosecond to ten minutes.
 */
import { createHistogram } from 'node:perf_hooks';

/** Milliseconds. */
export interface Spread {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface Times {
  record(ms: number): void;
  spread(): Spread;
}

const NS_PER_MS = 1e6;
const LONGEST_NS = 600_000 * NS_PER_MS;
const FIGURES = 3;

export function recordTimes(): Times {
  const histogram = createHistogram({ lowest: 1, highest: LONGEST_NS, figures: FIGURES });
  return {
    record(ms) {
      histogram.record(Math.min(LONGEST_NS, Math.max(1, Math.round(ms * NS_PER_MS))));
    },
    spread: () => ({
      count: Number(histogram.count),
      p50Ms: histogram.percentile(50) / NS_PER_MS,
      p99Ms: histogram.percentile(99) / NS_PER_MS,
      maxMs: histogram.count === 0 ? 0 : histogram.max / NS_PER_MS,
    }),
  };
}

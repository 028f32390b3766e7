/** Throughput and waiting times of the last hour, from the events that this page has received. */
import { signal } from '@preact/signals';
import { hubNowMs } from './hub-requests.ts';
import { onEvents, type LiveEvent } from './live-events.ts';

export const BUCKET_MS = 30_000;
const WINDOW_MS = 3_600_000;
const BUCKETS = WINDOW_MS / BUCKET_MS;
/** The most measured times that one bucket keeps; further ones replace earlier ones. */
const SAMPLES_MAX = 256;
/** The most tasks whose last steps are remembered; beyond that, the oldest are forgotten and not measured. */
const TASKS_MAX = 20_000;
const FAILURES_MAX = 8;
const SHOWN_AFTER_MS = 250;
/** The shortest time that a chart shows. */
const SHOWN_MIN_MS = 600_000;

interface Bucket {
  completed: number;
  failed: number;
  readonly waits: number[];
  readonly runs: number[];
}

interface Steps {
  readyMs: number | null;
  acceptedMs: number | null;
}

export interface Figures {
  /** Starts of the buckets, seconds since 1970. */
  readonly times: readonly number[];
  readonly completed: readonly number[];
  readonly failed: readonly number[];
  /** Seconds; null where nothing was measured. */
  readonly waitMedian: readonly (number | null)[];
  readonly runMedian: readonly (number | null)[];
  /** The newest failures, newest first. */
  readonly failures: readonly LiveEvent[];
  /** The time of the first event that was counted; null if there was none. */
  readonly fromMs: number | null;
}

/** Names of events after which a task waits for an agent. */
const READY = new Set(['submitted', 'eligible', 'retried', 'reclaimed', 'released', 'rejected', 'failed', 'unparked', 'lost']);
const FAILURES = new Set(['failed', 'dead_lettered', 'lost']);

const buckets = new Map<number, Bucket>();
const steps = new Map<string, Steps>();
let failures: LiveEvent[] = [];
let fromMs: number | null = null;
let lastCounted = 0;

export const figures = signal<Figures>(summed());

export function startFigures(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  onEvents((batch) => {
    for (const event of batch ?? []) count(event);
    timer ??= setTimeout(() => {
      timer = undefined;
      figures.value = summed();
    }, SHOWN_AFTER_MS);
  });
  // The hour moves on without events too.
  setInterval(() => (figures.value = summed()), BUCKET_MS);
}

function bucketAt(ms: number): Bucket {
  const start = Math.floor(ms / BUCKET_MS) * BUCKET_MS;
  const known = buckets.get(start);
  if (known !== undefined) return known;
  const made: Bucket = { completed: 0, failed: 0, waits: [], runs: [] };
  buckets.set(start, made);
  return made;
}

function sample(list: number[], ms: number): void {
  if (list.length < SAMPLES_MAX) list.push(ms);
  else list[Math.floor(Math.random() * SAMPLES_MAX)] = ms;
}

function count(event: LiveEvent): void {
  // Another stream, such as after signing in again, starts with events that were counted.
  if (event.id <= lastCounted) return;
  lastCounted = event.id;
  const atMs = event.timestamp;
  if (event.task_id === undefined || hubNowMs() - atMs > WINDOW_MS) return;
  fromMs = Math.min(fromMs ?? atMs, atMs);
  const known = steps.get(event.task_id) ?? { readyMs: null, acceptedMs: null };
  if (FAILURES.has(event.event)) {
    bucketAt(atMs).failed += event.event === 'failed' ? 1 : 0;
    // The failure of the last attempt is followed by `dead_lettered` of its task, which says less.
    const isListed = event.event === 'dead_lettered' && failures.some(({ task_id: id }) => id === event.task_id);
    if (!isListed) failures = [event, ...failures].slice(0, FAILURES_MAX);
  }
  if (event.event === 'accepted') {
    if (known.readyMs !== null) sample(bucketAt(atMs).waits, atMs - known.readyMs);
    known.acceptedMs = atMs;
  } else if (event.event === 'completed') {
    const bucket = bucketAt(atMs);
    bucket.completed += 1;
    if (known.acceptedMs !== null) sample(bucket.runs, atMs - known.acceptedMs);
    steps.delete(event.task_id);
    return;
  } else if (READY.has(event.event)) known.readyMs = atMs;
  steps.delete(event.task_id);
  steps.set(event.task_id, known);
  const [oldest] = steps.keys();
  if (steps.size > TASKS_MAX && oldest !== undefined) steps.delete(oldest);
}

function median(list: readonly number[]): number | null {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  return middle === undefined ? null : Math.max(0, middle) / 1_000;
}

function summed(): Figures {
  const last = Math.floor(hubNowMs() / BUCKET_MS) * BUCKET_MS;
  const first = last - WINDOW_MS + BUCKET_MS;
  for (const start of buckets.keys()) if (start < first) buckets.delete(start);
  // A page that has data for a few minutes does not show an empty hour.
  const from = Math.max(first, Math.min(fromMs ?? last, last - SHOWN_MIN_MS));
  const starts = Array.from({ length: BUCKETS }, (_, at) => first + at * BUCKET_MS).filter((start) => start + BUCKET_MS > from);
  const each = starts.map((start) => buckets.get(start));
  return {
    times: starts.map((start) => start / 1_000),
    completed: each.map((bucket) => bucket?.completed ?? 0),
    failed: each.map((bucket) => bucket?.failed ?? 0),
    waitMedian: each.map((bucket) => median(bucket?.waits ?? [])),
    runMedian: each.map((bucket) => median(bucket?.runs ?? [])),
    failures,
    fromMs,
  };
}

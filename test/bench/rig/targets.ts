/** The target of each figure on two cores that are shared with the load, and whether it is reached. */
import { isLessBetter, median, round, type Result } from './result.ts';

export interface Target {
  /** Of the median; a minimum for rates, a maximum for everything else. */
  readonly figure: number;
  readonly p99Ms?: number;
  /** Of all processes together, per operation, in microseconds. */
  readonly cpuUs?: number;
}

/** By scenario and the name of the figure, then by the transport on SQLite, or `postgres`. */
const TARGETS: Readonly<Record<string, Readonly<Record<string, Target>>>> = {
  'submit: singles, 64 in flight': { ws: { figure: 20_000, p99Ms: 8 }, uws: { figure: 29_000, p99Ms: 8 } },
  'submit: bulk of 500, 2 in flight': { ws: { figure: 150_000 }, uws: { figure: 150_000 } },
  'lifecycle: 64 slots, submitted and worked on together': {
    ws: { figure: 10_000, cpuUs: 110 },
    uws: { figure: 14_000, cpuUs: 110 },
    postgres: { figure: 5_000 },
  },
  'lifecycle: 64 slots, together, beside 500 readers of all events ÷ alone': { ws: { figure: 0.95 } },
  'lifecycle: three hubs ÷ one hub': { postgres: { figure: 1 } },
  'lifecycle: 64 slots, draining what waits': { ws: { figure: 20_000 }, uws: { figure: 20_000 } },
  'latency: submit → completed, one at a time': { ws: { figure: 1.1, p99Ms: 4 } },
  'latency: submit → completed, 200 tasks/s': { ws: { figure: 1.5, p99Ms: 4 } },
  'latency: submit → completed, 2,000 tasks/s': { ws: { figure: 2.5, p99Ms: 10 } },
  'backlog: drain, 1,000,000 waiting tasks ÷ 1,000 waiting tasks': { ws: { figure: 0.95 } },
  'backlog: list, the newest 50, 1,000,000 waiting tasks': { ws: { figure: 5 } },
  'backlog: list, 50 that wait, 1,000,000 waiting tasks': { ws: { figure: 5 } },
  'backlog: list, 50 that are completed, 1,000,000 waiting tasks': { ws: { figure: 5 } },
  'backlog: stats, 1,000,000 waiting tasks': { ws: { figure: 5 } },
  'backlog: get one task, 1,000,000 waiting tasks': { ws: { figure: 5 } },
  'restart: start → first assignment, 1,000,000 waiting tasks': { ws: { figure: 1_000 } },
  'connections: 10,000 idle sidecars: the hub': { ws: { figure: 200 } },
  'connections: 10,000 idle sidecars: CPU at rest': { ws: { figure: 2 }, uws: { figure: 2 } },
  'connections: memory of each, ws ÷ uws': { ws: { figure: 2.5 } },
  'sidecar: acceptance → agent started': { ws: { figure: 5 } },
  'sidecar: resident, started': { ws: { figure: 80 } },
  'sidecar: resident, after 200 tasks': { ws: { figure: 95 } },
  'sidecar: resident, at rest after 200 tasks': { ws: { figure: 80 } },
  'sidecar: CPU at rest': { ws: { figure: 0.1 } },
};

export const targetOf = ({ scenario, what, storage, transport }: Result): Target | undefined =>
  TARGETS[`${scenario}: ${what}`]?.[storage === 'postgres' ? 'postgres' : (transport ?? 'ws')];

/** The target, described; and whether it was reached. */
export function judged(result: Result): { readonly wanted: string; readonly isReached: boolean } | null {
  const target = targetOf(result);
  if (target === undefined) return null;
  const figure = median(result.runs);
  const less = isLessBetter(result.unit);
  const isReached =
    (less ? figure <= target.figure : figure >= target.figure) &&
    (target.p99Ms === undefined || (result.times?.p99Ms ?? Infinity) <= target.p99Ms) &&
    (target.cpuUs === undefined || (result.cpuUs?.all ?? Infinity) <= target.cpuUs);
  const wanted = [
    `${less ? '≤' : '≥'} ${round(target.figure)}`,
    ...(target.p99Ms === undefined ? [] : [`p99 ≤ ${target.p99Ms} ms`]),
    ...(target.cpuUs === undefined ? [] : [`CPU ≤ ${target.cpuUs} µs`]),
  ].join(', ');
  return { wanted, isReached };
}

/** Where a program spent its time, from what `node --cpu-prof` wrote for each of its threads. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { flameGraph, type CpuProfile } from './flame-graph.ts';
import { round } from './result.ts';

export interface HotFunction {
  /** `name file:line`. */
  readonly what: string;
  /** Time in it and not in its callees, as a share of the thread's working time. */
  readonly share: number;
  readonly selfMs: number;
}

export interface Thread {
  /** Time in functions. */
  readonly busyMs: number;
  /** Outside of functions: system calls, compiling, what add-ons do on this thread. */
  readonly nativeMs: number;
  readonly idleMs: number;
  readonly hottest: readonly HotFunction[];
}

/** What is stored about the hub's own thread. */
export interface KeptProfile extends Thread {
  readonly tasks: number;
}

/** The time window, in microseconds of the machine's monotonic clock. */
export interface Window {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Time of no function. */
const OUTSIDE = new Set(['(idle)', '(program)', '(root)']);

/** How many functions are listed. */
export const HOTTEST = 10;

/** Prints the hottest functions of each thread, and draws its flame graph next to its profile. */
export function printProfiles(folder: string, say: (text: string) => void): void {
  for (const thread of readProfiles(folder, HOTTEST).threads) {
    const picture = thread.file.replace(/cpuprofile$/, 'svg');
    writeFileSync(picture, flameGraph(JSON.parse(readFileSync(thread.file, 'utf8')) as CpuProfile, frameNameOf));
    say(`\n${picture}`);
    printThread(thread, say);
  }
}

export function printThread({ busyMs, nativeMs, idleMs, hottest }: Thread, say: (text: string) => void): void {
  say(`functions ${Math.round(busyMs)} ms, outside of functions ${Math.round(nativeMs)} ms, idle ${Math.round(idleMs)} ms`);
  for (const { what, share, selfMs } of hottest) say(`  ${round(share * 100).padStart(5)} %  ${Math.round(selfMs)} ms  ${what}`);
}

/** The hottest functions of each thread whose profile is in the folder, the busiest thread first. */
export function readProfiles(
  folder: string,
  count: number,
  window?: Window,
): { readonly threads: readonly (Thread & { readonly file: string })[] } {
  const threads = readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => {
      const file = join(folder, name);
      const whole = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
      return { file, ...threadOf(window === undefined ? whole : within(whole, window), count) };
    });
  return { threads: threads.toSorted((a, b) => b.busyMs - a.busyMs) };
}

/** Only samples in the window. */
export function within(profile: CpuProfile, { fromUs, toUs }: Window): CpuProfile {
  let atUs = profile.startTime;
  const seen = profile.timeDeltas.map((delta) => (atUs += delta)).map((us) => us >= fromUs && us <= toUs);
  return {
    ...profile,
    samples: profile.samples.filter((_, n) => seen[n]),
    timeDeltas: profile.timeDeltas.filter((_, n) => seen[n]),
  };
}

function threadOf({ nodes, samples, timeDeltas }: CpuProfile, count: number): Thread {
  const callers = new Map(nodes.flatMap(({ callFrame, children = [] }) => children.map((id) => [id, callFrame.functionName] as const)));
  const names = new Map(
    nodes.map(({ id, callFrame }) => {
      const caller = callFrame.functionName === '' ? (callers.get(id) ?? '') : '';
      return [id, frameNameOf(caller === '' ? callFrame : { ...callFrame, functionName: `(in ${caller})` })];
    }),
  );
  const selfUs = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?';
    selfUs.set(name, (selfUs.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  const all = [...selfUs].map(([what, us]) => ({ what, selfMs: us / 1_000 }));
  const busy = all.filter(({ what }) => !OUTSIDE.has(what));
  const busyMs = sum(busy.map(({ selfMs }) => selfMs));
  return {
    busyMs,
    nativeMs: (selfUs.get('(program)') ?? 0) / 1_000,
    idleMs: (selfUs.get('(idle)') ?? 0) / 1_000,
    hottest: busy
      .toSorted((a, b) => b.selfMs - a.selfMs)
      .slice(0, count)
      .map((one) => ({ ...one, share: one.selfMs / busyMs })),
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** `name file:line`. */
export function frameNameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  return url === '' ? name : `${name} ${placeOf(url)}:${lineNumber + 1}`;
}

/** The file of a frame from the top of the tree, or of `node_modules`. */
export const placeOf = (url: string): string =>
  url
    .replace(/^file:\/\//, '')
    .replace(/^.*\/(?:\.built\/[^/]+\/(?:dist\/)?)/, '')
    .replace(/^.*\/node_modules\//, '');

/** Where a program spent its time, from what `node --cpu-prof` wrote of each of its threads. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { flameGraph, type CpuProfile } from './flame-graph.ts';
import { round } from './result.ts';

export interface HotFunction {
  /** `name file:line`. */
  readonly what: string;
  /** Time in it and not in what it called, of all time that the threads worked. */
  readonly share: number;
  readonly selfMs: number;
}

export interface Profile {
  /** One for each thread, the busiest first. */
  readonly threads: readonly {
    readonly file: string;
    readonly busyMs: number;
    readonly idleMs: number;
    readonly hottest: readonly HotFunction[];
  }[];
}

/** Not work: the thread waits, or the profiler looks at it. */
const IDLE = new Set(['(idle)', '(program)', '(root)']);

const HOTTEST = 10;

/** Prints the hottest functions of each thread, and draws its flame graph beside its profile. */
export function sayProfiles(folder: string, say: (text: string) => void): void {
  for (const { file, busyMs, idleMs, hottest } of readProfiles(folder, HOTTEST).threads) {
    const picture = file.replace(/cpuprofile$/, 'svg');
    writeFileSync(picture, flameGraph(JSON.parse(readFileSync(file, 'utf8')) as CpuProfile, nameOf));
    say(`\n${file}: busy ${Math.round(busyMs)} ms, idle ${Math.round(idleMs)} ms; ${picture}`);
    for (const { what, share, selfMs } of hottest) say(`  ${round(share * 100).padStart(5)} %  ${Math.round(selfMs)} ms  ${what}`);
  }
}

/** The hottest functions of each thread whose profile lies in the folder. */
export function readProfiles(folder: string, count: number): Profile {
  const threads = readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => ({ file: join(folder, name), ...readProfile(join(folder, name), count) }));
  return { threads: threads.toSorted((a, b) => b.busyMs - a.busyMs) };
}

function readProfile(
  file: string,
  count: number,
): { readonly busyMs: number; readonly idleMs: number; readonly hottest: readonly HotFunction[] } {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const selfUs = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?';
    selfUs.set(name, (selfUs.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  const all = [...selfUs].map(([what, us]) => ({ what, selfMs: us / 1_000 }));
  const busy = all.filter(({ what }) => !IDLE.has(what));
  const busyMs = sum(busy.map(({ selfMs }) => selfMs));
  return {
    busyMs,
    idleMs: (selfUs.get('(idle)') ?? 0) / 1_000,
    hottest: busy
      .toSorted((a, b) => b.selfMs - a.selfMs)
      .slice(0, count)
      .map((one) => ({ ...one, share: one.selfMs / busyMs })),
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** Where it stands, from the top of the tree or of its package. */
export function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const place = url
    .replace(/^file:\/\//, '')
    .replace(/^.*\/(?:\.built\/[^/]+\/(?:dist\/)?)/, '')
    .replace(/^.*\/node_modules\//, '');
  return `${name} ${place}:${lineNumber + 1}`;
}

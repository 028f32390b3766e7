/** Feeds hostile values to the entry points of a sidecar, one after the other, and judges each answer. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { messageOf } from '../../../core/errors/agentcom-error.ts';
import { chooser } from '../hostile/choose.ts';
import { doorsOf, type Door } from './doors.ts';

export interface SidecarFuzzOptions {
  readonly values: number;
  readonly seed: string;
  /** Values of each kind that are generated at the start. */
  readonly pool?: number;
  readonly onProgress?: (values: number) => void;
}

export interface DoorTally {
  readonly values: number;
  readonly taken: number;
  readonly refused: number;
  /** The longest CPU time that one value took, in milliseconds. */
  readonly longestMs: number;
}

export interface SidecarFuzzOutcome {
  readonly doors: Readonly<Record<string, DoorTally>>;
  /** More than after the warm-up, of what the program itself retains, in bytes. */
  readonly grownBytes: number;
  readonly violations: readonly string[];
}

/** The CPU time that one value may take, in milliseconds. */
export const ONE_VALUE_MS = 1_000;
/** A value that took longer is fed once more: it may have been the machine, whose CPUs have other work. */
const LONG_MS = 10;
const VIOLATIONS_MAX = 30;
const WARM_UP = 0.1;
const TELL_EACH = 10_000;

export function sidecarFuzz({ values, seed, pool, onProgress }: SidecarFuzzOptions): SidecarFuzzOutcome {
  const choose = chooser(seed);
  const doors = doorsOf(choose.below(2 ** 31), pool);
  const tallies = new Map(doors.map(({ name }) => [name, { values: 0, taken: 0, refused: 0, longestMs: 0 }]));
  const violations: string[] = [];
  const violated = (what: string): void => void (violations.length < VIOLATIONS_MAX && violations.push(what));

  const give = (door: Door): void => {
    const tally = tallies.get(door.name) as { values: number; taken: number; refused: number; longestMs: number };
    const value = door.next(choose);
    const beganMs = performance.now();
    try {
      const answer = door.give(value);
      if (answer === 'taken') tally.taken += 1;
      else if (answer === 'refused') tally.refused += 1;
      else for (const wrong of answer) violated(`${door.name}: ${wrong}; for ${shown(value)}`);
    } catch (thrown) {
      violated(`${door.name} threw ${messageOf(thrown).slice(0, 300)}; for ${shown(value)}`);
    }
    const passedMs = performance.now() - beganMs;
    const tookMs = Math.round((passedMs > LONG_MS ? againMs(door, value) : passedMs) * 10) / 10;
    tally.values += 1;
    if (tookMs > tally.longestMs) tally.longestMs = tookMs;
    if (tookMs > ONE_VALUE_MS) violated(`${door.name} took ${tookMs} ms; for ${shown(value)}`);
  };

  let heldBytes = 0;
  for (let n = 0; n < values; n += 1) {
    const door = doors[n % doors.length] as Door;
    // An entry point with a small share is often skipped.
    give(door.share === 1 || choose.oneIn(door.share) ? door : choose.of(doors.filter(({ share }) => share === 1)));
    if (n === Math.floor(values * WARM_UP)) heldBytes = held();
    if (n % TELL_EACH === 0) onProgress?.(n);
  }
  return { doors: Object.fromEntries(tallies), grownBytes: held() - heldBytes, violations };
}

/** CPU time only; measuring it for each value would cost as much as everything else. */
function againMs(door: Door, value: unknown): number {
  const began = process.cpuUsage();
  try {
    door.give(value);
  } catch {
    return 0; // It was reported above.
  }
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1_000;
}

const SHOWN = 300;

function shown(value: unknown): string {
  try {
    return (
      typeof value === 'string' ? value : Buffer.isBuffer(value) ? value.toString('utf8') : (JSON.stringify(value) ?? typeof value)
    ).slice(0, SHOWN);
  } catch (thrown) {
    return `a ${typeof value} that cannot be shown: ${messageOf(thrown).slice(0, SHOWN)}`;
  }
}

/** What is left after a collection. */
function held(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

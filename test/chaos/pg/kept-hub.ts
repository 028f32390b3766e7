/** A hub under a supervisor: restarted whenever it ends, each time with a different clock offset. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Program, ProgramEnd } from '../rig/chaos-program.ts';

export interface KeptHub {
  isReady(): boolean;
  /** Kills it; the next one starts `downMs` later. */
  kill(downMs: number): Promise<void>;
  /** Stops it as an operator would; the next one starts `downMs` later. */
  drain(downMs: number): Promise<void>;
  /** Ends it for good. */
  stop(): Promise<ProgramEnd>;
  /** Unrequested ends, and drains that did not end with 0. */
  readonly unasked: readonly string[];
  /** Starts that failed because the store was unavailable. */
  readonly failedStarts: number;
}

/** A supervisor waits this long before it tries again. */
const AGAIN_MS = 300;

/** How much of its log is reported with an unrequested end, in characters. */
const LAST_WORDS = 2_000;

/**
 * `logFile`: its log. `mayFail`: whether the store was unavailable since that time (`performance.now()`), so that a
 * start may have failed.
 */
export function keepHub(name: string, logFile: string, start: () => Program, mayFail: (sinceMs: number) => boolean): KeptHub {
  const lastWords = (): string => readFileSync(logFile, 'utf8').slice(-LAST_WORDS);
  const unasked: string[] = [];
  const stopped = new Set<Program>();
  let isReady = false;
  let isOver = false;
  let failedStarts = 0;
  let program: Program;

  const begin = (): void => {
    const beganMs = performance.now();
    const mine = start();
    program = mine;
    isReady = false;
    void mine.ready.then((line) => {
      if (line !== null && program === mine) isReady = true;
    });
    void mine.ended.then(async (end) => {
      if (stopped.has(mine)) return;
      if (!isReady && mayFail(beganMs)) failedStarts += 1;
      else unasked.push(`${name} (pid ${mine.pid}) ended with ${end}: ${lastWords()}`);
      isReady = false;
      await sleep(AGAIN_MS);
      if (!isOver && program === mine) begin();
    });
  };
  const end = async (signal: NodeJS.Signals, downMs: number): Promise<ProgramEnd> => {
    const mine = program;
    stopped.add(mine);
    isReady = false;
    const how = await mine.kill(signal);
    await sleep(downMs);
    if (!isOver && program === mine) begin();
    return how;
  };
  begin();
  return {
    isReady: () => isReady,
    unasked,
    get failedStarts() {
      return failedStarts;
    },
    async kill(downMs) {
      await end('SIGKILL', downMs);
    },
    async drain(downMs) {
      const how = await end('SIGTERM', downMs);
      if (how !== 0) unasked.push(`${name} was told to stop and ended with ${how}: ${lastWords()}`);
    },
    stop() {
      isOver = true;
      stopped.add(program);
      return program.kill('SIGTERM');
    },
  };
}

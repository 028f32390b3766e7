/** The subject of `wakeRunnerContract` for a runner that starts a program: real processes on this (Linux) machine. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../../../core/ports/log.ts';
import type { WakeRunner } from '../../../../core/ports/wake-runner.ts';
import type { WakeRunnerDeps } from '../../../../plugins/plugin.ts';
import type { Behavior, OutputWorld, OutputBehavior, WakeRunnerSubject } from './wake-runner-subject.ts';
import { atWork, carriersOf, endAgent, readOrEmpty, runWorld } from '../../../plugins/run-world.ts';

/** A program that behaves as its first argument says, and prints the files in the folder of its second. */
export const FAKE_AGENT = fileURLToPath(new URL('./fake-agent.sh', import.meta.url));

/** What the agent of a listening runner writes to standard output, in the format of its program: whole lines. */
export interface AgentOutput {
  /** At its start; may be empty. */
  readonly started: string;
  /** When it is done. */
  readonly result: string;
  /** In between: whole lines with the text `interim`; empty for a program that prints nothing before its result. */
  readonly interim: string;
  /** When it gives up by itself. */
  readonly failed: string;
  /** The result counts only once the program has ended by itself, with code 0. */
  readonly settlesAtEnd?: boolean | undefined;
}

/**
 * The subject of a runner that starts the program of `argv`: for each behavior of the contract an agent that behaves
 * this way, or a program that does not exist. A runner that listens to its agent needs the `words` of its program.
 * `agent` is for a program that is interactive: it is started instead, with the behavior as its next argument, and
 * has its own `words`.
 */
export function processSubject(
  runner: (argv: readonly string[], deps: WakeRunnerDeps) => WakeRunner | Promise<WakeRunner>,
  words?: AgentOutput,
  agent: readonly string[] = ['sh', FAKE_AGENT],
): WakeRunnerSubject {
  const world = async (): Promise<OutputWorld> => {
    const runs = await runWorld();
    const { baseDir } = runs;
    const deps: WakeRunnerDeps = { agentId: 'agent-1', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog };
    const wordsDir = await writeWords(join(baseDir, 'words'), words);
    const argvOf = (behavior: Behavior | OutputBehavior): readonly string[] =>
      behavior === 'cannot-start' ? ['no-such-program-anywhere'] : [...agent, behavior, wordsDir];
    return {
      runner: async (behavior) => runner(argvOf(behavior), deps),
      printing: async (behavior) => runner(argvOf(behavior), deps),
      request: (description) => runs.request(description === undefined ? undefined : { description }),
      settle: (promise) => within(SETTLE_MS, promise),
      atWork,
      endAgent,
      async inputOf({ resultsDir }) {
        const path = join(resultsDir, 'heard');
        return existsSync(path) ? readFile(path, 'utf8') : null;
      },
      livingOf: (runId) => Promise.resolve(carriersOf(runId)),
      environmentOf: (pid) => readOrEmpty(`/proc/${pid}/environ`),
      close: async () => void (await runs.close()),
    };
  };
  return words === undefined ? { follows: 'files', world } : { follows: 'output', settlesAtEnd: words.settlesAtEnd, world };
}

/** A run of the contract takes seconds, even on a busy machine. */
const SETTLE_MS = 60_000;

/** A runner that never emits what a case waits for fails that case; without a limit, the suite would not end. */
async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const message = `expected the runner to emit the events of this case within ${limitMs / 1_000} s; found it still waiting`;
    timer = setTimeout(() => reject(new Error(message)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Output of an agent that prints JSON, one object per line. */
export const jsonLinesOf = (...messages: readonly object[]): string => messages.map((line) => `${JSON.stringify(line)}\n`).join('');

/** The folder in which the fake agent finds its output. */
export async function writeWords(folder: string, words: Partial<AgentOutput> = {}): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(words)) if (typeof text === 'string') await writeFile(join(folder, name), text);
  return folder;
}

/**
 * The agents of one machine. The description of its task tells an agent what to do, as `WORD MS …`; it writes real
 * files. Agents outlive the sidecar that woke them, and record what they did.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  scriptedRunner,
  type RunScript,
  type ScriptedRunner,
  type ScriptStep,
} from '../../product/twins/runner-scripted/scripted-runner.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../../core/ports/wake-runner.ts';
import type { Life } from '../../simulation/runner/world-life.ts';
import type { Evidence } from './evidence.ts';

/**
 * `work`: has its result after this time. `hang`: runs until it is stopped. `deaf`: the same, and has to be killed.
 * `fail-first`: its first attempt fails. `fail-once`: the same, and that is final.
 */
export type AgentWord = 'work' | 'hang' | 'deaf' | 'fail-first' | 'fail-once';

export class Agents {
  readonly #runner: ScriptedRunner;
  readonly #evidence: Evidence;

  constructor(clock: Clock, evidence: Evidence) {
    this.#evidence = evidence;
    this.#runner = scriptedRunner({
      clock,
      script: (request) => {
        evidence.spawned(request, () => this.#runner.living().includes(request.runId));
        return this.#script(request);
      },
    });
  }

  living(): readonly string[] {
    return this.#runner.living();
  }

  /** The machine is gone, and its agents with it. */
  killAll(): void {
    for (const runId of this.#runner.living()) this.#runner.end(runId);
  }

  #script(request: WakeRequest): RunScript {
    const [word, ms] = request.task.description.split(' ');
    const afterMs = Number(ms);
    const start: readonly ScriptStep[] = [
      { afterMs: 5, event: { type: 'woken' } },
      { afterMs: 15, act: () => void write(request, 'started', '') },
    ];
    const result = (value: Readonly<Record<string, unknown>>): readonly ScriptStep[] => [
      { afterMs, act: () => this.#finish(request, value) },
      { afterMs: 10, event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } },
    ];
    const failed = (retryable: boolean) => result({ status: 'failed', reason: 'could not', retryable });
    const isFirst = this.#runner.started.filter(({ taskId }) => taskId === request.taskId).length === 0;
    switch (word as AgentWord) {
      case 'hang':
        return { steps: start, endsWithinMs: 100 };
      case 'deaf':
        return { steps: start, endsWithinMs: Infinity };
      case 'fail-first':
        return { steps: [...start, ...(isFirst ? failed(true) : result({ status: 'success' }))] };
      case 'fail-once':
        return { steps: [...start, ...(isFirst ? failed(false) : result({ status: 'success' }))] };
      case 'work':
        return { steps: [...start, ...result({ status: 'success' })] };
    }
  }

  #finish(request: WakeRequest, value: Readonly<Record<string, unknown>>): void {
    const marker = `${request.runId} of ${assignmentText(request)}`;
    const isThere = write(request, 'json', JSON.stringify({ ...value, output: { text: 'x'.repeat(200), marker } }));
    if (isThere && value['status'] === 'success') this.#evidence.finished(request, marker);
  }

  /** The runner as seen by one sidecar process: its streams end with the process. */
  runnerFor(life: Life): WakeRunner {
    const runner = this.#runner;
    return {
      adoptable: true,
      wake: (request, signal) => mortalStream(runner.wake(request, signal), life),
      attach: (run, signal: StopSignal) => mortalStream(runner.attach(run, signal), life),
    };
  }
}

function mortalStream(events: AsyncIterable<WakeEvent>, life: Life): AsyncIterable<WakeEvent> {
  return {
    [Symbol.asyncIterator]() {
      const inner = events[Symbol.asyncIterator]();
      const leave = (): Promise<IteratorResult<WakeEvent>> => inner.return?.() ?? Promise.resolve({ done: true, value: undefined });
      life.onEnd(() => void leave());
      return { next: () => life.gate(inner.next()), return: () => life.gate(leave()) };
    },
  };
}

/** Whether it could: the folder of an assignment that is over is gone. */
function write({ resultsDir, taskId }: WakeRequest, file: string, text: string): boolean {
  try {
    writeFileSync(join(resultsDir, `${taskId}.${file}`), text);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * A `WakeRunner` whose agents follow scripts, by the clock and without processes: the memory twin for tests and the
 * simulation. It is also the machine on which the runs live: a second sidecar that gets the same runner finds the runs
 * of the first.
 */
import type { Clock, Timer } from '../../../../core/ports/clock.ts';
import type { AdoptedRun, FailureCause, StopSignal, WakeEvent, WakeRequest, WakeRunner } from '../../../../core/ports/wake-runner.ts';
import type { ProcessMark } from '../../../../core/domain/assignment/slot.ts';

/** Time between the signal and the kill, unless the stop says otherwise. */
const GRACE_MS = 5_000;
const FIRST_PID = 1_000;

/** What an agent may report; the runner itself reports `spawned` and `stopped`. */
export type ScriptedEvent = Exclude<WakeEvent, { readonly type: 'spawned' | 'stopped' }>;

/**
 * `afterMs` counts from the previous step, the first from the spawn. `act` is for what the agent does by itself, such
 * as writing its result.
 */
export type ScriptStep =
  { readonly afterMs: number; readonly event: ScriptedEvent } | { readonly afterMs: number; readonly act: (request: WakeRequest) => void };

export interface RunScript {
  /** The program cannot be started. */
  readonly refuses?: { readonly message: string; readonly retryable: boolean; readonly kind?: FailureCause | undefined } | undefined;
  /** What happens, in order. After an `exited` the run is over; without one it continues until it is stopped. */
  readonly steps?: readonly ScriptStep[] | undefined;
  /** How long it needs to end once asked to; Infinity: it has to be killed, after the grace period. Default 0. */
  readonly endsWithinMs?: number | undefined;
  /** Processes that a stop cannot kill. */
  readonly survivors?: readonly number[] | undefined;
}

export interface ScriptedRunnerOptions {
  readonly clock: Clock;
  /** Default true. */
  readonly adoptable?: boolean | undefined;
  /** Called for each wake. */
  script(request: WakeRequest): RunScript;
}

export interface ScriptedRunner extends WakeRunner {
  /** Every wake that started a run, in order. */
  readonly started: readonly WakeRequest[];
  /** The ids of runs that are alive. */
  living(): readonly string[];
  /** The run's whole process tree ends by itself; by SIGKILL unless `how` says otherwise. Does nothing if it is not alive. */
  end(runId: string, how?: { readonly exitCode: number | null; readonly signal: string | null }): void;
}

interface Run {
  readonly request: WakeRequest;
  readonly process: ProcessMark;
  readonly script: RunScript;
  isAlive: boolean;
  /** Followed by a sidecar other than the one that started it: only the parent learns how it ended. */
  isAdopted: boolean;
  /** The next step, or the end after a stop. */
  timer: Timer | null;
  /** Reported, but not taken yet. */
  readonly untaken: WakeEvent[];
  /** Called when something was reported; null without a listener. The last one to start listening is the listener. */
  notify: (() => void) | null;
}

/** Opens nothing; every run ends with its script, a stop or `end`. */
export function scriptedRunner(options: ScriptedRunnerOptions): ScriptedRunner {
  const { clock } = options;
  const runs = new Map<string, Run>();
  const started: WakeRequest[] = [];

  const tell = (run: Run, event: WakeEvent): void => {
    run.untaken.push(event);
    run.notify?.();
  };
  const end = (run: Run, event: WakeEvent): void => {
    run.isAlive = false;
    run.timer?.cancel();
    tell(run, event);
  };
  const follow = (run: Run, steps: readonly ScriptStep[]): void => {
    const [step, ...rest] = steps;
    if (step === undefined) return;
    run.timer = clock.after(step.afterMs, () => {
      if ('act' in step) step.act(run.request);
      else if (step.event.type === 'exited') end(run, step.event);
      else tell(run, step.event);
      if (run.isAlive) follow(run, rest);
    });
  };
  const begin = (request: WakeRequest, script: RunScript): Run => {
    started.push(request);
    const process = { pid: FIRST_PID + started.length, startTime: String(clock.monotonicMs()), bootId: 'scripted' };
    const run: Run = {
      request,
      process,
      script,
      isAlive: true,
      isAdopted: false,
      timer: null,
      untaken: [{ type: 'spawned', process }],
      notify: null,
    };
    runs.set(request.runId, run);
    follow(run, script.steps ?? []);
    return run;
  };
  const stop = (run: Run, graceMs: number): void => {
    const { endsWithinMs = 0, survivors = [] } = run.script;
    run.timer?.cancel();
    run.timer = clock.after(Math.min(endsWithinMs, graceMs), () => {
      end(run, { type: 'stopped', survivors });
    });
  };

  /** Listens to a run from its first event that was not taken yet. */
  const listen = (find: () => Run | WakeEvent, signal: StopSignal): AsyncIterator<WakeEvent> => {
    const takers: ((result: IteratorResult<WakeEvent>) => void)[] = [];
    let run: Run | null = null;
    let isOver = false;
    const onAbort = (): void => {
      if (run?.isAlive === true) stop(run, graceOf(signal));
    };
    const leave = (): void => {
      isOver = true;
      signal.removeEventListener('abort', onAbort);
      if (run?.notify === hand) run.notify = null;
      for (const take of takers.splice(0)) take({ done: true, value: undefined });
    };
    const hand = (): void => {
      while (run !== null && takers.length > 0 && run.untaken.length > 0) {
        const event = run.untaken.shift() as WakeEvent;
        const isUnknown = event.type === 'exited' && run.isAdopted;
        takers.shift()?.({ done: false, value: isUnknown ? { ...event, exitCode: null, signal: null } : event });
      }
      if (run === null || run.isAlive || run.untaken.length > 0) return;
      runs.delete(run.request.runId);
      leave();
    };
    return {
      next() {
        if (isOver) return Promise.resolve({ done: true, value: undefined });
        if (run === null) {
          const found = find();
          if ('type' in found) {
            isOver = true;
            return Promise.resolve({ done: false, value: found });
          }
          run = found;
          run.notify = hand;
          if (signal.aborted) onAbort();
          else signal.addEventListener('abort', onAbort, { once: true });
        }
        return new Promise((take) => {
          takers.push(take);
          hand();
        });
      },
      return() {
        leave();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  };

  const wake = (request: WakeRequest, signal: StopSignal): Run | WakeEvent => {
    if (signal.aborted) return { type: 'stopped', survivors: [] };
    const script = options.script(request);
    return script.refuses === undefined ? begin(request, script) : { type: 'failed', phase: 'spawn', ...script.refuses };
  };
  const attach = (adopted: AdoptedRun): Run | WakeEvent => {
    const run = runs.get(adopted.runId);
    if (run === undefined) return { type: 'exited', exitCode: null, signal: null, stderrTail: '' };
    // A sidecar that adopts a run without knowing its process is told the process; one that knows it, or comes late,
    // gets what was reported since.
    const isToldOfSpawn = run.untaken[0]?.type === 'spawned';
    if (adopted.process === null && !isToldOfSpawn) run.untaken.unshift({ type: 'spawned', process: run.process });
    if (adopted.process !== null && isToldOfSpawn) run.untaken.shift();
    run.isAdopted = true;
    return run;
  };

  return {
    adoptable: options.adoptable ?? true,
    started,
    living: () => [...runs.values()].filter((run) => run.isAlive).map((run) => run.request.runId),
    end(runId, how = { exitCode: null, signal: 'SIGKILL' }) {
      const run = runs.get(runId);
      if (run?.isAlive === true) end(run, { type: 'exited', ...how, stderrTail: '' });
    },
    wake: (request, signal) => ({ [Symbol.asyncIterator]: () => listen(() => wake(request, signal), signal) }),
    attach: (run, signal) => ({ [Symbol.asyncIterator]: () => listen(() => attach(run), signal) }),
    check: () => Promise.resolve([{ check: 'script', ok: true, message: 'scripted' }]),
  };
}

function graceOf(signal: StopSignal): number {
  const reason: unknown = signal.reason;
  if (typeof reason !== 'object' || reason === null || !('graceMs' in reason) || typeof reason.graceMs !== 'number') return GRACE_MS;
  return Math.max(0, reason.graceMs);
}

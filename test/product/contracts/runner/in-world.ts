/** Cases of `wakeRunnerContract`, each in its own world with observed runners: a violation of the general rules fails every case. */
import { readWakeEvent } from '../../../../core/application/sidecar/state/runner-events.ts';
import type { WakeEvent, WakeRunner } from '../../../../core/ports/wake-runner.ts';
import { refuseOptions, type CaseTest, type ContractCase } from '../contract-case.ts';
import type { Behavior, OutputWorld, RunnerWorld, OutputBehavior, WakeRunnerSubject } from './wake-runner-subject.ts';

/** Adds a case that has a world. */
export type InWorld<W extends RunnerWorld> = (title: string, run: (t: ContractCase, world: W) => Promise<void>) => void;

const GONE = {
  onlyWakes: "Its subject says so by follows: 'nothing'.",
  hidesRunIds: 'It follows from process.platform: only Linux shows the environment of a process.',
  settlesAtEnd: 'It is an option of the subject.',
};

export function inWorld<W extends RunnerWorld>(test: CaseTest, follows: WakeRunnerSubject['follows'], open: () => Promise<W>): InWorld<W> {
  return (title, run) =>
    test(title, async (t) => {
      const world = await open();
      t.teardown(() => world.close());
      refuseOptions('WakeRunner contract', world, GONE);
      const seen: Seen = { runIds: [], unnamed: [], refused: [], afterEnd: [] };
      await run(t, watchedWorld(world, seen, follows !== 'nothing'));
      t.strictSame(seen.unnamed, [], 'when an end is reported, no process of its run is alive except the named survivors');
      t.strictSame(seen.refused, [], 'a sidecar accepts every event unchanged');
      t.strictSame(seen.afterEnd, [], 'it reported nothing after an end');
      for (const runId of seen.runIds) t.strictSame(await world.livingOf(runId), [], 'no process with the run id is left');
    });
}

/** Whether an event is the end of its run. */
export const isLast = (event: WakeEvent): boolean =>
  event.type === 'exited' || event.type === 'stopped' || (event.type === 'failed' && event.phase === 'spawn');

/** Processes of a run that were alive when its end was reported, and were not named as survivors. */
interface Unnamed {
  readonly end: WakeEvent['type'];
  readonly pids: readonly number[];
}

/** General rules that runners of one case violated. */
interface Seen {
  readonly runIds: string[];
  readonly unnamed: Unnamed[];
  /** Events that a sidecar cannot accept, or only truncated. */
  readonly refused: unknown[];
  readonly afterEnd: WakeEvent['type'][];
}

/** The unchanged world, except that its runners are observed and run ids are recorded. */
function watchedWorld<W extends RunnerWorld>(world: W, seen: Seen, looksAtEnds: boolean): W {
  const watch = (runner: WakeRunner): WakeRunner => watched(runner, world, seen, looksAtEnds);
  const own: Partial<OutputWorld> = {
    async request(description) {
      const made = await world.request(description);
      seen.runIds.push(made.runId);
      return made;
    },
    runner: async (behavior: Behavior) => watch(await world.runner(behavior)),
    printing: async (behavior: OutputBehavior) => watch(await (world as RunnerWorld as OutputWorld).printing(behavior)),
  };
  return new Proxy(world, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name);
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/**
 * The unchanged runner, except that every event it reports is judged, and with `looksAtEnds` the machine's processes
 * are checked whenever it reports an end.
 */
function watched(runner: WakeRunner, world: RunnerWorld, seen: Seen, looksAtEnds: boolean): WakeRunner {
  const look = async (runId: string, event: WakeEvent): Promise<void> => {
    const read = readWakeEvent(event);
    if (read.kind === 'invalid') seen.refused.push(read.message);
    else if (!isWhole(event, read.event)) seen.refused.push(`a text of "${event.type}" is longer than a sidecar accepts`);
    if (!isLast(event) || !looksAtEnds) return;
    const named = 'survivors' in event ? (event.survivors ?? []) : [];
    const pids = (await world.livingOf(runId)).filter((pid) => !named.includes(pid));
    if (pids.length > 0) seen.unnamed.push({ end: event.type, pids });
  };
  const looking = (runId: string, events: AsyncIterable<WakeEvent>): AsyncIterable<WakeEvent> => ({
    [Symbol.asyncIterator]() {
      const listener = events[Symbol.asyncIterator]();
      let hasEnded = false;
      return {
        async next() {
          const step = await listener.next();
          if (step.done === true) return step;
          if (hasEnded) seen.afterEnd.push(step.value.type);
          hasEnded ||= isLast(step.value);
          await look(runId, step.value);
          return step;
        },
        return: () => listener.return?.() ?? Promise.resolve({ done: true, value: undefined }),
      };
    },
  });
  return {
    adoptable: runner.adoptable,
    wake: (request, signal) => looking(request.runId, runner.wake(request, signal)),
    attach: (run, signal) => looking(run.runId, runner.attach(run, signal)),
    ...(runner.check === undefined ? {} : { check: runner.check.bind(runner) }),
  };
}

/** Whether no text for people was truncated; printed output may be partial. */
const isWhole = (emitted: WakeEvent, read: WakeEvent): boolean =>
  (['message', 'stderrTail'] as const).every((name) => {
    const [text, kept] = [emitted, read].map((event) => (event as Readonly<Record<string, unknown>>)[name]);
    return typeof text !== 'string' || text === kept;
  });

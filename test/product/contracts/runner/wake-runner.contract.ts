/** What every `WakeRunner` must do, whatever it wakes. */
import { readChecks } from '../../../../core/application/sidecar/state/runner-events.ts';
import type { ProcessMark } from '../../../../core/domain/assignment/slot.ts';
import type { AdoptedRun, WakeEvent, WakeRequest, WakeRunner } from '../../../../core/ports/wake-runner.ts';
import { inSuite, type ContractCase, type TestRunner } from '../contract-case.ts';
import { inWorld, isLast, type InWorld } from './in-world.ts';
import { outputRunnerCases } from './talking-runner.contract.ts';
import type { Behavior, ProcessWorld, RunnerWorld, WakeRunnerSubject } from './wake-runner-subject.ts';
import { wakingRunnerCases } from './waking-runner.contract.ts';

/** A short grace period for stops, so that an agent that ignores signals is killed soon. */
const SHORT_GRACE = { graceMs: 200 };
const CHECK_WITHIN_MS = 5_000;
/** The sidecar's own token. */
const NOT_FOR_AGENTS = 'AGENTCOM_TOKEN';
const FOLLOWED: readonly unknown[] = ['output', 'files', 'nothing'];

/** The only platform where the system shows the environment of a process, and identifies a boot. */
const showsRunIds = (): boolean => process.platform === 'linux';

/** Adds the suite; `name` appears in the titles. */
export function wakeRunnerContract(name: string, subject: WakeRunnerSubject, runner: TestRunner): void {
  const suite = `WakeRunner contract, ${name}`;
  if (typeof subject === 'function') {
    throw new TypeError(`${suite}: its subject is a function. Pass the subject itself, such as processSubject(…) returns.`);
  }
  const { follows } = subject;
  if (!FOLLOWED.includes(follows)) {
    throw new TypeError(`${suite}: follows of its subject: expected one of ${FOLLOWED.join(', ')}, found ${String(follows)}.`);
  }
  inSuite(suite, runner, (test) => {
    casesOfAll(inWorld(test, follows, () => subject.world()));
    switch (subject.follows) {
      case 'output': {
        const cases = inWorld(test, follows, () => subject.world());
        followedCases(cases);
        outputRunnerCases(cases, subject.settlesAtEnd === true);
        break;
      }
      case 'files': {
        const cases = inWorld(test, follows, () => subject.world());
        followedCases(cases);
        filesCases(cases);
        break;
      }
      case 'nothing':
        wakingRunnerCases(inWorld(test, follows, () => subject.world()));
    }
  });
}

/** For every runner, including one that only wakes. */
function casesOfAll(ofAll: InWorld<RunnerWorld>): void {
  ofAll('reports a program that cannot be started as failed, and does not throw', async (t, world) => {
    const request = await world.request();
    const events = await world.settle(all((await world.runner('cannot-start')).wake(request, new AbortController().signal)));
    t.match(events, [{ type: 'failed', phase: 'spawn', retryable: false, message: /\S/ }]);
    t.equal(events.length, 1);
  });

  ofAll('starts nothing if it is already stopped', async (t, world) => {
    const request = await world.request();
    const events = await world.settle(all((await world.runner('works')).wake(request, AbortSignal.abort())));
    t.strictSame(events, [{ type: 'stopped', survivors: [] }]);
    t.strictSame(await world.livingOf(request.runId), []);
  });

  ofAll('checks itself within 5 s', async (t, world) => {
    const beganMs = performance.now();
    for (const behavior of ['works', 'cannot-start'] as const) {
      const checks = await world.settle((await world.runner(behavior)).check?.(new AbortController().signal) ?? Promise.resolve([]));
      for (const check of checks) t.match(check, { check: /\S/, ok: Boolean, message: /\S/ });
      t.strictSame(readChecks(checks), checks, 'a sidecar accepts them unchanged');
    }
    const tookMs = performance.now() - beganMs;
    t.ok(tookMs < CHECK_WITHIN_MS, `expected both checks within ${CHECK_WITHIN_MS} ms, found ${Math.round(tookMs)} ms`);
  });
}

/** For a runner that starts its agent and does not listen to it. */
function filesCases(contract: InWorld<ProcessWorld>): void {
  contract('reports that its agent works on its own', async (t, world) => {
    const request = await world.request();
    const events = await world.settle(all((await world.runner('ends')).wake(request, new AbortController().signal)));
    t.ok(
      events.some(({ type }) => type === 'woken'),
      'it reports `woken`; a runner that listens to its agent does not, and its subject needs the words of its agent',
    );
  });
}

/** For a runner that starts its agent. */
function followedCases(contract: InWorld<ProcessWorld>): void {
  /** A case that begins with a running agent whose sidecar is gone. `byRunId`: only the run id in the environment identifies it. */
  const afterAdoption = (
    title: string,
    behavior: Behavior,
    run: (t: ContractCase, world: ProcessWorld, adopted: Abandoned) => Promise<void>,
    byRunId = behavior === 'leaves-tools',
  ): void => {
    if (byRunId && !showsRunIds()) return;
    contract(title, async (t, world) => {
      const { adoptable } = await world.runner(behavior);
      // On other platforms its runs end with their sidecar.
      if (adoptable) await run(t, world, await abandonedRun(world, behavior));
    });
  };

  contract('reports the process, and last its end without a stop', async (t, world) => {
    const request = await world.request();
    const events = await world.settle(all((await world.runner('ends')).wake(request, new AbortController().signal)));
    t.equal(events[0]?.type, 'spawned');
    t.match(events[0], { process: { pid: Number, startTime: String, bootId: showsRunIds() ? String : null } });
    t.match(events.at(-1), { type: 'exited', exitCode: 0, signal: null });
    t.equal(events.filter(isLast).length, 1);
    t.strictSame(await world.livingOf(request.runId), []);
  });

  contract('reports the exit code and the tail of standard error', async (t, world) => {
    const request = await world.request();
    const events = await world.settle(all((await world.runner('fails')).wake(request, new AbortController().signal)));
    t.match(events.at(-1), { type: 'exited', exitCode: 3, signal: null, stderrTail: /it broke/ });
  });

  contract('carries the run id in the environment of the run', async (t, world) => {
    const request = await world.request();
    const run = begin(await world.runner('works'), request);
    await world.settle(world.atWork(request));
    t.ok((await world.livingOf(request.runId)).length > 0, 'a process of the run has its run id in its environment');
    await world.endAgent(request);
    t.match(await world.settle(run.last), { type: 'exited' });
    t.strictSame(await world.livingOf(request.runId), []);
  });

  contract('passes no variable of the sidecar’s environment to an agent unless it is named', async (t, world) => {
    process.env[NOT_FOR_AGENTS] = 'a secret of the sidecar';
    t.teardown(() => Reflect.deleteProperty(process.env, NOT_FOR_AGENTS));
    const request = await world.request();
    const run = begin(await world.runner('works'), request);
    await world.settle(world.atWork(request));
    const pids = await world.livingOf(request.runId);
    t.ok(pids.length > 0, 'a process of the run has its run id in its environment');
    for (const pid of pids) t.notOk(world.environmentOf(pid).includes(NOT_FOR_AGENTS), `process ${pid} has no ${NOT_FOR_AGENTS}`);
    run.stop.abort(SHORT_GRACE);
    await world.settle(run.last);
  });

  for (const behavior of ['works', 'ignores-stop', 'leaves-tools'] as const) {
    if (behavior === 'leaves-tools' && !showsRunIds()) continue;
    contract(`stops an agent that ${behavior}, and ends with stopped`, async (t, world) => {
      const request = await world.request();
      const run = begin(await world.runner(behavior), request);
      await world.settle(world.atWork(request));
      run.stop.abort(SHORT_GRACE);
      t.strictSame(await world.settle(run.last), { type: 'stopped', survivors: [] });
      t.strictSame(await world.livingOf(request.runId), []);
    });
  }

  contract('stops only the requested run', async (t, world) => {
    const [one, other] = [await world.request(), await world.request()];
    const runner = await world.runner('works');
    const [runOfOne, runOfOther] = [begin(runner, one), begin(runner, other)];
    await world.settle(Promise.all([world.atWork(one), world.atWork(other)]));
    runOfOne.stop.abort(SHORT_GRACE);
    t.match(await world.settle(runOfOne.last), { type: 'stopped' });
    t.ok((await world.livingOf(other.runId)).length > 0, 'the other run is still alive');
    await world.endAgent(other);
    t.match(await world.settle(runOfOther.last), { type: 'exited', exitCode: 0 });
  });

  contract('lets a waiting listener leave at once, and then leaves an adoptable run alive', async (t, world) => {
    const request = await world.request();
    const runner = await world.runner('works');
    const listener = runner.wake(request, new AbortController().signal)[Symbol.asyncIterator]();
    let process: ProcessMark | null = null;
    const waiting = nextSilence(listener, (event) => {
      if (event.type === 'spawned') ({ process } = event);
    });
    await world.settle(world.atWork(request));
    t.strictSame(await listener.return?.(), { done: true, value: undefined });
    t.match(await waiting, { done: true }, 'the next() that waited is answered too');
    if (!runner.adoptable) return await stopRemains(world, { ...request, process }); // Like the next sidecar.
    // As long as another whole run takes: time enough for a released stream to harm this run.
    await world.settle(all((await world.runner('ends')).wake(await world.request(), new AbortController().signal)));
    t.ok((await world.livingOf(request.runId)).length > 0, 'the run is still alive');
    await stopRemains(world, { ...request, process });
  });

  afterAdoption('follows a run of an earlier sidecar to its end', 'works', async (t, world, adopted) => {
    const events = all((await world.runner('works')).attach(adopted, new AbortController().signal));
    await world.endAgent(adopted);
    t.match((await world.settle(events)).at(-1), { type: 'exited', exitCode: null, signal: null });
    t.strictSame(await world.livingOf(adopted.runId), []);
  });

  afterAdoption(
    'finds a run whose process was never journaled, and reports its process',
    'works',
    async (t, world, adopted) => {
      const runner = await world.runner('works');
      const listener = runner.attach({ ...adopted, process: null }, new AbortController().signal)[Symbol.asyncIterator]();
      t.strictSame((await world.settle(listener.next())).value, { type: 'spawned', process: adopted.process });
      await world.endAgent(adopted);
      t.match((await world.settle(rest(listener))).at(-1), { type: 'exited', exitCode: null });
    },
    true,
  );

  for (const [behavior, isKnown] of [
    ['ignores-stop', true],
    ['ignores-stop', false],
    ['leaves-tools', true],
    ['leaves-tools', false],
  ] as const) {
    afterAdoption(
      `stops the rest of a run that ${behavior}, whose process is ${isKnown ? 'known' : 'not known'}`,
      behavior,
      async (t, world, adopted) => {
        const run = isKnown ? adopted : { ...adopted, process: null };
        const events = await world.settle(all((await world.runner(behavior)).attach(run, AbortSignal.abort(SHORT_GRACE))));
        t.strictSame(events.at(-1), { type: 'stopped', survivors: [] });
        t.strictSame(await world.livingOf(adopted.runId), []);
      },
      !isKnown || behavior === 'leaves-tools',
    );
  }

  afterAdoption('reports exited at once for a run without live processes', 'works', async (t, world, adopted) => {
    await stopRemains(world, adopted);
    for (const process of showsRunIds() ? [adopted.process, null] : [adopted.process]) {
      for (const signal of [new AbortController().signal, AbortSignal.abort()]) {
        const events = await all((await world.runner('works')).attach({ ...adopted, process }, signal));
        const reports = events.filter(({ type }) => type !== 'output');
        t.match(reports, [{ type: 'exited', exitCode: null, signal: null }]);
        t.equal(reports.length, 1, 'apart from earlier reports');
      }
    }
  });
}

/** The reported events, to the end. */
export const all = (events: AsyncIterable<WakeEvent>): Promise<readonly WakeEvent[]> => rest(events[Symbol.asyncIterator]());

async function rest(listener: AsyncIterator<WakeEvent>): Promise<readonly WakeEvent[]> {
  const wakeEvents: WakeEvent[] = [];
  for (let next = await listener.next(); next.done !== true; next = await listener.next()) wakeEvents.push(next.value);
  return wakeEvents;
}

/** Starts a run and listens until its end. */
function begin(runner: WakeRunner, request: WakeRequest) {
  const stop = new AbortController();
  return { stop, last: all(runner.wake(request, stop.signal)).then((events) => events.at(-1)) };
}

/** Takes events until the run has ended or was left, and returns how the last `next()` was answered. */
async function nextSilence(listener: AsyncIterator<WakeEvent>, received: (event: WakeEvent) => void): Promise<IteratorResult<WakeEvent>> {
  for (;;) {
    const step = await listener.next();
    if (step.done === true) return step;
    received(step.value);
  }
}

type Abandoned = AdoptedRun & { readonly process: ProcessMark };

/** A running agent whose sidecar is gone. */
async function abandonedRun(world: RunnerWorld, behavior: Behavior): Promise<Abandoned> {
  const runner = await world.runner(behavior);
  const request = await world.request();
  const listener = runner.wake(request, new AbortController().signal)[Symbol.asyncIterator]();
  const first = await world.settle(listener.next());
  if (first.done === true || first.value.type !== 'spawned') throw new Error(`expected spawned first, found ${JSON.stringify(first)}`);
  await world.settle(world.atWork(request));
  await listener.return?.();
  return { ...request, process: first.value.process };
}

async function stopRemains(world: RunnerWorld, run: AdoptedRun): Promise<void> {
  const runner = await world.runner('works');
  await world.settle(all(runner.attach(run, AbortSignal.abort(SHORT_GRACE))));
}

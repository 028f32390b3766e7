import t from 'tap';
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import { WAKE_RUNNER_CONTRACT, type WakeEvent, type WakeRequest } from '../../core/ports/wake-runner.ts';
import { AgentcomError, defineWakeRunner, Type, wakeEvents, type DefinedRunner } from '../../plugins/plugin.ts';
import { aGeneration, anAgentId, aTaskId } from '../product/contracts/fixtures.ts';
import { all } from '../product/contracts/runner/wake-runner.contract.ts';

const deps = { agentId: 'a1', baseDir: '/', dataDir: '/', clock: virtualClock(), log: silentLog };
const request = {
  ...{ taskId: aTaskId(1), generation: aGeneration(1), agentId: anAgentId(), runId: 'run-of-nobody' },
  ...{ task: { description: 'x' }, taskFile: '/t', resultsDir: '/r', runDir: '/nowhere' },
};
const never = new AbortController().signal;

const beep = defineWakeRunner({
  name: 'beep',
  options: Type.Object({
    times: Type.Integer({ minimum: 1 }),
    tone: Type.Optional(Type.Union([Type.Literal('high'), Type.Literal('low')])),
    names: Type.Optional(Type.Array(Type.String())),
    extra: Type.Optional(Type.Record(Type.String(), Type.Integer())),
  }),
  problems: ({ times, tone }) => (tone === 'low' && times > 3 ? [{ path: 'times', message: 'is at most 3 for a low tone' }] : []),
  create: ({ options, agentId }) => ({
    adoptable: false,
    wake: () => wakeEvents((emit) => emit({ type: 'progress', message: `${agentId} beeps ${String(options.times)} times` })),
  }),
});

void t.test('a third-party runner is configured first and created later', async (t) => {
  const choice = beep({ times: 2, tone: undefined, names: ['x'] as readonly string[], extra: { a: 1 } });
  t.match(choice, { port: 'wake-runner', name: 'beep', options: { times: 2 }, capabilities: { contract: WAKE_RUNNER_CONTRACT } });
  t.strictSame(choice.problems(), []);
  const runner = await choice.create(deps);
  t.strictSame(await all(runner.wake(request, never)), [{ type: 'progress', message: 'a1 beeps 2 times' }]);
});

void t.test('a runner that changes the task of a request changes a copy of it', async (t) => {
  const change = ({ task }: WakeRequest): AsyncIterable<WakeEvent> =>
    wakeEvents((emit) => {
      (task['metadata'] as Record<string, unknown>)['isSeen'] = true;
      return emit({ type: 'progress', message: JSON.stringify(task['metadata']) });
    });
  const define = defineWakeRunner({
    name: 'x',
    options: Type.Object({}),
    create: () => ({ adoptable: true, wake: change, attach: change }),
  });
  const runner = await define({}).create(deps);
  const held = { ...request, task: { description: 'x', metadata: {} } };
  for (const events of [runner.wake(held, never), runner.attach({ ...held, process: null }, never)])
    t.strictSame(await all(events), [{ type: 'progress', message: '{"isSeen":true}' }]);
  t.strictSame(held.task, { description: 'x', metadata: {} });
});

void t.test('mistakes in options are listed, first schema errors, then invalid values', async (t) => {
  // @ts-expect-error a misspelt option does not compile
  t.match(beep({ times: 0, tonne: 'high' }).problems(), [
    { path: 'tonne', message: 'there is no such option; did you mean "tone"?' },
    { path: 'times', message: 'expected a whole number, 1 or more, found 0' },
  ]);
  // @ts-expect-error nor does an option of another type
  t.match(beep({ times: '2' }).problems(), [{ path: 'times', message: 'expected a whole number, 1 or more, found a text of 1 character' }]);
  t.strictSame(beep({ times: 4, tone: 'low' }).problems(), [{ path: 'times', message: 'is at most 3 for a low tone' }]);
  await t.rejects(beep({ times: 4, tone: 'low' }).create(deps), {
    code: 'AC_CONFIG_INVALID',
    message: 'The options of the wake runner "beep" are invalid:\n  times: is at most 3 for a low tone',
  });
});

void t.test('no problem shows a value, which may be a secret', (t) => {
  const problems = beep({ times: 'hunter2', names: [7], extra: { key: 'hunter2' } } as never).problems();
  t.equal(problems.length, 3);
  t.notMatch(JSON.stringify(problems), /hunter2/);
  t.end();
});

void t.test('anything that is not a runner is refused', async (t) => {
  const wake = (): AsyncIterable<WakeEvent> => wakeEvents(() => Promise.resolve());
  for (const [made, found] of [
    [undefined, /found undefined\./],
    [42, /found 42\./],
    [{ adoptable: false }, /found \{ adoptable \}/],
    [{ wake }, /found \{ wake \}/],
    [{ adoptable: true, wake }, /attach\(\) if adoptable/],
    [{ adoptable: false, wake, check: 5 }, /expected check\(\) or no check, found 5\./],
    [{ adoptable: false, wake, attach: 'x' }, /expected attach\(\) or no attach, found "x"\./],
  ] as const) {
    const odd = defineWakeRunner({ name: 'odd', options: Type.Object({}), create: () => made as unknown as DefinedRunner });
    await t.rejects(odd({}).create(deps), { code: 'AC_PLUGIN_INVALID', message: found });
  }
});

// Before, they were internal errors that asked the user to report them.
void t.test('a runner that cannot be created is reported as an error of its plugin', async (t) => {
  const failing = (thrown: Error) =>
    defineWakeRunner({ name: 'odd', options: Type.Object({}), create: () => Promise.reject(thrown) })({}).create(deps);
  const cause = new Error('no licence');
  await t.rejects(failing(cause), {
    code: 'AC_PLUGIN_INVALID',
    message: /^The wake runner "odd" cannot be created: its create\(\) threw: no licence\. AGENTCOM_DEBUG=1 shows where\./,
    cause,
  });
  await t.rejects(failing(new AgentcomError('AC_PACKAGE_MISSING', 'no package')), { code: 'AC_PACKAGE_MISSING' });
});

void t.test('a create() that does not resolve in time is an error of its plugin', async (t) => {
  const clock = virtualClock();
  const stuck = defineWakeRunner({ name: 'stuck', options: Type.Object({}), create: () => new Promise(() => undefined) });
  const creating = stuck({}).create({ ...deps, clock });
  clock.advance(30_000);
  const message = /^The wake runner "stuck" cannot be created: its create\(\) did not resolve within 30 s\./;
  await t.rejects(creating, { code: 'AC_PLUGIN_INVALID', message });
  t.equal(clock.pending, 0);
});

void t.test('an invalid definition is refused where it is defined', (t) => {
  const options = Type.Object({});
  const create = (): never => t.fail('not called') as never;
  for (const [definition, found] of [
    [undefined, /without a name is invalid: .*found undefined\.$/],
    [{ options, create }, /without a name is invalid: .*found \{ options, create \}\.$/],
    [{ name: 'odd', create }, /"odd" is invalid: defineWakeRunner wants .*, found \{ name, create \}\.$/],
    [{ name: 'odd', options: { argv: [] }, create }, /options: Type\.Object\(\{ … \}\)/],
    [
      { name: 'odd', options: { type: 'object' }, create },
      /options: Type\.Object\(\{ … \}\), create\(\) \}, found .*, whose options have no properties\.$/,
    ],
    [{ name: 'odd', options }, /found \{ name, options \}\.$/],
  ] as const)
    t.throws(() => defineWakeRunner(definition as never), { code: 'AC_PLUGIN_INVALID', message: found });
  t.end();
});

void t.test('a runner without attach still handles what is left of its runs', async (t) => {
  const runner = await beep({ times: 1 }).create(deps);
  t.match(await all(runner.attach({ ...request, process: null }, never)), [{ type: 'exited', exitCode: null, signal: null }]);
});

void t.test('a runner may be an instance of a class', async (t) => {
  class Counter {
    readonly adoptable = false;
    wakes = 0;
    wake(): AsyncIterable<WakeEvent> {
      this.wakes += 1;
      return wakeEvents((emit) => emit({ type: 'progress', percent: this.wakes }));
    }
    check() {
      return Promise.resolve([{ check: 'wakes', ok: true, message: String(this.wakes) }]);
    }
  }
  const runner = await defineWakeRunner({ name: 'counter', options: Type.Object({}), create: () => new Counter() })({}).create(deps);
  t.strictSame(await all(runner.wake(request, never)), [{ type: 'progress', percent: 1 }]);
  t.match(await runner.check?.(), [{ message: '1' }]);
});

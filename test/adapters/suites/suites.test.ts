/** Requirements for the suites themselves: any test runner can run them, none misses a fault, and no subject can exempt itself. */
import { spawnSync } from 'node:child_process';
import t, { test as testOfTap } from 'tap';
import { builtTree } from '../../rig/built-tree.ts';
import { fits, inSuite, type ContractCase, type TestRunner } from '../../product/contracts/contract-case.ts';
import type { InboxSubject } from '../../product/contracts/files/inbox-place.ts';
import { journalContract } from '../../product/contracts/files/journal.contract.ts';
import { resultInboxContract } from '../../product/contracts/files/result-inbox.contract.ts';
import { wakeRunnerContract } from '../../product/contracts/runner/wake-runner.contract.ts';
import { storageContract } from '../../product/contracts/storage/storage.contract.ts';
import { hubTransportContract } from '../../product/contracts/wire/hub-transport.contract.ts';
import { memoryInboxSubject, memoryJournalSubject, memoryStorageSubject, memoryWireSubject, scriptedSubject } from './twin-subjects.ts';

const PORTS = ['Storage', 'HubTransport', 'HubLink', 'Journal', 'ResultInbox', 'WakeRunner', 'Clock', 'Ids', 'Log'];

/** Runs a file with `node --test`, and returns what it printed. */
const underNode = (file: string) =>
  spawnSync(process.execPath, ['--test', '--test-reporter=tap', builtTree().compiled(file)], { encoding: 'utf8' });

t.test('every suite also runs completely under node:test, over adapters that only forward to others', async (t) => {
  const { status, stdout } = underNode('test/adapters/suites/under-node.ts');
  t.equal(status, 0, stdout);
  for (const port of PORTS) t.match(stdout, new RegExp(`^ *ok \\d+ - ${port} contract, `, 'm'));
  t.match(stdout, /^# fail 0$/m);
  t.match(stdout, /^# skipped 0$/m);
});

t.test('under node:test a broken adapter fails exactly the case of the promise that it breaks', async (t) => {
  const { status, stdout } = underNode('test/adapters/suites/broken-under-node.ts');
  t.equal(status, 1);
  const red = [...stdout.matchAll(/^ *not ok \d+ - (.* contract, .*)$/gm)].map(([, title]) => title);
  t.strictSame(red, [
    'Journal contract, broken: stores reports by name, across restarts',
    'Clock contract, broken: fires once, never early, and never synchronously',
    'Clock contract, broken: does not fire after cancel, even if cancel is called repeatedly',
    'Clock contract, broken: a timer can cancel another one due at the same moment, and start new ones',
    'Clock contract, broken: treats a negative delay as 0, and refuses anything that is not a number',
  ]);
});

t.test('a suite runs with the test function that tap exports, and leaves a method its object', async (t) => {
  const ran: string[] = [];
  const addTo = (name: string, runner: TestRunner): void =>
    inSuite(name, runner, (test) => test('its case', async () => void ran.push(name)));
  t.doesNotThrow(() => addTo('the function of tap', { test: testOfTap }));
  class Methodical implements TestRunner {
    readonly #bodies: Promise<void>[] = [];
    get ended(): Promise<unknown> {
      return Promise.all(this.#bodies);
    }
    test(_title: string, body: () => Promise<void>): void {
      this.#bodies.push(body());
    }
  }
  const methodical = new Methodical();
  addTo('a method', methodical);
  await methodical.ended;
  t.strictSame(ran, ['a method'], 'tap queues its case until this test has ended');
});

/** Runs the cases with such titles in order, and records how each ended. */
function recorder(titles = /./): { readonly runner: TestRunner; readonly ends: Promise<unknown>[] } {
  const ends: Promise<unknown>[] = [];
  const test: TestRunner['test'] = (title, body) => {
    if (!titles.test(title)) return;
    ends.push(
      body().then(
        () => 'green',
        (thrown: unknown) => thrown,
      ),
    );
  };
  return { runner: { test }, ends };
}

async function endOf(body: (t: ContractCase) => Promise<void>): Promise<unknown> {
  const { runner, ends } = recorder();
  inSuite('a suite', runner, (test) => test('a case', body));
  return ends[0];
}

t.test('a swallowed assertion still fails its case, and teardowns run in reverse order', async (t) => {
  const done: string[] = [];
  t.equal(await endOf(async (c) => c.teardown(() => done.push('released'))), 'green');
  const swallowed = await endOf(async (c) => {
    c.teardown(() => done.push('first'));
    c.teardown(() => done.push('second'));
    await Promise.allSettled([Promise.resolve().then(() => c.equal(1, 2, 'one is two'))]);
  });
  t.match(swallowed, { message: /^one is two: / });
  t.strictSame(done, ['released', 'second', 'first']);
  const both = await endOf(async (c) => {
    c.teardown(() => Promise.reject(new Error('it stays')));
    throw new Error('it broke');
  });
  t.match(both, { message: 'it broke\nit stays' });
});

t.test('each assertion fails when it should, and reports the expected and the found value', async (t) => {
  const red: readonly (readonly [(c: ContractCase) => unknown, told: RegExp | string])[] = [
    [(c) => c.ok(0), 'expected a value that counts as true, found 0'],
    [(c) => c.notOk(1, 'over'), 'over: expected a value that counts as false, found 1'],
    [(c) => c.equal(1, '1'), "expected '1', found 1"],
    [(c) => c.not(1, 1), 'expected anything but 1'],
    [(c) => c.strictSame({ a: 1 }, { a: '1' }), "expected { a: '1' }, found { a: 1 }"],
    [(c) => c.strictSame(['a'.repeat(80)], []), /^expected \[\]\nfound \[\n? *'a+'\n?\]/],
    [(c) => c.match({ a: 1 }, { a: 2 }), 'expected what fits { a: 2 }, found { a: 1 }'],
    [(c) => c.rejects(Promise.resolve(), { code: 'X' }), "expected a failure that fits { code: 'X' }, found none"],
    [(c) => c.rejects(Promise.reject(new Error('a')), { message: 'b' }), /^expected what fits \{ message: 'b' \}\nfound Error: a/],
    [(c) => c.throws(() => 1), 'expected a failure that fits {}, found none'],
    [(c) => c.doesNotThrow(() => JSON.parse('{')), /^expected no failure, found SyntaxError/],
    [(c) => c.fail('no'), 'no'],
  ];
  for (const [assertion, pattern] of red)
    t.match(await endOf(async (c) => void (await assertion(c))), { name: /Error/, message: pattern }, String(assertion));
  const green = endOf(async (c) => {
    c.ok(1);
    c.notOk('');
    c.equal(NaN, NaN);
    c.not(1, 2);
    c.strictSame({ a: [1] }, { a: [1] });
    await c.rejects(Promise.reject(new Error('a')), { message: /a/ });
    c.throws(() => JSON.parse('{'), { name: 'SyntaxError' });
    c.doesNotThrow(() => 1);
  });
  t.equal(await green, 'green');
});

t.test('a match checks named members, list lengths, patterns in text and types', async (t) => {
  const found = { a: 1, list: [{ b: 'two words' }], none: null };
  for (const wanted of [{}, { a: 1 }, { a: Number }, { list: [{}] }, { list: [{ b: /two/ }] }, { list: { length: 1 } }, { none: null }])
    t.ok(fits(found, wanted), JSON.stringify(wanted));
  for (const wanted of [
    { a: 2 },
    { a: String },
    { list: [] },
    { list: [{}, {}] },
    { list: [{ b: 'two' }] },
    { none: undefined },
    { c: null },
  ])
    t.notOk(fits(found, wanted), JSON.stringify(wanted));
});

t.test('an obsolete option that skipped cases is refused, with its replacement named', async (t) => {
  const runner = recorder().runner;
  const storage = memoryStorageSubject(false);
  const wire = memoryWireSubject();
  const cases: readonly (readonly [add: () => void, told: RegExp])[] = [
    [() => storageContract('x', { ...storage, unopenable: null as never }, runner), /unopenable.*capabilities\.durable/],
    [() => storageContract('x', { ...storage, capabilities: undefined as never }, runner), /capabilities.*durable, shared/],
    [() => storageContract('x', { ...storage, capabilities: { durable: true, shared: false } }, runner), /give its subject unopenable\(\)/],
    [() => hubTransportContract('x', { ...wire, onTcp: false } as never, runner), /onTcp.*capabilities\.tcp/],
    [() => hubTransportContract('x', { ...wire, takesUnmasked: true } as never, runner), /takesUnmasked.*capabilities\.checksMask/],
    [() => hubTransportContract('x', { ...wire, reach: undefined }, runner), /reach: \{ fetch, upgradeStatus \}/],
    [() => journalContract('x', { ...memoryJournalSubject, unwritable: null as never }, runner), /unwritable.*open\(\) fails/],
    [() => wakeRunnerContract('x', (() => scriptedSubject) as never, runner), /processSubject/],
    [() => wakeRunnerContract('x', { ...scriptedSubject, follows: undefined as never }, runner), /output, files, nothing/],
    [() => storageContract('x', storage, undefined as never), /expected \{ test \}.*node:test/],
  ];
  for (const [add, pattern] of cases) t.throws(add, { name: 'TypeError', message: pattern }, String(pattern));
});

t.test('a missing feature of a world or place fails the cases that need it, and states what is wanted', async (t) => {
  const worldWith = (option: object) => async () => ({ ...(await scriptedSubject.world()), ...option });
  const oddless: InboxSubject = { place: async (t) => ({ ...(await memoryInboxSubject.place(t)), odd: null as never }) };
  const claimed = { ...memoryStorageSubject(false), capabilities: { durable: true, shared: false }, unopenable: () => Promise.resolve([]) };
  const cases: readonly (readonly [title: RegExp, add: (runner: TestRunner) => void, told: RegExp])[] = [
    [
      /cannot be started/,
      (runner) => wakeRunnerContract('x', { follows: 'files', world: worldWith({ onlyWakes: true }) }, runner),
      /onlyWakes.*follows: 'nothing'/,
    ],
    [
      /cannot be started/,
      (runner) => wakeRunnerContract('x', { follows: 'files', world: worldWith({ hidesRunIds: true }) }, runner),
      /hidesRunIds.*process\.platform/,
    ],
    [/follows no link/, (runner) => resultInboxContract('x', oddless, runner), /odd: \{ link, fifo, folder \}/],
    [/has the capabilities/, (runner) => storageContract('x', claimed, runner), /durable/],
    [/newer than this program/, (runner) => storageContract('x', claimed, runner), /makeNewer\(\)/],
    [/cannot be opened/, (runner) => storageContract('x', claimed, runner), /names storages that cannot be opened/],
  ];
  for (const [title, add, pattern] of cases) {
    const { runner, ends } = recorder(title);
    add(runner);
    t.equal(ends.length, 1, String(title));
    t.match(await ends[0], { message: pattern });
  }
});

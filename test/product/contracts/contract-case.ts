/**
 * The base of the suites. From a test runner they need one function that takes a title and a body: `test` of
 * `node:test`, of tap or of vitest. Assertions use `node:assert`, so that they fail with the same messages under each
 * of them.
 */
import assert, { AssertionError } from 'node:assert/strict';
import { inspect, isDeepStrictEqual } from 'node:util';

/** The test runner that runs a suite. */
export interface TestRunner {
  readonly test: (title: string, body: () => Promise<void>) => unknown;
}

/** Registers cleanup for the end of a test; the last one registered runs first. A test of tap has it too. */
export interface Teardown {
  teardown(letGo: () => unknown): void;
}

/** What a case of a suite receives. A failed assertion fails the case, even if an adapter swallows what is thrown. */
export interface ContractCase extends Teardown {
  ok(value: unknown, message?: string): void;
  notOk(value: unknown, message?: string): void;
  /** The same value. */
  equal(found: unknown, wanted: unknown, message?: string): void;
  not(found: unknown, unwanted: unknown, message?: string): void;
  /** Deeply equal. */
  strictSame(found: unknown, wanted: unknown, message?: string): void;
  /** Matches `wanted`, see `fits`. */
  match(found: unknown, wanted: unknown, message?: string): void;
  /** Rejects, with an error that matches `wanted`. */
  rejects(work: Promise<unknown>, wanted?: object, message?: string): Promise<void>;
  throws(act: () => unknown, wanted?: object, message?: string): void;
  doesNotThrow(act: () => unknown, message?: string): void;
  fail(message: string): never;
}

/** Adds a case to a suite. */
export type CaseTest = (title: string, body: (t: ContractCase) => Promise<void>) => void;

/** Creates the function that adds cases to a suite; each title begins with the name of the suite. */
export function inSuite(suite: string, runner: TestRunner, addCases: (test: CaseTest) => void): void {
  if (typeof (runner as Partial<TestRunner> | undefined)?.test !== 'function') {
    throw new TypeError(
      `${suite}: the last argument is the test runner; expected { test }, found ${inspect(runner, { depth: 0 })}. ` +
        "Pass one, such as: import { test } from 'node:test'.",
    );
  }
  // The `test` that tap exports refuses to be a method of another object; a test of `node:test` needs to stay its method.
  const { test } = runner;
  const self = Object.hasOwn(runner, 'test') ? undefined : runner;
  addCases((title, body) => void test.call(self, `${suite}: ${title}`, () => played(body)));
}

/** Throws if a subject has an option that was removed, and names its replacement. */
export function refuseOptions(suite: string, subject: object, gone: Readonly<Record<string, string>>): void {
  for (const [option, instead] of Object.entries(gone)) {
    if (Object.hasOwn(subject, option))
      throw new TypeError(`${suite}: its subject has ${option}, which is no longer an option. ${instead}`);
  }
}

const KINDS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [String, 'string'],
  [Number, 'number'],
  [Boolean, 'boolean'],
]);

/**
 * Whether `found` matches `wanted`: an object has every named member, a list has the same length, a RegExp is found in
 * a text, `String`, `Number` and `Boolean` stand for any such value, and everything else is the same value.
 */
export function fits(found: unknown, wanted: unknown): boolean {
  if (wanted instanceof RegExp) return typeof found === 'string' && wanted.test(found);
  const kind = KINDS.get(wanted);
  if (kind !== undefined) return typeof found === kind;
  if (typeof wanted !== 'object' || wanted === null) return Object.is(found, wanted);
  if (typeof found !== 'object' || found === null) return false;
  if (Array.isArray(wanted) && (!Array.isArray(found) || found.length !== wanted.length)) return false;
  return Object.entries(wanted).every(([name, value]) => fits((found as Readonly<Record<string, unknown>>)[name], value));
}

async function played(body: (t: ContractCase) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  const held: (() => unknown)[] = [];
  const attempt = async (work: () => unknown): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      if (!failures.includes(thrown)) failures.push(thrown);
    }
  };
  await attempt(() => body(contractCase(failures, held)));
  for (let letGo = held.pop(); letGo !== undefined; letGo = held.pop()) await attempt(letGo);
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, failures.map((failure) => messageOf(failure)).join('\n'));
}

function contractCase(failures: unknown[], held: (() => unknown)[]): ContractCase {
  const check = (assertion: () => void, message: string | undefined): void => {
    try {
      assertion();
    } catch (thrown) {
      if (message !== undefined && thrown instanceof Error) thrown.message = `${message}: ${thrown.message}`;
      failures.push(thrown);
      throw thrown;
    }
  };
  const truth = (value: unknown, wanted: boolean): void => {
    if (Boolean(value) !== wanted) refuse(`a value that counts as ${String(wanted)}`, { found: value, wanted, operator: 'ok' });
  };
  const same = (found: unknown, wanted: unknown, isSame: boolean, operator: string): void => {
    if (!isSame) refuse(shown(wanted), { found, wanted, operator });
  };
  const fitting = (found: unknown, wanted: unknown): void => {
    if (!fits(found, wanted)) refuse(`what fits ${shown(wanted)}`, { found, wanted, operator: 'match' });
  };
  const failing = (outcome: Outcome, wanted: object): void => {
    if (outcome.hasFailed) fitting(outcome.thrown, wanted);
    else assert.fail(`expected a failure that fits ${shown(wanted)}, found none`);
  };

  return {
    teardown: (letGo) => void held.push(letGo),
    ok: (value, message) => check(() => truth(value, true), message),
    notOk: (value, message) => check(() => truth(value, false), message),
    equal: (found, wanted, message) => check(() => same(found, wanted, Object.is(found, wanted), 'strictEqual'), message),
    not: (found, unwanted, message) =>
      check(() => assert.notStrictEqual(found, unwanted, `expected anything but ${shown(found)}`), message),
    strictSame: (found, wanted, message) => check(() => same(found, wanted, isDeepStrictEqual(found, wanted), 'deepStrictEqual'), message),
    match: (found, wanted, message) => check(() => fitting(found, wanted), message),
    async rejects(work, wanted = {}, message) {
      const outcome = await outcomeOf(work);
      check(() => failing(outcome, wanted), message);
    },
    throws(act, wanted = {}, message) {
      const outcome = outcomeOfCall(act);
      check(() => failing(outcome, wanted), message);
    },
    doesNotThrow(act, message) {
      const { hasFailed, thrown } = outcomeOfCall(act);
      check(() => (hasFailed ? assert.fail(`expected no failure, found ${shown(thrown)}`) : undefined), message);
    },
    fail(message) {
      check(() => assert.fail(message), undefined);
      throw new Error(message);
    },
  };
}

const shown = (value: unknown): string => inspect(value, { depth: 8 });

/** Longer values are printed below each other. */
const LINE_CHARACTERS = 80;

function refuse(wanted: string, failure: { readonly found: unknown; readonly wanted: unknown; readonly operator: string }): never {
  const found = shown(failure.found);
  const isShort = wanted.length + found.length <= LINE_CHARACTERS && !`${wanted}${found}`.includes('\n');
  const message = isShort ? `expected ${wanted}, found ${found}` : `expected ${wanted}\nfound ${found}`;
  throw new AssertionError({ message, actual: failure.found, expected: failure.wanted, operator: failure.operator });
}

interface Outcome {
  readonly hasFailed: boolean;
  readonly thrown: unknown;
}

const outcomeOf = (work: Promise<unknown>): Promise<Outcome> =>
  work.then(
    () => ({ hasFailed: false, thrown: undefined }),
    (thrown: unknown) => ({ hasFailed: true, thrown }),
  );

function outcomeOfCall(act: () => unknown): Outcome {
  try {
    act();
    return { hasFailed: false, thrown: undefined };
  } catch (thrown) {
    return { hasFailed: true, thrown };
  }
}

const messageOf = (failure: unknown): string => (failure instanceof Error ? failure.message : inspect(failure));

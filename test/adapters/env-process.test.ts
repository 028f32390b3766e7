import t from 'tap';
import { env, envOver } from '../../adapters/env-process/env.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

const VARIABLES: Readonly<Record<string, string>> = {
  TEXT: 'a b',
  EMPTY: '',
  PORT: ' 4000',
  LONG: 'x'.repeat(100),
  YES: 'TRUE',
  ONE: '1',
  NO: 'false',
  ZERO: '0',
  HUGE: '9007199254740993',
  HEX: '0x10',
};
const some = envOver((name) => VARIABLES[name]);

t.test('reads a variable, its default, or throws an error', async (t) => {
  t.equal(some('TEXT'), 'a b');
  t.equal(some('TEXT', 'other'), 'a b');
  t.equal(some('NONE', 'other'), 'other');
  t.equal(some('EMPTY', 'other'), 'other', 'empty counts as not set');
  t.equal(some.optional('TEXT'), 'a b');
  t.equal(some.optional('NONE'), undefined);
  t.equal(some.optional('EMPTY'), undefined);
  t.equal(some.integer('PORT', 1), 4000);
  t.equal(some.integer('NONE', 0), 0);
  t.equal(some.boolean('YES'), true);
  t.equal(some.boolean('ONE'), true);
  t.equal(some.boolean('NO'), false);
  t.equal(some.boolean('ZERO', true), false);
  t.equal(some.boolean('NONE', false), false);
});

t.test('a bad value throws at once and names the variable', async (t) => {
  const cases: readonly (readonly [string, () => unknown, RegExp])[] = [
    ['missing', () => some('NONE'), /variable NONE is not set; expected a text\. Set NONE/],
    ['empty', () => some('EMPTY'), /variable EMPTY is not set/],
    ['missing number', () => some.integer('NONE'), /NONE is not set; expected a whole number/],
    ['not a number', () => some.integer('TEXT', 1), /TEXT is invalid: expected a whole number, such as 4000, found "a b"/],
    ['hexadecimal', () => some.integer('HEX'), /HEX is invalid/],
    ['too large to be exact', () => some.integer('HUGE'), /HUGE is invalid/],
    ['neither', () => some.boolean('TEXT'), /TEXT is invalid: expected true or false/],
    ['long', () => some.integer('LONG'), /found "x{40}…"/],
  ];
  for (const [name, read, message] of cases) {
    t.throws(read, { code: 'AC_ENV_INVALID', message }, name);
    try {
      read();
    } catch (thrown) {
      t.ok(AgentcomError.is(thrown, 'AC_ENV_INVALID'));
    }
  }
});

t.test('env reads the environment of the process on each call', async (t) => {
  t.equal(env.optional('AGENTCOM_TEST_ENV_PROCESS'), undefined);
  process.env['AGENTCOM_TEST_ENV_PROCESS'] = '7';
  t.teardown(() => delete process.env['AGENTCOM_TEST_ENV_PROCESS']);
  t.equal(env.integer('AGENTCOM_TEST_ENV_PROCESS'), 7);
});

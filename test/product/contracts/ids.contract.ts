/** What every `Ids` must do. */
import { isTaskId } from '../../../core/domain/ids.ts';
import type { Ids } from '../../../core/ports/chance.ts';
import { inSuite, type TestRunner } from './contract-case.ts';

/** Enough to fill several milliseconds' worth of a counter. */
const MANY = 200_000;

/** Ids under test. */
export interface IdsSubject {
  /** Ids as a new process makes them. */
  fresh(): Ids;
}

/** Adds the suite; `name` stands in the titles. */
export const idsContract = (name: string, { fresh }: IdsSubject, runner: TestRunner): void => {
  inSuite(`Ids contract, ${name}`, runner, (test) => {
    test('task ids are well formed, and each sorts after every one before', async (t) => {
      const ids = fresh();
      let last = '';
      for (let n = 0; n < MANY; n += 1) {
        const id = ids.task();
        if (!isTaskId(id) || !/^task-[0-9a-f]{32}$/.test(id)) t.fail(`not a task id: ${id}`);
        if (id <= last) t.fail(`${id} does not sort after ${last}`);
        last = id;
      }
      t.not(last, '');
    });

    test('random ids are a prefix and 128 bits, and unique', async (t) => {
      const ids = fresh();
      const made = Array.from({ length: 10_000 }, () => ids.random('run'));
      t.ok(made.every((id) => /^run-[0-9a-f]{32}$/.test(id)));
      t.equal(new Set(made).size, made.length);
      t.ok(bitsThatVary(made.map((id) => id.slice(4))) === 128, 'every bit is sometimes 0 and sometimes 1');
    });

    test('secrets are 256 bits that are safe in a header, a file and a shell word', async (t) => {
      const ids = fresh();
      const made = Array.from({ length: 1_000 }, () => ids.secret());
      t.ok(made.every((secret) => /^[0-9a-f]{64}$/.test(secret)));
      t.equal(new Set(made).size, made.length);
      t.equal(bitsThatVary(made), 256);
    });

    test('jitter is spread from 0 up to, but not including, 1', async (t) => {
      const ids = fresh();
      const tenths = Array<number>(10).fill(0);
      for (let n = 0; n < 10_000; n += 1) {
        const value = ids.jitter();
        if (!(value >= 0 && value < 1)) t.fail(`${value}`);
        const tenth = Math.floor(value * 10);
        tenths[tenth] = (tenths[tenth] ?? 0) + 1;
      }
      // 1,000 each on average; 800 is more than six deviations away.
      t.ok(
        tenths.every((count) => count > 800 && count < 1_200),
        `${tenths}`,
      );
    });
  });
};

/** How many of the bits differ somewhere among these hexadecimal texts. */
const bitsThatVary = (texts: readonly string[]): number => {
  const first = BigInt(`0x${texts[0]}`);
  let varied = 0n;
  for (const text of texts) varied |= first ^ BigInt(`0x${text}`);
  return varied.toString(2).replaceAll('0', '').length;
};

/** What every `Log` must do. */
import type { Log } from '../../../core/ports/log.ts';
import { inSuite, type Teardown, type TestRunner } from './contract-case.ts';

/** A log, and what was logged. */
export interface FreshLog {
  readonly log: Log;
  /** What was logged since the last call, oldest first, fields in any order. */
  lines(): readonly { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[];
}

/** A log under test. */
export interface LogSubject {
  /** A new log at debug level. */
  fresh(t: Teardown): FreshLog;
}

/** Adds the suite; `name` appears in the titles. */
export const logContract = (name: string, { fresh }: LogSubject, runner: TestRunner): void => {
  inSuite(`Log contract, ${name}`, runner, (test) => {
    test('logs each message at its level, with its fields, in order', async (t) => {
      const { log, lines } = fresh(t);
      log.debug('one');
      log.info('two', { taskId: 'task-1', count: 2, none: null });
      log.warn('three %s 100%', { list: [1, { deep: true }] });
      log.error('four\nlines\u0007', { text: '"\n\u001b[31m' });
      t.strictSame(lines(), [
        { level: 'debug', message: 'one', fields: {} },
        { level: 'info', message: 'two', fields: { taskId: 'task-1', count: 2, none: null } },
        { level: 'warn', message: 'three %s 100%', fields: { list: [1, { deep: true }] } },
        { level: 'error', message: 'four\nlines\u0007', fields: { text: '"\n\u001b[31m' } },
      ]);
    });

    test('with: adds fields to each line of the new log, inner fields win, the old log is unchanged', async (t) => {
      const { log, lines } = fresh(t);
      const hub = log.with({ part: 'hub', port: 1 });
      const session = hub.with({ port: 2, session: 3 });
      session.info('a', { session: 4 });
      hub.info('b');
      log.info('c');
      t.strictSame(
        lines().map(({ fields }) => fields),
        [{ part: 'hub', port: 2, session: 4 }, { part: 'hub', port: 1 }, {}],
      );
    });

    test('never throws on any input, and logs the rest', async (t) => {
      const { log, lines } = fresh(t);
      const circle: Record<string, unknown> = {};
      circle['self'] = circle;
      const thrower = { toJSON: () => planted() };
      const odd: readonly Readonly<Record<string, unknown>>[] = [
        { circle },
        { big: 12n },
        { nothing: undefined, action: () => 1, symbol: Symbol('s') },
        { thrower },
        Object.defineProperty({}, 'getter', { enumerable: true, get: planted }),
        { error: new Error('outer', { cause: new Error('inner') }) },
        { error: Object.defineProperty(new Error('x'), 'stack', { get: planted }) },
        { map: new Map([[1, 2]]), date: new Date(NaN), nan: NaN },
        { level: 'fatal', time: 'never', pid: 'x', msg: 'other', message: 'other' },
        Object.create(null) as Record<string, unknown>,
      ];
      for (const fields of odd) {
        t.doesNotThrow(() => log.info('odd', fields));
        t.doesNotThrow(() => log.with(fields).info('odd'));
      }
      t.strictSame(
        lines().map(({ level, message }) => [level, message]),
        Array.from({ length: odd.length * 2 }, () => ['info', 'odd']),
      );
    });
  });
};

const planted = (): never => {
  throw new Error('planted');
};

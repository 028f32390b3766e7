/** How a listener treats a line, before any dialect has read it. */
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import type { Acceptable } from '../../../core/domain/task/task.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import { claudeDialect } from '../../../plugins/claude-code/dialect.ts';
import { codexDialect } from '../../../plugins/codex/dialect.ts';
import { opencodeDialect } from '../../../plugins/opencode/dialect.ts';
import type { AgentDialect } from '../../../plugins/plugin.ts';
import { outputListener } from '../../../plugins/run-kit/agent/output-listener.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';

const listenerOf = <State>(
  dialect: AgentDialect<State>,
  {
    clock = systemClock(),
    idleMs,
    accepts = [],
  }: { readonly clock?: Clock; readonly idleMs?: number; readonly accepts?: readonly Acceptable[] } = {},
) =>
  outputListener({
    dialect,
    session: null,
    accepts: new Set(accepts),
    times: { startWithinMs: undefined, idleMs, resultGraceMs: 0 },
    stderrIsLife: false,
    clock,
    emit: () => Promise.resolve(),
    explain: (outcome) => outcome,
    onSession: () => Promise.resolve(),
    onSettled: () => Promise.resolve(),
    onSessionGone: () => Promise.resolve(),
  });

t.test('R4: JSON on standard error is not program output: a tool server may log there', async (t) => {
  const reported = {
    claude: [claudeDialect({ failsWhenDenied: false }), { type: 'result', subtype: 'success', is_error: false, result: 'not its own' }],
    codex: [codexDialect({ model: 'm' }), { type: 'error', message: 'cannot reach the server of tools' }],
    opencode: [opencodeDialect({ model: 'm' }), { type: 'text', sessionID: 's', part: { text: 'not its own' } }],
  } as const;
  for (const [name, [dialect, line]] of Object.entries(reported)) {
    const text = JSON.stringify(line);
    const listener = listenerOf(dialect as AgentDialect<unknown>);
    t.same(await listener.onErrorLine?.(text), [], `${name}: on standard error`);
    t.not([(await listener.onLine(text)) ?? []].flat().length, 0, `${name}: on standard output it counts`);
    listener.close?.();
  }
});

t.test('R20: a flood of lines starts no timer for each, and silence is still noticed after the last one', async (t) => {
  const clock = virtualClock();
  let timers = 0;
  const counting: Clock = { ...clock, after: (ms, fire) => ((timers += 1), clock.after(ms, fire)) };
  const listener = listenerOf(codexDialect({ model: 'm' }), { clock: counting, idleMs: 1_000 });
  for (let ms = 0; ms < 10; ms += 1) {
    for (let line = 0; line < 1_000; line += 1) await listener.onLine('x');
    await clock.walk(100, () => Promise.resolve());
  }
  t.equal(timers, 10, 'one for each moment in which it printed something');
  await clock.walk(890, () => Promise.resolve());
  t.equal(listener.endSignal?.aborted, false);
  await clock.walk(20, () => new Promise((resolve) => setImmediate(resolve)));
  t.equal(listener.endSignal?.aborted, true);
  listener.close?.();
});

t.test('R4: of a run that is stopped, only what is a result of its task is reported', async (t) => {
  const result = (fields: object): string => JSON.stringify({ type: 'result', subtype: 'success', is_error: false, ...fields });
  const reportedBy = async (lines: readonly (string | null)[], isWhole = true, accepts: readonly Acceptable[] = []): Promise<unknown> => {
    const listener = listenerOf(claudeDialect({ failsWhenDenied: false }), { idleMs: 60_000, accepts });
    for (const line of lines) await (line === null ? listener.onDropped?.({ at: 0, isObject: true }) : listener.onLine(line));
    const event = await listener.onStopped?.(isWhole);
    t.equal(await listener.onStopped?.(isWhole), undefined, 'once');
    listener.close?.();
    return event?.type === 'completed' ? (event.output as { readonly text: string }).text : event;
  };
  t.equal(await reportedBy([result({ result: 'done' })]), 'done');
  t.equal(await reportedBy([]), undefined, 'it had not answered');
  t.equal(await reportedBy([result({ result: 'done' })], false), undefined, 'its output could not be read to the end');
  t.equal(await reportedBy([result({ result: 'done' }), null]), undefined, 'a later answer may be lost');
  t.equal(await reportedBy([result({ result: '' })]), undefined, 'it failed');
  t.equal(await reportedBy([result({ result: '' })], true, ['empty']), '', 'its task accepts that');
});

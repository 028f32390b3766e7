/** What a listener makes of a line, before any dialect has read it. */
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { claudeDialect } from '../../../plugins/claude-code/dialect.ts';
import { codexDialect } from '../../../plugins/codex/dialect.ts';
import { opencodeDialect } from '../../../plugins/opencode/dialect.ts';
import type { AgentDialect } from '../../../plugins/plugin.ts';
import { outputListener } from '../../../plugins/run-kit/agent/output-listener.ts';

const listenerOf = <State>(dialect: AgentDialect<State>) =>
  outputListener({
    dialect,
    session: null,
    accepts: new Set(),
    times: { startWithinMs: undefined, idleMs: undefined, resultGraceMs: 0 },
    stderrIsLife: false,
    clock: systemClock(),
    emit: () => Promise.resolve(),
    explain: (outcome) => outcome,
    onSession: () => Promise.resolve(),
    onSettled: () => Promise.resolve(),
    onSessionGone: () => Promise.resolve(),
  });

t.test('R4: JSON on standard error is not program output: a tool server may log there', async (t) => {
  const said = {
    claude: [claudeDialect({ failsWhenDenied: false }), { type: 'result', subtype: 'success', is_error: false, result: 'not its own' }],
    codex: [codexDialect({ model: 'm' }), { type: 'error', message: 'cannot reach the server of tools' }],
    opencode: [opencodeDialect({ model: 'm' }), { type: 'text', sessionID: 's', part: { text: 'not its own' } }],
  } as const;
  for (const [name, [dialect, line]] of Object.entries(said)) {
    const text = JSON.stringify(line);
    const listener = listenerOf(dialect as AgentDialect<unknown>);
    t.same(await listener.onErrorLine?.(text), [], `${name}: on standard error`);
    t.not([(await listener.onLine(text)) ?? []].flat().length, 0, `${name}: on standard output it says something`);
    listener.close?.();
  }
});

/** Every runner of an agent program keeps the contract, each with a program that speaks its language. */
import { claudeCode, codex, gemini, openclaw, opencode } from '../../plugins/runners.ts';
import { wakeRunnerContract } from '../contracts/wake-runner.contract.ts';
import { processSubject, type AgentWords } from './process-subject.ts';

const lines = (...said: readonly object[]): string => said.map((line) => `${JSON.stringify(line)}\n`).join('');

const CLAUDE: AgentWords = {
  started: lines({ type: 'system', subtype: 'init', session_id: 's' }),
  result: lines({ session_id: 's', is_error: false, subtype: 'success', result: 'done', type: 'result' }),
  failed: lines({ is_error: true, subtype: 'success', api_error_status: 500, result: 'API Error', type: 'result' }),
};
wakeRunnerContract('claude-code', () => processSubject((argv, deps) => claudeCode({ bin: argv }).create(deps), CLAUDE));

const CODEX: AgentWords = {
  started: lines({ type: 'thread.started', thread_id: 's' }, { type: 'turn.started' }),
  result: lines({ type: 'item.completed', item: { type: 'agent_message', text: 'done' } }, { type: 'turn.completed', usage: {} }),
  failed: lines({ type: 'turn.failed', error: { message: 'unexpected status 500' } }),
};
wakeRunnerContract('codex', () => processSubject((argv, deps) => codex({ bin: argv }).create(deps), CODEX));

const GEMINI: AgentWords = {
  started: lines({ type: 'init', session_id: 's', model: 'm' }),
  result: lines({ type: 'message', role: 'assistant', content: 'done', delta: true }, { type: 'result', status: 'success', stats: {} }),
  failed: lines({ type: 'result', status: 'error', error: { type: 'unknown', message: 'terminated' } }),
};
wakeRunnerContract('gemini', () => processSubject((argv, deps) => gemini({ bin: argv }).create(deps), GEMINI));

const OPENCODE: AgentWords = {
  started: lines({ type: 'step_start', sessionID: 's' }),
  result: lines(
    { type: 'text', sessionID: 's', part: { text: 'done' } },
    { type: 'step_finish', sessionID: 's', part: { reason: 'stop' } },
  ),
  failed: lines({ type: 'error', sessionID: 's', error: { name: 'APIError', data: { message: 'no', statusCode: 500 } } }),
  settlesAtEnd: true,
};
wakeRunnerContract('opencode', () => processSubject((argv, deps) => opencode({ bin: argv, model: 'a/b' }).create(deps), OPENCODE));

const OPENCLAW: AgentWords = {
  started: '',
  result: `${JSON.stringify({ ok: true, status: 'ok', final: 'done' }, null, 2)}\n`,
  failed: `${JSON.stringify({ ok: false, status: 'error', error: { message: 'HTTP 500' } }, null, 2)}\n`,
};
wakeRunnerContract('openclaw', () => processSubject((argv, deps) => openclaw({ bin: argv }).create(deps), OPENCLAW));

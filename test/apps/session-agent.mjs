// @ts-check
/**
 * Talks like Claude Code, with its sessions as files in SESSIONS_DIR/sessions. The words of SESSIONS_DIR/script
 * determine what each start does, in order: `die` once it has begun, `forget` (delete its session, and die), `hang`,
 * `answer`. Each start is recorded in SESSIONS_DIR/starts: its process, the session that it was given or `fresh`, and
 * its own.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env['SESSIONS_DIR'] ?? '.';
const say = (/** @type {object} */ line) => console.log(JSON.stringify(line));
const pathOf = (/** @type {string} */ id) => join(folder, 'sessions', id);

const [first, ...rest] = process.argv.slice(2);
if (first === '--version') console.log('9999.0.0 (Claude Code)');
else if (first === 'auth') say({ loggedIn: true });
else run(rest.includes('--resume') ? (rest[rest.indexOf('--resume') + 1] ?? null) : null);

/** @param {string | null} resumed */
function run(resumed) {
  const session = resumed ?? `s-${process.pid}`;
  appendFileSync(join(folder, 'starts'), `${process.pid} ${resumed ?? 'fresh'} ${session}\n`);
  const starts = readFileSync(join(folder, 'starts'), 'utf8').trim().split('\n').length;
  const act = readFileSync(join(folder, 'script'), 'utf8').trim().split(' ')[starts - 1];
  if (resumed !== null && !existsSync(pathOf(resumed))) {
    const errors = [`No conversation found with session ID: ${resumed}`];
    say({ type: 'result', subtype: 'error_during_execution', is_error: true, num_turns: 0, session_id: resumed, errors });
    process.exitCode = 1;
    return;
  }
  const turns = 1 + (existsSync(pathOf(session)) ? Number(readFileSync(pathOf(session), 'utf8')) : 0);
  mkdirSync(join(folder, 'sessions'), { recursive: true });
  writeFileSync(pathOf(session), String(turns));
  say({ type: 'system', subtype: 'init', session_id: session });
  const usage = { input_tokens: 100, output_tokens: 7 };
  say({ type: 'assistant', message: { id: `m-${turns}`, model: 'm', content: [{ type: 'tool_use', name: 'Bash' }], usage } });
  if (act === 'forget') rmSync(pathOf(session));
  if (act === 'hang') setInterval(() => undefined, 60_000);
  else if (act !== 'answer') process.exitCode = 1;
  else answer(session, turns);
}

/**
 * Totals are for the whole session.
 *
 * @param {string} session
 * @param {number} turns
 */
function answer(session, turns) {
  const used = (/** @type {number} */ runs) => ({ m: { inputTokens: 100 * runs, outputTokens: 7 * runs, costUSD: 0.01 * runs } });
  const usage = { modelUsage: used(turns), total_cost_usd: 0.01 * turns, model_usage_since_last_result: used(1) };
  say({ type: 'result', subtype: 'success', is_error: false, num_turns: 1, session_id: session, result: `turn ${turns}`, ...usage });
}

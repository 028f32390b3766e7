/**
 * An agent for tests that speaks ACP on its standard input and output, without the protocol's package: the code under
 * test must not be its own reference. The first argument selects its behavior; further ones are ignored.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, renameSync, watch, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const { AGENTCOM_TASK_ID: taskId = 'task', AGENTCOM_RESULTS_DIR: resultsDir = '.' } = process.env;
const [behavior = 'succeeds'] = process.argv.slice(2);
const RESULT = 'it is done';
const FLOOD_BYTES = 9 * 1024 * 1024;
const FLOOD_LINES = 20_000;
const BRACKETS = 200_000;
const PRINTED_BYTES = 65_536;
const STEP = 'tool-1';

/** Atomically, also when the agent is killed right after. */
function say(line) {
  const bytes = Buffer.from(`${typeof line === 'string' ? line : JSON.stringify({ jsonrpc: '2.0', ...line })}\n`);
  for (let from = 0; from < bytes.length;) {
    try {
      from += writeSync(1, bytes, from);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error; // The pipe is full.
    }
  }
}
const update = (change) => say({ method: 'session/update', params: { sessionId: session.id, update: change } });
const write = (text, messageId) =>
  update({ sessionUpdate: 'agent_message_chunk', ...(messageId ? { messageId } : {}), content: { type: 'text', text } });
const answer = (id, result) => say({ id, result });
const refuse = (id, code, message, data) => say({ id, error: { code, message, data } });
const note = (line) => appendFileSync(join(resultsDir, 'notes'), `${line}\n`);
const atWork = () => writeFileSync(join(resultsDir, `${taskId}.started`), '');

const session = { id: 'session-1' };
let openPrompt = null;
const USAGE = { inputTokens: 100, cachedReadTokens: 20, outputTokens: 5, totalTokens: 125 };

function succeed(usage = USAGE) {
  write(RESULT);
  answer(openPrompt, { stopReason: 'end_turn', usage });
  openPrompt = null;
}

/** Like tools and their servers. */
function complain() {
  const lines = [
    'warning: it is late',
    '{"type":"no such thing","level":"error","msg":"it is late"}',
    JSON.stringify({ jsonrpc: '2.0', id: openPrompt, result: { stopReason: 'end_turn' } }),
  ];
  writeSync(2, `${lines.join('\n')}\n${'.'.repeat(10_000)}`);
}

/** Until a file `end` appears. */
function work() {
  const endIfTold = () => {
    if (existsSync(join(resultsDir, 'end'))) process.exit(0);
  };
  watch(resultsDir, endIfTold);
  setInterval(() => write('tick '), 20);
  atWork();
  endIfTold();
}

function askPermission(kind) {
  say({
    id: 'ask-1',
    method: 'session/request_permission',
    params: {
      sessionId: session.id,
      toolCall: { toolCallId: STEP, title: `touch a file`, kind, status: 'pending' },
      options: [
        { optionId: 'reject_this', name: 'Yes', kind: 'allow_always' },
        { optionId: 'go', name: 'No', kind: 'allow_once' },
        { optionId: 'allow_once', name: 'Allow', kind: 'reject_once' },
      ],
    },
  });
}

/** What it does once it has its prompt. */
const behaviors = {
  ends: () => process.exit(0),
  fails() {
    console.error('it broke');
    process.exit(3);
  },
  works: work,
  'ignores-stop': work,
  'leaves-tools'() {
    spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref();
    // The shell around it ends at once, so that it becomes an orphan.
    spawn('sh', ['-c', '(setsid sleep 600 &)'], { stdio: 'ignore' }).on('exit', work);
  },
  succeeds: () => succeed(),
  /** Like a real one when its model refuses: a failure reported as a success. */
  'says-it-fails'() {
    update({ sessionUpdate: 'session_info_update', _meta: { codex: { threadStatus: { type: 'systemError' } } } });
    write('exceeded retry limit, last status: 429 Too Many Requests');
    answer(openPrompt, { stopReason: 'end_turn', usage: null });
  },
  'says-nothing': () => process.exit(0),
  hangs: atWork,
  'crashes-before-result': () => process.kill(process.pid, 'SIGKILL'),
  'crashes-after-result'() {
    succeed();
    process.kill(process.pid, 'SIGKILL');
  },
  'hangs-after-result'() {
    succeed();
    atWork();
    setInterval(() => undefined, 1_000);
  },
  'leaves-child'() {
    spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref();
    succeed();
  },
  floods() {
    say('x'.repeat(FLOOD_BYTES));
    say('['.repeat(BRACKETS));
    writeSync(1, Buffer.from([0xff, 0xfe, 0, 0x7b, 0x0a]));
    for (let i = 0; i < FLOOD_LINES; i += 1) say('{"type":"no such thing"}');
    succeed();
  },
  'says-in-parts'() {
    write(RESULT);
    const line = JSON.stringify({ jsonrpc: '2.0', id: openPrompt, result: { stopReason: 'end_turn', usage: USAGE } });
    writeSync(1, line.slice(0, line.length / 2));
    setTimeout(() => writeSync(1, `${line.slice(line.length / 2)}\n`), 200);
  },
  /** Like a model: some characters at a time. */
  'spells-a-key'() {
    for (const piece of ['The k', 'ey: sk-', 'ant-0123', '4567', '89-abcd', '.\nThat', ' is', ' all.']) write(piece, 'message-1');
    succeed();
  },
  'says-a-long-line'() {
    write('interim', 'message-1');
    write('x'.repeat(FLOOD_BYTES), 'message-2');
    answer(openPrompt, { stopReason: 'end_turn', usage: USAGE });
  },
  complains() {
    complain();
    succeed();
    complain();
  },
  'complains-and-hangs'() {
    complain();
    atWork();
    setInterval(complain, 50);
  },
  'says-no-line-end'() {
    write(RESULT);
    writeSync(1, JSON.stringify({ jsonrpc: '2.0', id: openPrompt, result: { stopReason: 'end_turn', usage: USAGE } }));
    process.exit(0);
  },
  'prints-without-end'() {
    for (;;) say('x'.repeat(PRINTED_BYTES));
  },
  'goes-on-after-result'() {
    succeed();
    spawn('sleep', ['0.3'], { stdio: 'ignore' }).on('exit', () => {
      write(RESULT);
      process.exit(0);
    });
  },
  'closes-input'() {
    closeSync(0);
    succeed();
    process.exit(0);
  },
  asks: () => askPermission('execute'),
  'asks-to-read': () => askPermission('read'),
  /** Calls tools without end. */
  calls() {
    let calls = 0;
    setInterval(() => update({ sessionUpdate: 'tool_call', toolCallId: `call-${(calls += 1)}`, title: 'look' }), 5);
  },
  spends: () => update({ sessionUpdate: 'usage_update', used: 1, size: 2, cost: { amount: 0.75, currency: 'USD' } }),
};
/** Those that ignore requests to end. */
const hasFailed = ['ignores-stop', 'outlives-input', 'hangs-after-result'].includes(behavior);
if (behavior === 'ignores-stop') process.on('SIGTERM', () => note('SIGTERM'));
if (behavior === 'outlives-input') {
  process.on('SIGTERM', () => {
    note('SIGTERM');
    process.exit(0);
  });
  setInterval(() => undefined, 1_000);
}

const methods = {
  initialize(id) {
    const sessionCapabilities = behavior === 'resumes' || behavior === 'forgets' ? { resume: {} } : {};
    const agentCapabilities = { loadSession: behavior === 'loads', sessionCapabilities };
    const agentInfo = { name: 'scripted', version: '9999.0.0' };
    if (behavior === 'says-no') refuse(id, -32_000, 'Authentication required');
    else answer(id, { protocolVersion: behavior === 'speaks-otherwise' ? 2 : 1, agentInfo, agentCapabilities });
  },
  'session/new'(id) {
    const models = [{ value: 'small', name: 'Small' }];
    answer(id, {
      sessionId: session.id,
      configOptions: [{ id: 'm', category: 'model', name: 'M', type: 'select', currentValue: 'small', options: models }],
    });
  },
  'session/resume'(id, params) {
    if (behavior === 'forgets') return refuse(id, -32_002, 'Resource not found');
    session.id = params.sessionId;
    answer(id, {});
  },
  'session/load'(id, params) {
    session.id = params.sessionId;
    // Like a real one: the history comes after the answer.
    answer(id, {});
    setTimeout(() => {
      write('an earlier answer');
      update({ sessionUpdate: 'tool_call', toolCallId: 'earlier', title: 'an earlier tool' });
    }, 50);
  },
  'session/set_config_option'(id, { configId, value }) {
    note(`${configId}=${value}`);
    answer(id, { configOptions: [] });
  },
  'session/prompt'(id, { prompt }) {
    openPrompt = id;
    writeFileSync(join(resultsDir, 'heard.part'), prompt[0].text);
    renameSync(join(resultsDir, 'heard.part'), join(resultsDir, 'heard'));
    (behaviors[behavior] ?? behaviors.succeeds)();
  },
  'session/cancel'() {
    note('session/cancel');
    if (hasFailed || openPrompt === null) return;
    answer(openPrompt, { stopReason: 'cancelled' });
  },
};

const hear = (line) => {
  const { id, method, params, result } = JSON.parse(line);
  note(method ?? `answer ${JSON.stringify(result)}`);
  if (method !== undefined) methods[method]?.(id, params);
  else if (id === 'ask-1') succeed();
};

// Not by node:readline, which ends lines at U+2028 too.
let unread = '';
process.stdin
  .setEncoding('utf8')
  .on('data', (text) => {
    const [first, ...others] = text.split('\n');
    unread += first;
    for (const next of others) {
      hear(unread);
      unread = next;
    }
  })
  .on('end', () => {
    note('end of input');
    if (!hasFailed) process.exit(0);
  });

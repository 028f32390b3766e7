/** The fake model does what the task says, in the format of each API. How the programs handle it: `npm run test:agents`. */
import t from 'tap';
import { fakeModel, WRONG_KEY } from './fake-model/fake-model.ts';
import { ANSWERS } from './answers.ts';
import { actFor, BEGUN_TEXT, doneText, OVER_TEXT, REFUSAL_TEXT } from './fake-model/script.ts';
import type { Turn } from './fake-model/model-api.ts';

const user = (text: string): Turn => ({ role: 'user', text });
const tool = (text: string): Turn => ({ role: 'tool', text });
const assistant = (text: string): Turn => ({ role: 'assistant', text });
const says = (text: string) => ({ kind: 'answer', answer: { text } });

t.test('the newest user message counts, and a tool is called once for it', async (t) => {
  const shell = user('do it: [[shell: ls -l]] now');
  const cases: readonly [string, readonly Turn[], readonly string[], unknown][] = [
    ['a call', [shell], ['Read', 'Bash'], { kind: 'answer', answer: { call: { name: 'Bash', args: { command: 'ls -l' } } } }],
    ['after it', [shell, tool('a b')], ['Bash'], says(doneText(1, 'a b'))],
    ['in a later turn', [shell, tool('a'), shell], ['exec_command'], { answer: { call: { args: { cmd: 'ls -l' } } } }],
    ['after that', [shell, tool('a'), shell, tool('b')], ['Bash'], says(doneText(2, 'b'))],
    ['no shell', [shell], ['Read'], says('there is no shell among Read')],
    ['a title', [shell], [], says('a title')],
    ['failing', [shell, user('[[status: 429]]')], ['Bash'], { kind: 'fail', what: 429 }],
    ['hanging', [user('[[hang]]')], ['Bash'], { kind: 'hang' }],
    ['nothing', [user('hello')], ['Bash'], says('nothing was asked')],
  ];
  for (const [title, turns, tools, wanted] of cases) t.match(actFor(turns, tools), wanted, title);
});

t.test('an outage or a context that is too long ends after some calls; calls apart from the work do not count', async (t) => {
  const before = [user('[[outage: 2 before ls]]')];
  t.match(actFor(before, ['Bash'], 1), { kind: 'fail', what: 503 });
  t.match(actFor(before, ['Bash'], 2), { answer: { call: { name: 'Bash', args: { command: 'ls' } } } });
  t.match(actFor(before, [], 0), says('a title'));
  const after = [user('[[outage: 2 after ls]]')];
  t.match(actFor(after, ['Bash'], 0), { answer: { call: { args: { command: 'ls' } } } });
  t.match(actFor([...after, tool('a')], ['Bash'], 1), { kind: 'fail', what: 503 });
  t.match(actFor([...after, tool('a')], ['Bash'], 2), says(doneText(1, 'a')));
  t.match(actFor([user('[[overflow]]')], ['Bash'], 0), { kind: 'fail', what: 'context' });
  t.match(actFor([user('[[overflow]]')], ['Bash'], 1), says('it continues after that'));
});

t.test('background work has ended once a message follows its start', async (t) => {
  const shell = [user('[[background: ls]]')];
  t.match(actFor(shell, ['Bash']), { answer: { call: { name: 'Bash', args: { command: 'ls', run_in_background: true } } } });
  t.match(actFor([...shell, assistant(''), tool('begun'), user('a reminder')], ['Bash']), says(BEGUN_TEXT));
  t.match(actFor([...shell, assistant(''), tool('begun'), assistant(BEGUN_TEXT), user('over')], ['Bash']), says(OVER_TEXT));
  t.match(actFor([user('[[subagent]]')], ['Bash', 'Task']), {
    answer: { call: { name: 'Task', args: { prompt: /shell: .*made by the tool/, run_in_background: true } } },
  });
});

const TASK = '[[shell: true]]';
const ask = (task: string): readonly (readonly [path: string, keyHeader: string, body: object])[] => [
  ['/v1/messages', 'x-api-key', { tools: [{ name: 'Bash' }], messages: [{ role: 'user', content: [{ type: 'text', text: task }] }] }],
  ['/v1/responses', 'authorization', { tools: [{ name: 'shell_command' }], input: [{ role: 'user', content: [{ text: task }] }] }],
  ['/v1/chat/completions', 'authorization', { tools: [{ function: { name: 'bash' } }], messages: [{ role: 'user', content: task }] }],
  [
    '/v1beta/models/m:generateContent',
    'x-goog-api-key',
    { tools: [{ functionDeclarations: [{ name: 'run_shell_command' }] }], contents: [{ role: 'user', parts: [{ text: task }] }] },
  ],
];
const headersOf = (header: string, key: string) => ({ [header]: header === 'authorization' ? `Bearer ${key}` : key });

t.test('each API works with and without streaming; calls are counted by key, and a wrong key is refused', async (t) => {
  const model = await fakeModel();
  t.teardown(() => model.close());
  for (const [path, header, body] of ask(TASK)) {
    const answerTo = async (key: string, place: string, more: object = {}) => {
      const headers = headersOf(header, key);
      const response = await fetch(`${model.url}${place}`, { method: 'POST', headers, body: JSON.stringify({ ...body, ...more }) });
      return { status: response.status, text: await response.text() };
    };
    const key = `key of ${path}`;
    const whole = await answerTo(key, path);
    t.match(whole, { status: 200, text: /"true/ }, `${path} calls the tool`);
    const streamed = await answerTo(key, path.replace(':generate', ':streamGenerate'), { stream: true });
    t.match(streamed, { status: 200, text: /^(event: .+\n)?data: \{[^]*"true/ }, `${path}, streamed`);
    t.match(model.calls(key), [{ status: 200, isAside: false, tokens: 127 }, { tokens: 127 }]);
    t.match(await answerTo(WRONG_KEY, path), { status: 401, text: /key|credentials/ });
  }
  t.equal((await fetch(`${model.url}/v1/elsewhere`, { method: 'POST' })).status, 404);
});

/** Status and text of each API: Anthropic's, OpenAI's two, Google's. */
const SAID: Readonly<Record<string, readonly (readonly [status: number, words: RegExp])[]>> = {
  credit: [
    [400, /"invalid_request_error".*credit balance is too low/],
    [429, /"insufficient_quota"/],
    [429, /"insufficient_quota"/],
    [429, /credits are depleted.*"RESOURCE_EXHAUSTED"/],
  ],
  'bad-key': [
    [401, /"authentication_error"/],
    [401, /"invalid_api_key"/],
    [401, /"invalid_api_key"/],
    [400, /"INVALID_ARGUMENT".*"API_KEY_INVALID"/],
  ],
  'no-model': [
    [404, /"not_found_error"/],
    [404, /"model_not_found"/],
    [404, /"model_not_found"/],
    [404, /models\/m is not found.*"NOT_FOUND"/],
  ],
  context: [
    [400, /prompt is too long: \d+ tokens > \d+ maximum/],
    [400, /"context_length_exceeded"/],
    [400, /"context_length_exceeded"/],
    [400, /input token count .* exceeds the maximum/],
  ],
  '503': [
    [503, /"api_error"/],
    [503, /"server_error"/],
    [503, /"server_error"/],
    [503, /"UNAVAILABLE"/],
  ],
  '529': [
    [529, /"overloaded_error"/],
    [529, /at capacity/],
    [529, /at capacity/],
    [529, /overloaded/],
  ],
  truncated: [
    [200, /"stop_reason":"max_tokens"/],
    [200, /"incomplete_details":\{"reason":"max_output_tokens"/],
    [200, /"finish_reason":"length"/],
    [200, /"finishReason":"MAX_TOKENS"/],
  ],
  refused: [
    [200, /"stop_reason":"refusal"/],
    [200, new RegExp(`"type":"refusal","refusal":"${REFUSAL_TEXT}"`)],
    [200, new RegExp(`"refusal":"${REFUSAL_TEXT}"`)],
    [200, /"finishReason":"SAFETY"/],
  ],
  filtered: [
    [200, /"stop_reason":"refusal"/],
    [200, /"incomplete_details":\{"reason":"content_filter"/],
    [200, /"finish_reason":"content_filter"/],
    [200, /"blockReason":"PROHIBITED_CONTENT"/],
  ],
  empty: [
    [200, /"content":\[\]/],
    [200, /"output":\[\]/],
    [200, /"content":""/],
    [200, /"content":\{"role":"model"\}/],
  ],
};

t.test('each failure and each short end has the format of its API', async (t) => {
  const model = await fakeModel();
  t.teardown(() => model.close());
  for (const [name, replies] of Object.entries(SAID)) {
    const { tag } = ANSWERS[name as keyof typeof ANSWERS];
    for (const [index, [path, header, body]] of ask(tag).entries()) {
      const request = { method: 'POST', headers: headersOf(header, name), body: JSON.stringify(body) };
      const response = await fetch(`${model.url}${path}`, request);
      const [status, words] = replies[index] as readonly [number, RegExp];
      t.match({ status: response.status, text: await response.text() }, { status, text: words }, `${name}: ${path}`);
    }
  }
});

t.test('a stream breaks off in the middle of its answer', async (t) => {
  const model = await fakeModel();
  t.teardown(() => model.close());
  for (const [path, header, body] of ask(ANSWERS.cut.tag)) {
    const request = { method: 'POST', headers: headersOf(header, path), body: JSON.stringify({ ...body, stream: true }) };
    const response = await fetch(`${model.url}${path.replace(':generate', ':streamGenerate')}`, request);
    t.equal(response.status, 200);
    await t.rejects(response.text(), path);
    t.match(model.calls(path), [{ status: 'cut', tokens: 0 }]);
  }
});

/** The made-up model does what the task says, in the words of each API. What the programs make of it: `npm run test:agents`. */
import t from 'tap';
import { fakeModel, WRONG_KEY } from './fake-model/fake-model.ts';
import { actFor, doneText } from './fake-model/script.ts';
import type { Turn } from './fake-model/model-api.ts';

const user = (text: string): Turn => ({ role: 'user', text });
const tool = (text: string): Turn => ({ role: 'tool', text });
const says = (text: string) => ({ kind: 'answer', answer: { text } });

t.test('the newest word of the user counts, and a tool is called once for it', async (t) => {
  const shell = user('do it: [[shell: ls -l]] now');
  const cases: readonly [string, readonly Turn[], readonly string[], unknown][] = [
    ['a call', [shell], ['Read', 'Bash'], { kind: 'answer', answer: { call: { name: 'Bash', args: { command: 'ls -l' } } } }],
    ['after it', [shell, tool('a b')], ['Bash'], says(doneText(1, 'a b'))],
    ['in a later turn', [shell, tool('a'), shell], ['exec_command'], { answer: { call: { args: { cmd: 'ls -l' } } } }],
    ['after that', [shell, tool('a'), shell, tool('b')], ['Bash'], says(doneText(2, 'b'))],
    ['no shell', [shell], ['Read'], says('there is no shell among Read')],
    ['a title', [shell], [], says('a title')],
    ['failing', [shell, user('[[status: 429]]')], ['Bash'], { kind: 'fail', status: 429 }],
    ['hanging', [user('[[hang]]')], ['Bash'], { kind: 'hang' }],
    ['nothing', [user('hello')], ['Bash'], says('nothing was asked')],
  ];
  for (const [title, turns, tools, wanted] of cases) t.match(actFor(turns, tools), wanted, title);
});

const TASK = '[[shell: true]]';
const CALLS: readonly (readonly [path: string, keyHeader: string, body: object])[] = [
  ['/v1/messages', 'x-api-key', { tools: [{ name: 'Bash' }], messages: [{ role: 'user', content: [{ type: 'text', text: TASK }] }] }],
  ['/v1/responses', 'authorization', { tools: [{ name: 'shell_command' }], input: [{ role: 'user', content: [{ text: TASK }] }] }],
  ['/v1/chat/completions', 'authorization', { tools: [{ function: { name: 'bash' } }], messages: [{ role: 'user', content: TASK }] }],
  [
    '/v1beta/models/m:generateContent',
    'x-goog-api-key',
    { tools: [{ functionDeclarations: [{ name: 'run_shell_command' }] }], contents: [{ role: 'user', parts: [{ text: TASK }] }] },
  ],
];

t.test('each API is spoken, streamed or not; calls are counted by their key, and a wrong one is refused', async (t) => {
  const model = await fakeModel();
  t.teardown(() => model.close());
  for (const [path, header, body] of CALLS) {
    const ask = async (key: string, place: string, more: object = {}) => {
      const headers = { [header]: header === 'authorization' ? `Bearer ${key}` : key };
      const response = await fetch(`${model.url}${place}`, { method: 'POST', headers, body: JSON.stringify({ ...body, ...more }) });
      return { status: response.status, text: await response.text() };
    };
    const key = `key of ${path}`;
    const whole = await ask(key, path);
    t.match(whole, { status: 200, text: /"true/ }, `${path} calls the tool`);
    const streamed = await ask(key, path.replace(':generate', ':streamGenerate'), { stream: true });
    t.match(streamed, { status: 200, text: /^(event: .+\n)?data: \{[^]*"true/ }, `${path}, streamed`);
    t.match(model.calls(key), [{ status: 200, isAside: false, tokens: 127 }, { tokens: 127 }]);
    t.match(await ask(WRONG_KEY, path), { status: 401, text: /says 401/ });
  }
  t.equal((await fetch(`${model.url}/v1/elsewhere`, { method: 'POST' })).status, 404);
});

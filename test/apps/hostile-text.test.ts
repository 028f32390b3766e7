/**
 * Text that could be executed, interpreted as a path or an option, or truncated: from the HTTP submit to the agent's
 * standard input, file and arguments, and back as its result, byte for byte, without any effect.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { makeWorld } from './app-world.ts';

const ECHO_AGENT = join(import.meta.dirname, 'echo-agent.mjs');

// Longer than a busy machine takes for all of them.
const world = await makeWorld(t, { hubTiming: { leaseMs: 60_000 } });
const { api } = world;
/** The counts of tasks and agents; refusals are counted too, as they should be. */
const stored = async (): Promise<object> => {
  const { refused: _, ...rest } = await api.tasks.stats();
  return rest;
};
const echoDir = join(world.dir, 'echo');
/** Anything that executes a text leaves a file here. */
const planted = join(world.dir, 'planted');
await mkdir(echoDir);
await mkdir(planted);
await world.startHub();
await world.startSidecar('a1', {
  argv: [process.execPath, ECHO_AGENT, '--', '${TASK_DESCRIPTION}', '${TASK_JSON}', 'task ${TASK_ID} says: ${TASK_DESCRIPTION}.'],
  env: { ECHO_DIR: echoDir },
  extra: 'slots: 8',
});

const touch = (name: string): string => `touch ${join(planted, name)}`;
const codePoints = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, n) => String.fromCodePoint(from + n)).join('');

const TEXTS: Readonly<Record<string, string>> = {
  'a command substitution': `$(${touch('substitution')})`,
  'an old one, in backticks': `\`${touch('backticks')}\``,
  'the end of a double quote': `"; ${touch('double')}; "`,
  'the end of a single quote': `'; ${touch('single')}; '`,
  'a pipe, an and, a background': `| ${touch('pipe')} && ${touch('and')} & ${touch('background')}`,
  'lines of their own': `first\n${touch('line')}\r\n${touch('dos')}\n\n`,
  'an end of input': `EOF\n${touch('heredoc')}\nEOF\n`,
  variables: '$HOME ${HOME} %PATH% $IFS $0 ${#x} !! ~ * ?',
  'words of the template': '${TASK_ID} ${TASK_JSON} ${TASK_DESCRIPTION} $${TASK_ID} $& $1 $`',
  'a path upwards': '../../../../../../etc/passwd',
  'a path upwards, encoded': '..%2f..%2f..\\..\\',
  'options of node': `--eval=require('fs').writeFileSync('${join(planted, 'eval')}','')`,
  'an end of options': '-- -rf --help',
  'spaces around': ' \t leading and trailing \t ',
  'one character between spaces': ' . ',
  'every control character but NUL': codePoints(1, 31) + codePoints(127, 159),
  'codes for a terminal': '\u001b[2J\u001b]0;title\u0007\u001b[31mred\u0008\u0008',
  'line ends that JavaScript knows': '\u2028\u2029\u0085\u000b\u000c',
  'a byte order mark, directions, noncharacters': '\ufeff\u202edesrever\u202c\ufffe\uffff\ufffd\u{10ffff}',
  emoji: '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466} \u{1f3f4}\u{e0067}\u{e007f} e\u0301 \u00e9',
  'JSON, and what looks like an escape': '{"description":"other","__proto__":{"x":1}} \\u0000 \\n \\',
  markup: '</script><script>alert(1)</script><!-- &amp; ]]>',
  'SQL and a format': `'); DROP TABLE tasks; -- %s %n {}`,
  'the longest text': 'x'.repeat(10_000),
  'the longest in bytes': '\u{1f9e8}'.repeat(10_000),
  'the longest in JSON': '\u0001'.repeat(10_000),
};
const METADATA = JSON.parse(
  `{"$(${touch('key')})":["\\u001b[2J",{"../":"\`x\`"}],"__proto__":{"polluted":true},"constructor":null}`,
) as Readonly<Record<string, unknown>>;

t.test('every text arrives byte for byte via standard input, file, argument and result', async (t) => {
  const sent = await Promise.all(
    Object.entries(TEXTS).map(async ([name, text]) => {
      const { task_id: id } = await api.tasks.submit({ description: text, metadata: METADATA, repo: `$(${touch('repo')})` });
      return { name, text, id };
    }),
  );
  await Promise.all(sent.map(({ id }) => world.event(id, ['completed', 'dead_lettered'])));
  for (const { name, text, id } of sent) {
    const task = await api.tasks.get(id);
    const result = task.result as { readonly output: unknown } | null;
    t.strictSame([task.status, task.description, result?.output], ['completed', text, text], `${name}: over HTTP, both ways`);
    const stdin = await readFile(join(echoDir, `${id}.stdin`));
    const message = { description: text, metadata: JSON.stringify(METADATA) };
    t.strictSame(saidIn(stdin), message, `${name}: on standard input`);
    t.strictSame(saidIn(await readFile(join(echoDir, `${id}.file`))), message, `${name}: in the task file`);
    const json = stdin.toString('utf8').trimEnd();
    const argv = [process.execPath, ECHO_AGENT, '--', text, json, `task ${id} says: ${text}.`];
    const cmdline = Buffer.from(argv.map((argument) => `${argument}\0`).join(''));
    t.ok(cmdline.equals(await readFile(join(echoDir, `${id}.cmdline`))), `${name}: as arguments`);
  }
});

t.test('none of it was executed', async (t) => {
  t.strictSame(await readdir(planted), []);
  t.equal(({} as Readonly<Record<string, unknown>>)['polluted'], undefined);
  t.strictSame((await readdir(world.dir)).sort(), [
    'a1',
    'a1.config.mjs',
    'a1.log',
    'echo',
    'hub',
    'hub.config.mjs',
    'hub.log',
    'ledger',
    'node_modules',
    'planted',
  ]);
});

t.test('U+0000, lone surrogates and overlong texts are refused, and nothing is stored', async (t) => {
  const before = await stored();
  const refused: readonly (readonly [name: string, body: string, field: string])[] = [
    ['NUL', '{"description":"a\\u0000b"}', 'description'],
    ['NUL in metadata', '{"description":"a","metadata":{"x":[{"y":"\\u0000"}]}}', 'metadata'],
    ['NUL in a name in metadata', '{"description":"a","metadata":{"x\\u0000":1}}', 'metadata'],
    ['NUL in a hint', '{"description":"a","file_hints":["\\u0000"]}', 'file_hints'],
    ['half of a pair', '{"description":"\\ud83d"}', 'description'],
    ['200,001 characters', JSON.stringify({ description: 'x'.repeat(200_001) }), 'description'],
  ];
  for (const [name, body, field] of refused) {
    const answer = await post('/api/tasks', body);
    t.equal(answer.status, 400, name);
    const { details } = (await answer.json()) as { readonly details: readonly { readonly field: string }[] };
    t.ok(
      details.some((detail) => detail.field.startsWith(field)),
      `${name}: names the field`,
    );
    const bulk = await post('/api/tasks/bulk', `{"description":"good"}\n${body}\n`, 'application/x-ndjson');
    t.equal(bulk.status, 400, `${name}, in a bulk`);
  }
  t.equal((await post('/api/tasks', '{"description":"a\0b"}')).status, 400, 'a bare NUL is not JSON');
  t.strictSame(await stored(), before);
});

/** The texts in the task's JSON; fails on bytes that are not UTF-8. */
function saidIn(bytes: Buffer): { readonly description: unknown; readonly metadata: string } {
  const task = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Readonly<Record<string, unknown>>;
  return { description: task['description'], metadata: JSON.stringify(task['metadata']) };
}

const post = (path: string, body: string, type = 'application/json'): Promise<Response> =>
  fetch(new URL(path, api.url), {
    method: 'POST',
    body,
    headers: { 'content-type': type, authorization: `Bearer ${world.adminToken}` },
  });

/** docs/client.md: each example is a file and runs against a hub, and the page names every method of the client. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { hubClient } from '../../../apps/client/index.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { runningHub } from '../running-hub.ts';
import { shell, temporaryFolder, type Ran } from './newcomer.ts';
import { asModule, blocksOf, filesOf, readPage } from './page-blocks.ts';

const PAGE = 'docs/client.md';

const examples = filesOf(PAGE);

t.test('every example is a named file', async (t) => {
  for (const { language, file, line } of blocksOf(PAGE)) t.ok(language === 'ts' && file !== null, `line ${line}: a block is a file`);
});

t.test('every method is named', async (t) => {
  const { tasks, agents, tokens, enrolment, audit, ...hub } = hubClient({ url: 'http://127.0.0.1:1' });
  const parts = { 'hub.tasks': tasks, 'hub.agents': agents, 'hub.tokens': tokens, 'hub.enrolment': enrolment, 'hub.audit': audit, hub };
  const table = readPage(PAGE).split('## All methods')[1] ?? '';
  for (const [part, methods] of Object.entries(parts)) {
    const row = new RegExp(`^\\| \`${part}\` \\| (.*) \\|$`, 'm').exec(table)?.[1] ?? '';
    const named = [...row.matchAll(/`(\w+)`/g)].map(([, name]) => name);
    const own = Object.keys(methods).filter((name) => name !== 'url');
    t.strictSame(named.sort(), own.sort(), part);
  }
});

t.test('every example runs', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const agent = await hub.agent('a1', { capabilities: ['code'], slots: 8 });
  const serve = async (): Promise<void> => {
    for (;;) {
      const { task_id, generation } = await agent.frame('task_assign');
      agent.send({ type: 'task_accepted', task_id, generation });
      agent.send({ type: 'task_output', task_id, generation, stream: 'agent', text: 'half of it', seq: 0, dropped: 0 });
      agent.send({ type: 'task_complete', task_id, generation, result: { text: 'done' } });
    }
  };
  void serve();
  const cwd = await temporaryFolder(t);
  builtTree().installIn(cwd);
  for (const { name, text } of examples) await writeFile(join(cwd, name.replace('.ts', '.mjs')), asModule(text));
  const env = { AGENTCOM_API_URL: hub.url, AGENTCOM_TOKEN: hub.adminToken };
  const run = (name: string): Promise<Ran> => shell(`node ${name}.mjs`, { cwd, env });

  const wanted: Readonly<Record<string, RegExp>> = {
    submit: /^result \{"text":"done"\}\n$/,
    follow:
      /^event submitted \n(event .*\n)*event completed a1\nagent half of it\nhistory 1 submitted undefined\n(history .*\n)*history \d+ completed 1\n$/,
    many: /^3 reviewed\n(listed task-.*\n){3,}$/,
    signed: /^signed eyJ[\w-]{5}\n$/,
    operate: /^queued .*gpu.*\ncancelled\nrefused 409 invalid_state\na1 \w+\n\d+ queued, of which \d+ urgent, for \d idle agents\n$/,
    tokens: /^admin admin null\nshown once true\n(tok-.*\n)+true\n1 null hub\.start .*\n(\d+ admin .*\n)+secret true true\n$/,
  };
  t.strictSame(examples.map(({ name }) => name).sort(), ['hub', ...Object.keys(wanted)].map((name) => `${name}.ts`).sort());
  for (const [name, out] of Object.entries(wanted)) t.match(await run(name), { code: 0, out }, name);
});

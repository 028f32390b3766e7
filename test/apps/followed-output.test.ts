/** An agent's output, followed while it works and read afterwards, through a real hub, a real sidecar and a real program. */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { hubClient, type OutputChunkJson } from '../../apps/client/index.ts';
import { makeWorld, type World } from './app-world.ts';
import { run } from './cli/cli-world.ts';
import { gate } from '../rig/gate.ts';

t.setTimeout(120_000);

const AGENT = [process.execPath, resolve(import.meta.dirname, 'printing-agent.mjs')];
const asOperator = ({ port, adminToken }: World) => ({ AGENTCOM_API_URL: `http://127.0.0.1:${port}`, AGENTCOM_ADMIN_TOKEN: adminToken });

type Step = { readonly out: string; readonly times?: number } | { readonly err: string } | { readonly until: string };
const steps = (...list: readonly Step[]): string => list.map((step) => JSON.stringify(step)).join('\n');

/** How long output may take to arrive, in milliseconds. */
const OUTPUT_WITHIN_MS = 30_000;
const LOOK_MS = 100;
const isWhole = (output: readonly OutputChunkJson[]): boolean => /after the flood$/.test(output.at(-1)?.text ?? '');

t.test('live output: followed while the agent works, complete, searchable, and shown escaped', async (t) => {
  const world = await makeWorld(t);
  const { api, dir } = world;
  await world.startHub();
  await world.startSidecar('a1', { argv: AGENT });
  const env = asOperator(world);
  const go = join(dir, 'go');
  const hostile = 'red \u001b[31m and \u202ereversed';
  const description = steps({ out: 'first words' }, { err: 'a warning' }, { until: go }, { out: hostile }, { out: 'last words' });
  const { task_id: taskId } = await api.tasks.submit({ description });

  let seen = '';
  const { opened: first, open: sawFirst } = gate();
  const following = run(['logs', '--follow', taskId], {
    env,
    onOut(text) {
      seen += text;
      if (seen.includes('first words') && seen.includes('a warning')) sawFirst();
    },
  });
  await first;
  t.equal((await api.tasks.get(taskId)).status, 'assigned', 'seen while it works');
  writeFileSync(go, '');
  const followed = await following;
  t.equal(followed.code, 0, 'ends with the task');
  t.match(followed.out, /last words\n$/);
  t.match(followed.out, /red \\e\[31m and \\u202ereversed/, 'escaped, not interpreted');
  t.notMatch(followed.out, '\u001b');
  t.match(followed.err, /==> a1 g1 <==/);

  const whole = await run(['logs', taskId], { env });
  t.strictSame(whole.out.split('\n').sort(), followed.out.split('\n').sort(), 'the same afterwards');
  t.equal((await run(['logs', taskId.slice(0, 17)], { env })).out, whole.out, 'named by an ID prefix');
  t.equal((await run(['logs', taskId, '--stream', 'stderr'], { env })).out, 'a warning\n');
  t.match((await run(['logs', taskId, '--search', 'LAST WORDS'], { env })).out, /last words/);
  t.match((await run(['logs', taskId, '--search', 'never said'], { env })).err, /No stored output/);
  const asJson = await run(['logs', taskId, '--json'], { env });
  t.match(JSON.parse(asJson.out.split('\n')[0] ?? ''), { n: 1, generation: 1, agent_id: 'a1', stream: String, text: String, dropped: 0 });

  const stranger = await api.tokens.create({ role: 'submitter', name: 'stranger' });
  const other = hubClient({ url: api.url, token: stranger.token });
  await t.rejects(other.tasks.output(taskId), { code: 'AC_API' }, 'a submitter cannot read the output of another submitter’s task');
  await t.rejects(other.tasks.waitForOutput(taskId, 0), { code: 'AC_API' });
  t.equal((await run(['logs', 'task-00000000000000aa'], { env })).code, 7);
});

t.test('live output: a flood is bounded, reports what is missing, and delays no report', async (t) => {
  const world = await makeWorld(t, { hubExtra: 'limits: { outputBytes: 20_000 },' });
  const { api } = world;
  await world.startHub();
  await world.startSidecar('a1', { argv: AGENT });
  const description = steps({ out: 'x'.repeat(99), times: 60_000 }, { out: 'after the flood' });
  const { task_id: taskId } = await api.tasks.submit({ description });
  const task = await api.tasks.wait(taskId);
  t.equal(task?.status, 'completed');
  for await (const chunk of api.tasks.followOutput(taskId)) t.ok(chunk.text.length <= 16_384);
  // The report does not wait for the output, so some may arrive after it. What was removed before the last chunk arrived is gone.
  let { output } = await api.tasks.output(taskId);
  for (const untilMs = performance.now() + OUTPUT_WITHIN_MS; !isWhole(output) && performance.now() < untilMs;) {
    await sleep(LOOK_MS);
    ({ output } = await api.tasks.output(taskId));
  }
  const kept = output.reduce((sum, { text }) => sum + text.length, 0);
  t.ok(kept > 1_000 && kept <= 20_000 * 1.125 + 16_384, `${kept} of 6,000,000 characters are stored`);
  t.ok(output[0] !== undefined && (output[0].seq > 0 || output[0].dropped > 0), 'and it reports that some are missing');
  t.match((await run(['logs', taskId], { env: asOperator(world) })).err, /(some output is|characters are) missing/);
  t.match(output.at(-1)?.text, /after the flood$/);
});

t.test('live output: a hub that stores none reports so', async (t) => {
  const world = await makeWorld(t, { hubExtra: 'limits: { outputBytes: 0 },' });
  await world.startHub();
  await world.startSidecar('a1', { argv: AGENT });
  const { task_id: taskId } = await world.api.tasks.submit({ description: steps({ out: 'not stored' }) });
  await world.api.tasks.wait(taskId);
  t.match(await world.api.tasks.output(taskId), { output: [], more: false, kept: { bytes: 0, ms: 604_800_000 } });
  t.match((await run(['logs', taskId], { env: asOperator(world) })).err, /stores no output/);
});

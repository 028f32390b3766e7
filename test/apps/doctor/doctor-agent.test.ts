/**
 * An agent whose program is missing, as seen from its hub: it is assigned nothing until the program is there, and an
 * operator need not wait.
 */
import { symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { run, testHub } from '../cli/cli-world.ts';
import { makeWorld } from '../app-world.ts';

t.setTimeout(120_000);

t.test('R13: dispatch is blocked while its checks fail, with the reason, and released when they pass', async (t) => {
  const world = await makeWorld(t);
  await world.startHub();
  const program = join(world.dir, 'agent-program');
  await world.startSidecar('a1', { argv: [program, resolve(import.meta.dirname, '../../durability/ledger-agent.mjs')] });
  const { task_id: id } = await world.api.tasks.submit({ description: 'waits for a program', metadata: { ms: 10 }, max_retries: 0 });
  t.match(await world.api.tasks.get(id), { status: 'queued', waiting_for: { message: /until its checks pass \(program: There is no / } });

  const env = { AGENTCOM_API_URL: `http://127.0.0.1:${world.port}`, AGENTCOM_ADMIN_TOKEN: world.adminToken };
  const doctor = (...more: readonly string[]) => run(['doctor', '--agent', 'a1', ...more], { env });
  const ill = await doctor();
  t.equal(ill.code, 8);
  t.match(ill.out, /^a1: paused\n {2}program: There is no ".*agent-program"/);

  const resume = (...more: readonly string[]) => run(['resume', 'a1', ...more], { env });
  t.match(await resume(), {
    code: 0,
    out: /^a1 gets no tasks yet, because its checks still fail \(program: There is no ".*agent-program"/,
  });
  t.match(JSON.parse((await resume('--json')).out), { agent_id: 'a1', change: 'resume', checks: { ok: false } });
  t.match(await world.api.tasks.get(id), { status: 'queued', generation: 0 }, 'it was not assigned, not even for a moment');

  symlinkSync(process.execPath, program);
  const well = JSON.parse((await doctor('--json')).out) as Record<string, unknown>;
  t.match(well, { checked_now: true, checks: { ok: true, failed: [], passed: [{ check: 'cwd' }, { check: 'program' }] } });
  t.match(await resume(), { code: 0, out: 'a1 gets tasks again\n' });
  await world.event(id, ['completed']);
  t.strictSame((await world.api.tasks.get(id)).retry_count, 0);
});

t.test('an agent that is offline or does not answer is described by its last report', async (t) => {
  const agent = {
    agent_id: 'w1',
    name: 'w1',
    status: 'offline',
    connected: false,
    paused_reason: null,
    checks: { ok: true, reported_at: 1_700_000_000_000, failed: [], passed: [{ check: 'program', message: '/bin/agent' }] },
  };
  const hub = await testHub(t, (app) => app.get('/api/agents/w1', (c) => c.json(agent)));
  const away = await hub.run(['doctor', '--agent', 'w1']);
  t.equal(away.code, 8);
  t.match(away.out, /not connected.*\n {2}It did not answer; its results of 2023-11-14 \d\d:\d\d:20 \S+:\n {2}program: \/bin\/agent\n$/);
  t.notOk(
    hub.requests.some(({ request }) => request.startsWith('POST')),
    'a disconnected agent is not asked',
  );
});

/** The token of a busy sidecar is rotated: real hub, sidecar and agent. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hubClient } from '../../apps/client/index.ts';
import { makeWorld } from './app-world.ts';

t.setTimeout(120_000);

const OVERLAP_MS = 3_000;
const AGENT = 'w1';

t.test('R7: a sidecar whose token file is replaced keeps its agent and task when the old token expires', async (t) => {
  const world = await makeWorld(t);
  const { api } = world;
  await world.startHub();
  const old = await api.tokens.create({ agent_id: AGENT });
  const file = join(world.dir, AGENT, 'token');
  mkdirSync(join(world.dir, AGENT), { mode: 0o700 });
  const put = (token: string): void => {
    writeFileSync(`${file}.next`, `${token}\n`, { mode: 0o600 });
    renameSync(`${file}.next`, file);
  };
  put(old.token ?? '');
  const sidecar = await world.startSidecar(AGENT, { extra: 'token: undefined' });
  const { task_id: id } = await api.tasks.submit({ description: 'long', needed_capabilities: ['code'] });
  const start = await world.ledgerLine(id, 'start');

  const rotated = await api.tokens.rotate(old.id, { overlap_ms: OVERLAP_MS });
  put(rotated.token);
  await connectedTimes(2);

  const states = (await api.tokens.list()).tokens.filter((token) => [old.id, rotated.id].includes(token.id));
  t.match(states, [
    { id: rotated.id, replaced_by: null, last_used_at: Number },
    { id: old.id, replaced_by: rotated.id },
  ]);
  const asOld = hubClient({ url: `http://127.0.0.1:${world.port}`, token: old.token ?? '', retryWithinMs: 0 });
  await t.rejects(asOld.whoami(), { code: 'AC_API', details: { status: 401 } });
  t.match(sidecar.log(), 'the token has expired', 'the hub sent the reason for closing the socket');
  t.notMatch(sidecar.log(), 'refuses the token');

  world.release();
  await world.event(id, ['completed']);
  t.match(await api.tasks.get(id), { status: 'completed', generation: 1, retry_count: 0 });
  const runs = world.ledger().filter((line) => line.task === id);
  t.strictSame(
    runs.filter(({ what }) => what !== 'child').map(({ what, pid }) => [what, pid]),
    [
      ['start', start.pid],
      ['end', start.pid],
    ],
    'completed by the run that began before the rotation',
  );
  t.notOk((sidecar.log() + JSON.stringify(await api.audit.list())).includes(rotated.token));

  async function connectedTimes(times: number): Promise<void> {
    let seen = 0;
    for await (const { event } of api.events({ lastEventId: '0', signal: AbortSignal.timeout(60_000) })) {
      if (event === 'agent_connected') seen += 1;
      if (seen === times) return;
    }
  }
});

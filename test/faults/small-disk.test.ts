/** Real programs on a real full disk: a small tmpfs under the folder of the hub, or of the sidecar. */
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { makeWorld, type World } from '../apps/app-world.ts';
import { run } from '../apps/cli/cli-world.ts';
import { noSmallDisk, smallDisk } from './rig/mounted-disk.ts';

const AGENT = [process.execPath, resolve(import.meta.dirname, 'in-place-agent.mjs')];
/** How long automatic recovery may take on a busy machine. Milliseconds. */
const WITHIN_MS = 30_000;
const LOOK_MS = 100;

// Whole programs start here, on a machine that is busy with other tests.
t.setTimeout(120_000);

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + WITHIN_MS; Date.now() < endMs; await sleep(LOOK_MS)) if (await isSo()) return;
  throw new Error(`${what}: not within ${WITHIN_MS} ms`);
}

const statusOf = async (world: World, id: string): Promise<string> => (await world.api.tasks.get(id)).status;

t.test(
  'R1, R2: a hub with a full disk acknowledges nothing, sends 503 with Retry-After, and recovers with space',
  { skip: noSmallDisk() },
  async (t) => {
    const world = await makeWorld(t);
    const disk = smallDisk(t, join(world.dir, 'hub'), 4_194_304);
    await world.startHub();
    await world.startSidecar('a1');
    const { task_id: held } = await world.api.tasks.submit({ description: 'held' });
    await world.ledgerLine(held, 'start');
    const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${world.port}${path}`)).text();
    t.match(await get('/ready'), '"ready"');
    disk.fill();
    const submit = (key: string): Promise<Response> =>
      fetch(`http://127.0.0.1:${world.port}/api/tasks`, {
        method: 'POST',
        headers: { authorization: `Bearer ${world.adminToken}`, 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ description: key, metadata: { ms: 10, ballast: 'x'.repeat(200_000) } }),
      });
    const answers: { readonly key: string; readonly response: Response }[] = [];
    // The room that is left in the log is used up first.
    await until('503', async () => {
      const key = `key-${answers.length}`;
      answers.push({ key, response: await submit(key) });
      return answers.at(-1)?.response.status === 503;
    });
    t.match(answers.at(-1)?.response.headers.get('retry-after'), /^[1-9]/);
    t.ok(
      answers.every(({ response: { status } }) => status === 201 || status === 503),
      'no other status is returned',
    );
    for (let n = 0; n < 3; n += 1) t.equal((await submit('key-again')).status, 503, 'as long as the disk is full');
    // The answer is cached for a second. A probe is a commit that fits into the log: what counts is the last commit that did not.
    for (const path of ['/ready', '/health']) await until(path, async () => /"storage_unavailable"|"degraded"/.test(await get(path)));
    world.release(held);
    await world.ledgerLine(held, 'end');

    disk.makeRoom();
    t.equal(await world.event(held, ['completed', 'failed', 'lost']), 'completed', 'the report that it could not store was resent');
    const again = new Map<string, string>();
    for (const { key } of [...answers, { key: 'key-again' }]) {
      const response = await submit(key);
      t.ok(response.status === 200 || response.status === 201, `${key}: ${response.status}`);
      again.set(key, ((await response.json()) as { readonly task_id: string }).task_id);
    }
    for (const { key, response } of answers) {
      if (response.status !== 201) continue;
      t.equal(again.get(key), ((await response.json()) as { readonly task_id: string }).task_id, 'the acknowledged task exists');
    }
    const { tasks } = await world.api.tasks.list({ limit: 500 });
    t.strictSame(tasks.map(({ id }) => id).sort(), [held, ...again.values()].sort(), 'each once, and nothing else');
  },
);

t.test(
  'R3, R4, R5: a sidecar with a full disk rejects tasks, delivers its result, and recovers by itself',
  { skip: noSmallDisk() },
  async (t) => {
    const world = await makeWorld(t);
    const disk = smallDisk(t, join(world.dir, 'a1'), 33_554_432);
    await world.startHub();
    await world.startSidecar('a1', { argv: AGENT, extra: 'slots: 2' });
    const { task_id: running } = await world.api.tasks.submit({ description: 'running' });
    await world.event(running, ['woken']);
    // The program was started; only its own line shows that it has reserved its room.
    await world.ledgerLine(running, 'start');
    disk.fill();
    const { task_id: refused } = await world.api.tasks.submit({ description: 'refused' });
    t.equal(await world.event(refused, ['rejected', 'accepted']), 'rejected');
    await until('draining', async () => (await world.api.agents.get('a1')).draining_reason === 'journal_unwritable');
    t.notOk((await world.history(refused)).includes('accepted'), 'nothing was acknowledged');

    world.release(running);
    t.equal(
      await world.event(running, ['completed', 'failed', 'lost']),
      'completed',
      'with the disk still full: the reserve let it through',
    );
    t.equal(await statusOf(world, refused), 'queued', 'nothing new is accepted');

    disk.makeRoom();
    t.equal(await world.event(refused, ['accepted']), 'accepted', 'without a resume by an operator');
    world.release(refused);
    t.equal(await world.event(refused, ['completed', 'failed', 'lost']), 'completed');
    t.equal((await world.api.agents.get('a1')).draining_reason, null);
  },
);

t.test(
  'R4, R5: a sidecar that starts on a full disk delivers the result that it holds, accepts nothing, and recovers by itself',
  { skip: noSmallDisk() },
  async (t) => {
    const world = await makeWorld(t);
    const disk = smallDisk(t, join(world.dir, 'a1'), 33_554_432);
    await world.startHub();
    const first = await world.startSidecar('a1', { argv: AGENT, extra: 'slots: 2' });
    const { task_id: running } = await world.api.tasks.submit({ description: 'running' });
    await world.event(running, ['woken']);
    await world.ledgerLine(running, 'start');
    disk.fill();
    await first.kill('SIGKILL');
    const second = await world.startSidecar('a1');
    world.release(running);
    t.equal(await world.event(running, ['completed', 'failed', 'lost']), 'completed');
    const { task_id: later } = await world.api.tasks.submit({ description: 'later' });
    await until('the failed check', async () => JSON.stringify(await world.api.agents.get('a1')).includes('is full'));
    t.notOk((await world.history(later)).includes('accepted'));

    await second.kill('SIGKILL');
    disk.fill();
    await t.rejects(world.startSidecar('a1'), /Cannot lock the data directory .*a1.*ENOSPC.*Free at least 16 MiB/);
    disk.makeRoom();
    await world.startSidecar('a1');
    world.release(later);
    t.equal(await world.event(later, ['completed', 'failed', 'lost']), 'completed');
  },
);

t.test('commands that make a file leave none on a full disk, and can be run again', { skip: noSmallDisk() }, async (t) => {
  const world = await makeWorld(t);
  const folder = join(world.dir, 'small');
  const disk = smallDisk(t, folder, 1_048_576);
  const agentcom = (...argv: readonly string[]) => run(argv, { cwd: folder });
  disk.fill();
  for (const argv of [
    ['keys', 'init', 'key.jwk'],
    ['init', '--runs', 'hub', '--yes'],
  ])
    t.match(await agentcom(...argv), { code: 2, err: /^agentcom: Cannot write \S+: ENOSPC/ });
  t.strictSame(readdirSync(folder), ['ballast']);
  disk.makeRoom();
  t.match(await agentcom('init', '--runs', 'hub', '--yes'), { code: 0 });
  disk.fill();
  t.match(await agentcom('tls', 'init'), { code: 2, err: /Cannot write/ });
  disk.makeRoom();
  for (const argv of [
    ['keys', 'init', 'key.jwk'],
    ['tls', 'init'],
  ])
    t.match(await agentcom(...argv), { code: 0 });
});

t.test('a command that can neither write its file nor remove it says first why it could not write', { skip: noSmallDisk() }, async (t) => {
  const world = await makeWorld(t);
  const folder = join(world.dir, 'small');
  const disk = smallDisk(t, folder, 1_048_576);
  disk.fill();
  if (!disk.forbidRemovals()) return t.comment('this kernel cannot forbid removals');
  t.match(await run(['keys', 'init', 'key.jwk'], { cwd: folder }), {
    code: 2,
    err: /^agentcom: Cannot write \S+: ENOSPC.* Removing what was written failed, too: EPERM/,
  });
});

t.test('joining from a full disk does not use up the code', { skip: noSmallDisk() }, async (t) => {
  const world = await makeWorld(t);
  await world.startHub();
  const { secret } = await world.api.enrolment.createSecret();
  const folder = join(world.dir, 'small');
  const disk = smallDisk(t, folder, 1_048_576);
  const argv = ['join', `http://127.0.0.1:${world.port}`, secret, '--agent', 'w-1', '--dir', folder];
  disk.fill();
  t.match(await run(argv, { cwd: folder }), { code: 4, err: /Cannot write into the data directory .*ENOSPC/ });
  disk.makeRoom();
  t.match(await run(argv, { cwd: folder }), { code: 0 });
});

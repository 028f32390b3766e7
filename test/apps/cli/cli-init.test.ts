/** The first config of a folder: what init asks, and that what it writes runs. */
import { mkdtemp, readFile, rm, symlink, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { run } from './cli-world.ts';

async function folder(t: Test): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), 'agentcom-init-'));
  t.teardown(() => rm(cwd, { recursive: true }));
  await mkdir(join(cwd, 'project'));
  return cwd;
}

t.test('hub and sidecar accept every config that init writes', async (t) => {
  for (const runs of ['both', 'hub', 'sidecar']) {
    for (const program of ['none', 'claude', 'codex', 'gemini', 'command']) {
      const cwd = await folder(t);
      const ran = await run(['init', '--runs', runs, '--agent-id', 'w-1', '--program', program], { cwd });
      t.match(ran, { code: 0, out: /^Wrote / });
      t.equal(
        /^Write agent\.mjs first, /m.test(ran.err),
        program === 'command' && runs !== 'hub',
        'the program that the config names is to be written',
      );
      const { config } = await loadConfigFile({ cwd });
      t.strictSame([config.hub !== undefined, config.sidecar !== undefined], [runs !== 'sidecar', runs !== 'hub']);
      if (runs !== 'hub') t.strictSame([config.sidecar?.agentId, config.sidecar?.wake === undefined], ['w-1', program === 'none']);
    }
  }
});

t.test('init asks on a terminal, repeats after an invalid answer, and uses values given as options', async (t) => {
  const cwd = await folder(t);
  const ran = await run(['init', '--program', 'none'], { cwd, tty: true, stdin: 'nothing\nsidecar\nA b\n\n' });
  t.match(ran, { code: 0, err: /What runs on this machine \(both, hub, sidecar\) \[both\]: Invalid answer: nothing\n/ });
  t.match(ran.err, /\[worker-1\]: Invalid answer: A b\. Expected an agent ID of lowercase letters, .* at most 64\.\n/);
  t.notMatch(ran.err, /program/);
  t.match(await readFile(join(cwd, 'agentcom.config.ts'), 'utf8'), /agentId: "worker-1"/);
});

t.test('without a terminal nothing is assumed, without an answer nothing is written, and no file is overwritten', async (t) => {
  const cwd = await folder(t);
  t.match(await run(['init'], { cwd }), { code: 2, err: /no terminal to prompt on\. Pass --yes/ });
  t.match(await run(['init'], { cwd, tty: true, stdin: 'x\n' }), { code: 2, err: /No answer; nothing was written/ });
  const interrupted = await run(['init'], { cwd, tty: true, interrupt: AbortSignal.abort() });
  t.match(interrupted, { code: 130, err: /Interrupted; nothing was written/ });
  t.match(await run(['init', '--yes', '--agent-id', 'A"; //'], { cwd }), { code: 2, err: /Expected an agent ID/ });
  t.match(await run(['init', '--yes'], { cwd }), { code: 0 });
  await writeFile(join(cwd, 'agentcom.config.ts'), 'mine');
  t.match(await run(['init', '--yes'], { cwd }), { code: 2, err: /already exists and was not changed/ });
  t.equal(await readFile(join(cwd, 'agentcom.config.ts'), 'utf8'), 'mine');
  const linked = await folder(t);
  await symlink(join(cwd, 'elsewhere.ts'), join(linked, 'agentcom.config.ts'));
  t.match(await run(['init', '--yes'], { cwd: linked }), { code: 2 }, 'nor through a link');
});

t.test('tls init refuses the zone of an address', async (t) => {
  const cwd = await folder(t);
  await run(['init', '--yes'], { cwd });
  t.match(await run(['tls', 'init', 'fe80::1%eth0'], { cwd }), { code: 2, err: /without port or zone, found "fe80::1%eth0"/ });
});

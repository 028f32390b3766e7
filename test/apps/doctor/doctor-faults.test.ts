/** The doctor on a machine with one fault: it finds that fault and nothing else, and says what to do. Each fault is real. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { inspectSqlite } from '../../../adapters/storage-knex/sqlite/inspection.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { sidecarIdentity } from '../../../apps/sidecar/enrolment.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { sqliteStorage, testedDriver } from '../../adapters/storage-places/sqlite-storage-place.ts';
import { builtTree } from '../../rig/built-tree.ts';
import { destroyPages, faultWorld, HUB, hubsAt, type Machine, type Reported } from './fault-world.ts';
import { hubFaults } from './hub-faults.ts';
import { sidecarFaults } from './sidecar-faults.ts';

t.setTimeout(180_000);
const world = await faultWorld(t);
const { hub, hubPort, token } = world;

interface Answer {
  readonly ok: boolean;
  readonly findings: readonly Reported[];
}

t.test('a healthy hub and sidecar: no finding', async (t) => {
  const machine = await world.machine(t);
  await machine.writeConfig({ hub: HUB, sidecar: `${hubsAt(hubPort)}, token: '${token}', wake: command({ argv: ['node'] })` });
  const ran = await machine.doctor({}, '--json');
  t.match(JSON.parse(ran.out), { ok: true, findings: [], counts: {} });
  t.equal(ran.code, 0);
  const env = { AGENTCOM_API_URL: hub.url, AGENTCOM_ADMIN_TOKEN: hub.adminToken };
  t.match(await machine.doctor(env), { code: 0, out: /No errors found\.\n$/ });
});

/** Checks whose printed form was verified. */
const printed = new Set<string>();

for (const { name, plant, check, severity = 'error', found, hint } of [...hubFaults(world), ...sidecarFaults(world)])
  t.test(`${check}: ${name}: is the only finding, with its remedy`, async (t) => {
    const machine = await world.machine(t);
    const env = (await plant(machine, t)) ?? {};
    const { out, err, code } = await machine.doctor(env, '--json');
    t.equal(err, '');
    const { ok, findings } = JSON.parse(out) as Answer;
    t.equal(code, severity === 'error' ? 8 : 0);
    t.equal(ok, severity !== 'error');
    // SQLite reports several errors for a destroyed page; they have one remedy.
    t.equal(new Set(findings.map((one) => `${one.check} ${one.hint}`)).size, 1, JSON.stringify(findings, null, 1));
    if (check !== 'file') t.equal(findings.length, 1);
    for (const one of findings) t.match(one, { check, severity, hint });
    const [first] = findings;
    if (first === undefined) return;
    t.match(first.found, found);
    t.notMatch(`${first.found} ${first.hint}`, /path or its (rights|permissions)/);
    if (printed.has(check)) return;
    printed.add(check);
    const people = await machine.doctor(env);
    t.equal(people.code, code);
    t.ok(people.out.includes(`${first.found}\n`) && people.out.includes(`  What to do: ${first.hint}\n`), people.out);
  });

const WITHOUT_SQLITE3 = pathToFileURL(resolve(import.meta.dirname, '../../rig/without-sqlite3.mjs')).href;

/** The doctor as its own process, started by this line of sh. */
async function doctorProgram(machine: Machine, line: string): Promise<Answer & { readonly code: number }> {
  const argv = ['-c', line, 'sh', process.execPath, builtTree().bin, 'doctor', '--json'];
  const options = { cwd: machine.folder, env: { PATH: process.env['PATH'], HOME: machine.folder } };
  const { code, stdout } = await promisify(execFile)('sh', argv, options).then(
    (ended) => ({ code: 0, ...ended }),
    (thrown: { readonly code: number; readonly stdout: string }) => thrown,
  );
  return { code, ...(JSON.parse(stdout) as Answer) };
}

t.test('open_files: a limit that is too low for a hub', async (t) => {
  const machine = await world.machine(t);
  await machine.writeConfig({ hub: HUB });

  // Before, the first command on a Node without SQLite reported "No errors found", and the hub then did not start.
  t.test('before the first start of a hub, a storage whose package is missing is found', async (t) => {
    const machine = await world.machine(t);
    await rm(machine.hubDir, { recursive: true });
    await machine.writeConfig({ hub: `${HUB}, storage: sqlite({ file: 'agentcom.db', driver: 'sqlite3' })` });
    const { code, findings } = await doctorProgram(machine, `NODE_OPTIONS=--import=${WITHOUT_SQLITE3} exec "$@"`);
    t.equal(code, 8);
    t.match(findings, [{ check: 'storage', found: /the package sqlite3 cannot be loaded/, hint: /npm install sqlite3@6/ }]);
    t.equal(findings.length, 1);
  });
  const { code, findings } = await doctorProgram(machine, 'ulimit -n 512; exec "$@"');
  t.equal(code, 8);
  t.match(findings, [
    { check: 'open_files', found: /may open 512 files, expected at least 1024$/, hint: /`ulimit -n 65536`.*LimitNOFILE=65536/ },
  ]);
  t.equal(findings.length, 1);
});

/** Root may write anywhere, unless it gives up that right; null if it cannot. */
const asOwner =
  process.getuid?.() !== 0
    ? 'exec "$@"'
    : existsSync('/usr/bin/setpriv')
      ? 'exec setpriv --bounding-set=-dac_override,-dac_read_search "$@"'
      : null;

t.test('data_dir: folders that this user may not write', { skip: asOwner === null && 'root cannot drop its rights here' }, async (t) => {
  const machine = await world.machine(t);
  // It cannot be determined whose hub answers there.
  await machine.writeConfig({ hub: `listen: { port: ${hubPort} }`, sidecar: `${hubsAt(hubPort)}, token: '${token}'` });
  for (const folder of [machine.hubDir, machine.sidecarDir]) await chmod(folder, 0o500);
  const { code, findings } = await doctorProgram(machine, asOwner ?? '');
  t.equal(code, 8);
  t.match(findings, [
    { check: 'data_dir', found: /hub cannot be written by this user: EACCES/, hint: /`chown`.*hub\.dataDir/ },
    { check: 'data_dir', found: /a1 cannot be written by this user: EACCES/, hint: /`chown`.*sidecar\.dataDir/ },
  ]);
  t.equal(findings.length, 2);
});

t.test('a hub refuses a file with destroyed pages, and names the doctor and restore', async (t) => {
  for (const page of [0, 1, 3, 4, 11, 21]) {
    const machine = await world.machine(t);
    await destroyPages(machine.database, page);
    const message = /agentcom doctor --fsck.*agentcom restore FILE --force/;
    await t.rejects(sqliteStorage(machine.database).open(), { message }, String(page));
  }
});

t.test('of a file too large to be read completely, the part that a hub reads at start is checked', async (t) => {
  const look = async (...pages: readonly number[]) => {
    const machine = await world.machine(t);
    await destroyPages(machine.database, ...pages);
    const inspection = await inspectSqlite(testedDriver, machine.database, { quickBytesMax: 0 });
    const found = [...(await inspection.schema()), ...((await inspection.quick()) ?? [])];
    await inspection.close();
    return [...new Set(found.map(({ check }) => check))];
  };
  for (const page of [0, 1, 3, 4, 11, 21]) t.strictSame(await look(page), ['file'], String(page));
  t.strictSame(await look(33), [], 'the tokens are left to --fsck');
});

t.test('a sidecar with a used secret exits with AC_ENROL and does not retry', async (t) => {
  const machine = await world.machine(t);
  await machine.writeConfig({ sidecar: hubsAt(hubPort) });
  const { config } = await loadConfigFile({ configFile: machine.config });
  process.env['AGENTCOM_ENROL_SECRET'] = await world.usedSecret();
  t.teardown(() => delete process.env['AGENTCOM_ENROL_SECRET']);
  if (config.sidecar === undefined) throw new AgentcomError('AC_INTERNAL', 'no sidecar');
  const deps = { config: config.sidecar, hub: null, log: silentLog, signal: AbortSignal.timeout(5_000) };
  await t.rejects(sidecarIdentity(deps), { code: 'AC_ENROL', message: /wrong, used or over 15 minutes old.*agentcom invite/ });
});

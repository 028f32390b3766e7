/** The doctor on a real database and a real journal, each damaged in one way: it names the damage and what to do. */
import { chmod, copyFile, mkdir, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { EMPTY_JOURNAL, type JournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import { outside } from '../../adapters/storage-places/sqlite-storage-place.ts';
import { A_MOMENT_MS, aGeneration } from '../../product/contracts/fixtures.ts';
import { doctorWorld, TASKS, UNREADABLE, type DoctorWorld } from './doctor-world.ts';

type Damage = readonly [what: string, check: string, taskId: string | null, damage: string | ((world: DoctorWorld) => Promise<void>)];

const set = (task: string, field: string, value: string): string =>
  `UPDATE tasks SET state = json_set(state, '$.${field}', json('${value}')) WHERE id = '${task}'`;

/** Overwrites the middle of the database page that holds that table. */
async function overwritePage({ database }: DoctorWorld, table: string): Promise<void> {
  const [row] = await outside(database, 'PRAGMA wal_checkpoint(TRUNCATE)', `SELECT rootpage FROM sqlite_master WHERE name = '${table}'`);
  const [size] = await outside(database, 'PRAGMA page_size');
  const file = await open(database, 'r+');
  await file.write(Buffer.alloc(64, 0xab), 0, 64, (Number(row?.['rootpage']) - 1) * Number(size?.['page_size']));
  await file.close();
}

const OF_THE_STORE: readonly Damage[] = [
  ['an event is missing', 'I14', TASKS.completed, `DELETE FROM task_events WHERE task_id = '${TASKS.completed}' AND seq = 4`],
  [
    'the event that made it live is missing',
    'I1',
    TASKS.live,
    `DELETE FROM task_events WHERE task_id = '${TASKS.live}' AND event = 'assigned'`,
  ],
  ['its generation is set back', 'I1', TASKS.takenBack, set(TASKS.takenBack, 'generation', '0')],
  [
    'a generation is assigned twice',
    'I2',
    TASKS.takenBack,
    `UPDATE task_events SET event = 'assigned' WHERE task_id = '${TASKS.takenBack}' AND seq = 6`,
  ],
  [
    'its status is edited',
    'I1',
    TASKS.completed,
    `UPDATE tasks SET status = 'queued', state = json_set(state, '$.status', 'queued') WHERE id = '${TASKS.completed}'`,
  ],
  [
    'its status is edited in the column alone',
    'copies',
    TASKS.queued,
    `UPDATE tasks SET status = 'cancelled' WHERE id = '${TASKS.queued}'`,
  ],
  ['two assignments in one slot', 'I4', null, `UPDATE agents SET state = json_set(state, '$.slots', 0) WHERE id = 'a1'`],
  ['its description is missing', 'body', TASKS.queued, `DELETE FROM task_bodies WHERE task_id = '${TASKS.queued}'`],
  ['its description is not JSON', 'body', TASKS.queued, `UPDATE task_bodies SET body = 'nope' WHERE task_id = '${TASKS.queued}'`],
  ['the ID of the store is missing', 'store_id', null, 'DELETE FROM store'],
  ['its result is missing', 'result', TASKS.completed, `DELETE FROM task_results WHERE task_id = '${TASKS.completed}'`],
  ['a key points nowhere', 'I10', 'task-00000000000000ff', `UPDATE idempotency_keys SET task_ids = '["task-00000000000000ff"]'`],
  ['the record of a dependency is missing', 'dependency', TASKS.blocked, 'DELETE FROM task_dependencies'],
  ['the task it depends on is missing', 'I9', TASKS.blocked, set(TASKS.blocked, 'dependsOn', '["task-00000000000000fe"]')],
  ['a live task has no deadline', 'I3', TASKS.live, set(TASKS.live, 'deadlineAtMs', 'null')],
  ['the sweeper does not know of a deadline', 'due', TASKS.live, `UPDATE tasks SET due_at = NULL WHERE id = '${TASKS.live}'`],
  [
    'a stop of a future generation',
    'I15',
    TASKS.takenBack,
    `UPDATE pending_stops SET generation = 9, state = json_set(state, '$.generation', 9)`,
  ],
  ['a page is overwritten', 'file', null, (world) => overwritePage(world, 'task_bodies')],
  ['the page of the agents is overwritten', 'file', null, (world) => overwritePage(world, 'agents')],
  ['its agent is missing', 'I3', TASKS.live, `DELETE FROM agents WHERE id = 'a1'`],
  ['a newer version has written it', 'schema_newer', null, `INSERT INTO migrations (name, batch) VALUES ('9999-from-the-future', 9)`],
  ['a migration is missing', 'schema_older', null, 'DELETE FROM migrations'],
  ['it is of another program', 'schema', null, 'PRAGMA application_id = 7'],
  [
    'an event after its end',
    'I5',
    TASKS.cancelled,
    `UPDATE task_events SET event = 'cancelled' WHERE task_id = '${TASKS.cancelled}' AND seq = 2`,
  ],
  [
    'a frame of another agent',
    'I6',
    TASKS.completed,
    `UPDATE task_events SET agent_id = 'a2' WHERE task_id = '${TASKS.completed}' AND event = 'completed'`,
  ],
  ['more attempts than retries', 'I7', TASKS.takenBack, set(TASKS.takenBack, 'maxRetries', '-1')],
  ['dead without a reason', 'I8', TASKS.queued, set(TASKS.queued, 'status', '"dead_letter"')],
  ['a state that is not JSON', 'unreadable', TASKS.queued, `UPDATE tasks SET state = '{' WHERE id = '${TASKS.queued}'`],
  ['a task is missing but its history is not', 'I14', TASKS.queued, `DELETE FROM tasks WHERE id = '${TASKS.queued}'`],
  ['a body without a task', 'orphan', 'task-00000000000000fd', `INSERT INTO task_bodies VALUES ('task-00000000000000fd', '{}')`],
  ['an entry of the audit log is edited', 'audit', null, `UPDATE audit_log SET actor_name = 'nobody' WHERE seq = 2`],
  ['the task counts are wrong', 'counts', null, `UPDATE task_counts SET tasks = 7 WHERE status = 'queued' AND lane = 0`],
];

t.test('I1 to I16: an undamaged store is clean, with and without its hub running, and is not changed', async (t) => {
  const world = await doctorWorld(t);
  t.match(await world.findings('--fsck'), { ok: true, code: 0, findings: [] }, 'next to its hub');
  await world.storage.close();
  const before = await readFile(world.database);
  const { code, out } = await world.doctor('--fsck');
  t.equal(code, 0);
  t.match(out, /6 tasks, 22 events, 3 entries of the audit log/);
  t.match(out, /No errors found: every row was read/);
  t.ok((await readFile(world.database)).equals(before));
});

for (const [what, check, taskId, damage] of OF_THE_STORE) {
  t.test(`${check}: ${what}: is reported with its remedy`, async (t) => {
    const world = await doctorWorld(t);
    await world.storage.close();
    await (typeof damage === 'string' ? outside(world.database, damage) : damage(world));
    const { ok, code, findings } = await world.findings('--fsck');
    t.notOk(ok);
    t.equal(code, 8);
    const found = findings.find((one) => one.check === check && (taskId === null || one.task_id === taskId));
    t.ok(found, `found ${findings.map((one) => `${one.check} ${one.task_id ?? ''}: ${one.found}`).join('; ')}`);
    t.equal(found?.severity, 'error');
    t.ok((found?.hint.length ?? 0) > 30, 'it says what to do');
  });
}

for (const [what, check, taskId, damage] of UNREADABLE)
  t.test(`${check}: ${what}: is the only finding`, async (t) => {
    const world = await doctorWorld(t);
    await world.storage.close();
    await outside(world.database, damage);
    const { ok, findings } = await world.findings('--fsck');
    t.notOk(ok);
    t.match(findings, [{ check, task_id: taskId, severity: 'error' }], JSON.stringify(findings));
    t.equal(findings.length, 1, JSON.stringify(findings));
  });

t.test('unreadable: rows that cannot be read hide no others, and no violation of another task', async (t) => {
  const world = await doctorWorld(t);
  await world.storage.close();
  await outside(
    world.database,
    ...UNREADABLE.filter(([what]) => what.endsWith('not JSON')).map(([, , , damage]) => damage),
    `DELETE FROM task_events WHERE task_id = '${TASKS.live}' AND seq = 3`,
  );
  const { findings } = await world.findings('--fsck');
  const found = (check: string): readonly string[] => findings.flatMap((one) => (one.check === check ? String(one.task_id) : [])).sort();
  t.strictSame(
    found('unreadable'),
    ['null', 'null', 'null', TASKS.completed, TASKS.takenBack, TASKS.takenBack, 'task-00000000000000fc'].sort(),
    'each once',
  );
  t.strictSame(found('result'), [TASKS.cancelled]);
  t.ok(found('I14').includes(TASKS.live));
  t.notOk(found('I14').includes(TASKS.completed), 'its history is incomplete only because a row of it cannot be read');
});

t.test('audit: the place where the chain of the audit log breaks is reported, whatever the damage', async (t) => {
  for (const [damage, found] of [
    [`UPDATE audit_log SET details = '{}' WHERE seq = 2`, /^Entry 2 was changed after it was recorded/],
    ['DELETE FROM audit_log WHERE seq = 1', /^Entry 2 does not follow the entry before it: entries between them were removed$/],
    ['DELETE FROM audit_log WHERE seq = 3', /^The chain ends at entry 2, and the hub recorded 3 entries/],
    ['DELETE FROM audit_log', /^The chain ends at entry 0, and the hub recorded 3 entries/],
    [`UPDATE audit_ends SET hash = '${'f'.repeat(64)}'`, /^The chain ends at entry 3, .* removed or replaced$/],
  ] as const) {
    const world = await doctorWorld(t);
    await world.storage.close();
    await outside(world.database, damage);
    const { ok, findings } = await world.findings('--fsck');
    t.notOk(ok);
    t.match(
      findings,
      [{ check: 'audit', severity: 'error', found, hint: /Keep a copy of the database.*agentcom audit verify FILE/ }],
      damage,
    );
    t.equal(findings.length, 1);
  }
});

t.test('I9, I10: a task that was removed after its retention and left a tombstone is not reported as missing', async (t) => {
  const world = await doctorWorld(t);
  await world.storage.close();
  const gone = 'task-00000000000000fc';
  await outside(
    world.database,
    `INSERT INTO tombstones (task_id, removed_at, state) VALUES ('${gone}', 1, '{"id":"${gone}","status":"completed"}')`,
    `UPDATE idempotency_keys SET task_ids = '["${gone}"]'`,
    set(TASKS.live, 'dependsOn', `["${gone}"]`),
    `INSERT INTO task_dependencies VALUES ('${gone}', '${TASKS.live}')`,
  );
  t.match(await world.findings('--fsck'), { ok: true, findings: [] });
  await outside(world.database, 'DELETE FROM tombstones');
  const { findings } = await world.findings('--fsck');
  t.strictSame(findings.map(({ check }) => check).sort(), ['I10', 'I9', 'I9']);
});

t.test('without --fsck a damaged page is found too, and reported once with one remedy', async (t) => {
  for (const word of [[], ['--fsck']]) {
    const world = await doctorWorld(t);
    await world.storage.close();
    await overwritePage(world, 'tasks');
    const { ok, code, findings } = await world.findings(...word);
    t.notOk(ok);
    t.equal(code, 8);
    t.strictSame([...new Set(findings.map(({ check }) => check))], ['file']);
    const { out } = await world.doctor(...word);
    t.equal(out.split('What to do: ').length, 2);
    t.match(out, /agentcom restore/);
  }
});

t.test('without --fsck only the schema and the pages of the store are checked', async (t) => {
  const world = await doctorWorld(t);
  await world.storage.close();
  await outside(world.database, 'DELETE FROM task_bodies');
  t.match(await world.findings(), { ok: true, code: 0 });
  t.match((await world.doctor()).out, /schema and file pages; --fsck reads every row[^]*No errors found\./);
  await outside(world.database, `INSERT INTO migrations (name, batch) VALUES ('9999-from-the-future', 9)`);
  t.match(await world.findings(), { ok: false, code: 8, findings: [{ check: 'schema_newer' }] });
});

t.test('the text output lists each kind with its findings and the remedy once', async (t) => {
  const world = await doctorWorld(t);
  await world.storage.close();
  await outside(world.database, 'DELETE FROM task_bodies');
  const { out, code } = await world.doctor('--fsck');
  t.equal(code, 8);
  t.match(out, new RegExp(`body: error\n {2}${TASKS.completed}: its body is missing\n`));
  t.equal(out.split('What to do: ').length, 2);
});

t.test('a missing store is reported, and none is created in its place', async (t) => {
  const world = await doctorWorld(t);
  await world.storage.close();
  await rm(world.database);
  t.match(await world.findings('--fsck'), { ok: false, findings: [{ check: 'storage', hint: /agentcom restore BACKUP/ }] });
  await t.rejects(stat(world.database), { code: 'ENOENT' });
});

/** A run, and a finished report of another assignment, whose files exist only if the test makes them. */
const WITH_FILES: JournalState = {
  ...EMPTY_JOURNAL,
  ended: [`${'e'.repeat(32)} 1 c 490896`],
  slots: [
    {
      taskId: TASKS.live,
      generation: aGeneration(1),
      status: 'working',
      storeId: null,
      assignedAtMs: A_MOMENT_MS,
      acceptedAtMs: A_MOMENT_MS,
      runMaxMs: null,
      task: { description: 'count the files' },
      wakes: 1,
      expectedSinceMs: null,
      run: { runId: 'run-1', startedAtMs: A_MOMENT_MS, process: null, woken: false, detached: false },
      stop: null,
    },
  ],
  outbox: [
    {
      taskId: TASKS.completed,
      generation: aGeneration(1),
      report: 'complete',
      reason: null,
      storeId: null,
      assignedAtMs: A_MOMENT_MS,
      keepFiles: false,
    },
  ],
};

async function makeFiles({ dataDir }: DoctorWorld): Promise<void> {
  await writeFile(join(dataDir, 'outbox', `${TASKS.completed}.g1.json`), '{}');
  await mkdir(join(dataDir, 'results', `${TASKS.live}.g1`), { recursive: true });
}

const inJournal = (name: string) => (world: DoctorWorld) => join(world.dataDir, name);
const [newest, previous, endedList] = [inJournal('queue.json'), inJournal('queue.json.1'), inJournal('ended-1.log')];

const OF_THE_JOURNAL: readonly Damage[] = [
  [
    'one byte of its state has changed',
    'journal_copy',
    null,
    async (world) => {
      const text = await readFile(newest(world), 'latin1');
      await writeFile(newest(world), text.replace('count', 'mount'));
    },
  ],
  ['it is cut short', 'journal_copy', null, (world) => truncate(newest(world), 40)],
  ['it is gone', 'journal_copy', null, (world) => rm(newest(world))],
  ['the copy before it is empty', 'journal_previous', null, (world) => truncate(previous(world), 0)],
  [
    'no good copy is left',
    'journal_lost',
    null,
    async (world) => {
      await truncate(newest(world), 0);
      await truncate(previous(world), 0);
    },
  ],
  ['the list of ended assignments is truncated', 'journal_copy', null, (world) => truncate(endedList(world), 10)],
  ['the list of ended assignments is missing', 'journal_copy', null, (world) => rm(endedList(world))],
  [
    'the list of ended assignments is damaged, and both copies refer to it',
    'journal_lost',
    null,
    async (world) => {
      await copyFile(newest(world), previous(world));
      await truncate(endedList(world), 10);
    },
  ],
  ['a newer version has written it', 'journal_unknown', null, (world) => writeFile(newest(world), '{"version":9,"state":{}}')],
  [
    'a report that it names is missing',
    'report_lost',
    TASKS.completed,
    (world) => rm(join(world.dataDir, 'outbox', `${TASKS.completed}.g1.json`)),
  ],
  [
    'the results folder of a run is missing',
    'results_lost',
    TASKS.live,
    (world) => rm(join(world.dataDir, 'results'), { recursive: true }),
  ],
  ['its id is invalid', 'instance_id', null, (world) => writeFile(join(world.dataDir, 'instance-id'), 'me\n')],
  ['others have access', 'open_to_others', null, (world) => chmod(world.dataDir, 0o755)],
];

t.test('an undamaged journal is clean', async (t) => {
  const world = await doctorWorld(t, WITH_FILES);
  await makeFiles(world);
  t.match(await world.findings(), { ok: true, code: 0, findings: [] });
});

for (const [what, check, taskId, damage] of OF_THE_JOURNAL) {
  t.test(`R22: ${check}: ${what}: is reported with its remedy, and nothing is repaired`, async (t) => {
    const world = await doctorWorld(t, WITH_FILES);
    await makeFiles(world);
    if (typeof damage !== 'string') await damage(world);
    const { ok, code, findings } = await world.findings();
    t.notOk(ok);
    t.equal(code, 8);
    t.match(
      findings.map((one) => [one.check, one.task_id]),
      [[check, taskId]],
    );
    t.ok((findings[0]?.hint.length ?? 0) > 30);
    t.match((await world.findings()).findings, findings, 'it is still there');
  });
}

t.test('R4: a result that the hub refused is reported with its reason, and is not damage', async (t) => {
  const world = await doctorWorld(t);
  await writeFile(join(world.dataDir, 'refused', `${TASKS.completed}.g1.json`), '{"output":"hours of work"}');
  await writeFile(join(world.dataDir, 'refused', `${TASKS.completed}.g1.reason.txt`), 'stale_generation\n');
  await rm(join(world.dataDir, 'reserve'));
  const { ok, code, findings } = await world.findings();
  t.ok(ok);
  t.equal(code, 0);
  t.match(findings, [
    { check: 'no_reserve', severity: 'notice', found: /is missing, or has the size/, hint: /at its start/ },
    { check: 'refused', severity: 'notice', found: /g1\.json .*stale_generation/ },
  ]);
});

t.test('what the journal set aside is listed with its path and size, and with what to do', async (t) => {
  const world = await doctorWorld(t);
  const names = [`held/${'ab'.repeat(32)}.json.corrupt-then`, 'ended-7.log.corrupt-then', 'queue.json.corrupt-then'];
  await mkdir(join(world.dataDir, 'held'), { recursive: true });
  for (const name of names) await writeFile(join(world.dataDir, name), name);
  const { ok, findings } = await world.findings();
  t.ok(ok);
  t.same(
    findings.map(({ check, severity, found, hint }) => [
      check,
      severity,
      found.split(' was ')[0],
      /then remove what was set aside/.test(hint),
    ]),
    names.sort().map((name) => ['set_aside', 'notice', `${join(world.dataDir, name)} (${name.length} bytes)`, true]),
  );
});

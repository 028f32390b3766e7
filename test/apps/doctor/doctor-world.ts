/** Undamaged data of a hub and a sidecar, for a test to damage, and the doctor that inspects them. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { EMPTY_JOURNAL, type JournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import { dueAtMs } from '../../../core/domain/transitions/due.ts';
import type { TaskId } from '../../../core/domain/ids.ts';
import type { TaskEvent } from '../../../core/domain/task/event.ts';
import { NO_KEPT_RESULTS, withRefused } from '../../../core/domain/task/kept-results.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import { sqliteStorage } from '../../adapters/storage-places/sqlite-storage-place.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  aKept,
  aKey,
  anAgent,
  anAgentId,
  anAssignedTask,
  anEvent,
  aStop,
  aTask,
  aTaskId,
  aToken,
  changes,
} from '../../product/contracts/fixtures.ts';
import { run, type Ran } from '../cli/cli-world.ts';

const [A1, A2] = [anAgentId('a1'), anAgentId('a2')];
const BEGAN: readonly Partial<TaskEvent>[] = [{ event: 'submitted' }, { event: 'eligible' }];
const given = (agentId: typeof A1): readonly Partial<TaskEvent>[] => [
  ...BEGAN,
  { event: 'assigned', agentId, generation: aGeneration(1), session: 1 },
  { event: 'accepted', agentId, generation: aGeneration(1), session: 1 },
];

/** One task of each kind, by what the tests damage in it. */
export const TASKS = {
  completed: aTaskId(1),
  live: aTaskId(2),
  queued: aTaskId(3),
  blocked: aTaskId(4),
  takenBack: aTaskId(5),
  cancelled: aTaskId(6),
} as const;

const REFUSED = '{"output":"too late"}';
const KEPT = aKept({ taskId: TASKS.cancelled, result: REFUSED, sha256: createHash('sha256').update(REFUSED).digest('hex') });

const ended = { assignedAtMs: null, acceptedAtMs: null, deadlineAtMs: null, runDeadlineAtMs: null } as const;

const STORED: readonly (readonly [task: Task, history: readonly Partial<TaskEvent>[]])[] = [
  [
    anAssignedTask(A1, { id: TASKS.completed, status: 'completed', ...ended }),
    [...given(A1), { event: 'completed', agentId: A1, generation: aGeneration(1), session: 1 }],
  ],
  [anAssignedTask(A1, { id: TASKS.live }), given(A1)],
  [aTask({ id: TASKS.queued }), BEGAN],
  [
    aTask({ id: TASKS.blocked, status: 'blocked', eligibleAtMs: null, dependsOn: [TASKS.queued] }),
    [{ event: 'submitted' }, { event: 'blocked' }],
  ],
  [
    aTask({ id: TASKS.takenBack, generation: aGeneration(2), retryCount: 1 }),
    [
      ...given(A2),
      { event: 'lost', agentId: A2, generation: aGeneration(1) },
      { event: 'stop_requested', agentId: A2, generation: aGeneration(1) },
    ],
  ],
  [
    aTask({
      id: TASKS.cancelled,
      status: 'cancelled',
      generation: aGeneration(1),
      eligibleAtMs: null,
      kept: withRefused(NO_KEPT_RESULTS, KEPT),
    }),
    [...BEGAN, { event: 'cancelled' }],
  ],
];

const REMOVED = 'task-00000000000000fc';
const inEvent = (column: 'details' | 'earlier', text: string): string =>
  `UPDATE task_events SET ${column} = '${text}' WHERE task_id = '${TASKS.completed}' AND seq = 4`;

/** For both databases: one row of each kind that cannot be read. */
export const UNREADABLE: readonly (readonly [what: string, check: string, taskId: string | null, damage: string])[] = [
  ['the state of a task is not JSON', 'unreadable', TASKS.takenBack, `UPDATE tasks SET state = '{' WHERE id = '${TASKS.takenBack}'`],
  ['the details of an event are not JSON', 'unreadable', TASKS.completed, inEvent('details', '{')],
  ['the details of an event are not an object', 'unreadable', TASKS.completed, inEvent('details', '7')],
  ['the earlier events of a row are not JSON', 'unreadable', TASKS.completed, inEvent('earlier', '[')],
  ['the earlier events of a row are not events', 'unreadable', TASKS.completed, inEvent('earlier', '[[]]')],
  ['the state of an agent is not JSON', 'unreadable', null, `UPDATE agents SET state = '{' WHERE id = 'a2'`],
  ['the capabilities of a token are not JSON', 'unreadable', null, `UPDATE tokens SET capabilities = '['`],
  ['a pending stop is not JSON', 'unreadable', TASKS.takenBack, `UPDATE pending_stops SET state = '{'`],
  ['a pending stop names nothing', 'unreadable', TASKS.takenBack, `UPDATE pending_stops SET state = '{}'`],
  ['the tasks of a key are not JSON', 'unreadable', null, `UPDATE idempotency_keys SET task_ids = '['`],
  ['the tasks of a key are not IDs', 'unreadable', null, `UPDATE idempotency_keys SET task_ids = '[7]'`],
  ['a tombstone is not JSON', 'unreadable', REMOVED, `INSERT INTO tombstones (task_id, removed_at, state) VALUES ('${REMOVED}', 1, '{')`],
  [
    'a tombstone names nothing',
    'unreadable',
    REMOVED,
    `INSERT INTO tombstones (task_id, removed_at, state) VALUES ('${REMOVED}', 1, '{}')`,
  ],
  ['a result is cut off', 'result', TASKS.completed, `UPDATE task_results SET json = '{"cut'`],
  ['a refused result is cut off', 'result', TASKS.cancelled, `UPDATE task_kept_results SET result = '{"cut'`],
  ['a refused result is another one', 'result', TASKS.cancelled, `UPDATE task_kept_results SET result = '{"output":"in time"}'`],
  ['a refused result is of another agent', 'result', TASKS.cancelled, `UPDATE task_kept_results SET agent_id = 'a9'`],
  ['the details of a refused result are not JSON', 'result', TASKS.cancelled, `UPDATE task_kept_results SET details = '{'`],
];

/** The configuration of this store's hub. */
const CONFIG = `import { defineConfig } from 'agentcom';
import { sqlite } from 'agentcom/storage';
import { ws } from 'agentcom/transport';
import { command } from 'agentcom/runners';

export default defineConfig({
  hub: { listen: { port: 0 }, storage: sqlite({ file: 'agentcom.db' }), transport: ws(), dataDir: 'hub' },
  sidecar: { hubs: ['ws://127.0.0.1:9/ws'], agentId: 'a1', dataDir: 'sidecar', wake: command({ argv: ['node'] }) },
});
`;

export interface DoctorWorld {
  readonly folder: string;
  /** The hub's database. */
  readonly database: string;
  /** The sidecar's data directory. */
  readonly dataDir: string;
  /** The hub's storage, open as in a running hub; close it for a stopped hub. */
  readonly storage: Storage;
  doctor(...options: readonly string[]): Promise<Ran>;
  findings(...options: readonly string[]): Promise<Answer>;
}

export interface Answer {
  readonly ok: boolean;
  readonly code: number;
  readonly findings: readonly {
    readonly check: string;
    readonly severity: string;
    readonly task_id: string | null;
    readonly found: string;
    readonly hint: string;
  }[];
}

/** `state`: the contents of the sidecar's journal. */
export async function doctorWorld(t: Test, state: JournalState = EMPTY_JOURNAL): Promise<DoctorWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-doctor-'));
  await writeFile(join(folder, 'agentcom.config.ts'), CONFIG);
  const [database, dataDir] = [join(folder, 'hub', 'agentcom.db'), join(folder, 'sidecar')];
  await mkdir(join(folder, 'hub'), { mode: 0o700 });
  const storage = sqliteStorage(database);
  t.teardown(async () => {
    await storage.close();
    await rm(folder, { recursive: true });
  });
  await storage.open();
  await fill(storage);
  await saveJournal(dataDir, state);
  const doctor = (...options: readonly string[]): Promise<Ran> => run(['doctor', ...options], { cwd: folder });
  return {
    folder,
    database,
    dataDir,
    storage,
    doctor,
    async findings(...options) {
      const { out, code, err } = await doctor('--json', ...options);
      if (err !== '') throw new Error(err);
      return { ...(JSON.parse(out) as Answer), code };
    },
  };
}

/** How many events of each task share its first row. */
const SHARING_ROW = 2;

const eventsOf = (taskId: TaskId, history: (typeof STORED)[number][1]): readonly TaskEvent[] =>
  history.map((event, place) => anEvent({ taskId, seq: place + 1, ...event }));

/** Commits one task of each kind with its history, and three entries of the audit log. */
export async function fill(storage: Storage): Promise<void> {
  const tasks = STORED.map(([task, history]) => ({ ...task, eventSeq: history.length }));
  await storage.tasks.transact('filling', async (unit) => {
    await unit.save(
      changes({
        inserted: tasks.map((task) => ({ task, dueAtMs: dueAtMs(task, A_MOMENT_MS), body: aBody() })),
        // The others are saved one by one, so that each has a row that can be damaged alone.
        events: STORED.flatMap(([{ id }, history]) => eventsOf(id, history).slice(0, SHARING_ROW)),
        results: [{ taskId: TASKS.completed, json: '{"output":"done"}' }],
        kept: [KEPT],
        agents: [anAgent({ id: A1, slots: 2 }), anAgent({ id: A2 })],
        stopsSet: [aStop({ agentId: A2, taskId: TASKS.takenBack, reason: 'reclaimed' })],
        keys: [aKey({ taskIds: [TASKS.completed] })],
      }),
    );
    for (const [{ id }, history] of STORED)
      for (const event of eventsOf(id, history).slice(SHARING_ROW)) await unit.save(changes({ events: [event] }));
  });
  await storage.agents.addToken(aToken());
  const actor = { id: 'tok-1', name: 'ops', role: 'operator' };
  const entry = { atMs: A_MOMENT_MS, actor, address: '192.0.2.7', object: A1, outcome: 'done', details: { deadline_ms: 1 } } as const;
  await storage.audit.append((['agent.drain', 'agent.resume', 'agent.takeover'] as const).map((act) => ({ ...entry, act })));
}

/** Twice, so that there is a copy before the newest. */
async function saveJournal(dataDir: string, state: JournalState): Promise<void> {
  const journal = fileJournal({ dataDir, clock: virtualClock(), log: silentLog });
  await journal.open();
  await journal.save(EMPTY_JOURNAL);
  await journal.save(state);
  await journal.close();
}

/** Undamaged data of a hub and a sidecar, for a test to damage, and the doctor that inspects them. */
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
import type { Task } from '../../../core/domain/task/task.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import { sqliteStorage } from '../../adapters/storage-places/sqlite-storage-place.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  aKey,
  anAgent,
  anAgentId,
  anAssignedTask,
  anEvent,
  aStop,
  aTask,
  aTaskId,
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
  [aTask({ id: TASKS.cancelled, status: 'cancelled', generation: aGeneration(1), eligibleAtMs: null }), [...BEGAN, { event: 'cancelled' }]],
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
        agents: [anAgent({ id: A1, slots: 2 }), anAgent({ id: A2 })],
        stopsSet: [aStop({ agentId: A2, taskId: TASKS.takenBack, reason: 'reclaimed' })],
        keys: [aKey({ taskIds: [TASKS.completed] })],
      }),
    );
    for (const [{ id }, history] of STORED)
      for (const event of eventsOf(id, history).slice(SHARING_ROW)) await unit.save(changes({ events: [event] }));
  });
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

/** A store with an example of everything: tasks in every state with their history, and each kind of row that a hub writes. */
import { createHash, randomBytes } from 'node:crypto';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import type { Engine } from '../../adapters/storage-knex/engine.ts';
import { knexStorage } from '../../adapters/storage-knex/knex-storage.ts';
import type { AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import { HUB_LIMITS } from '../../core/config/limits.ts';
import { HUB_TIMING } from '../../core/config/times.ts';
import { rulesOf } from '../../core/application/hub/batch/hub-context.ts';
import { silentLog } from '../../core/ports/log.ts';
import {
  A_MOMENT_MS,
  aBody,
  aGeneration,
  aKey,
  anAgent,
  anAgentId,
  anEvent,
  aStop,
  aTask,
  aTaskId,
  aToken,
  changes,
} from '../product/contracts/fixtures.ts';
import { commit, HOSTILE_TEXTS } from '../product/contracts/storage/storage-room.ts';
import { fillTasks } from '../chaos/rig/tasks/filled-tasks.ts';

/** A task removed after its retention: a tombstone is left, and the numbers of its events are never reused. */
const REMOVED = aTaskId(0xdead);

/** Before everything else that ended. */
const LONG_AGO_MS = 1_000;

/** Fills an empty store, and closes it. */
export async function fillStore(engine: Engine, tasks: number): Promise<void> {
  const opened = await engine.open();
  try {
    await fillTasks(opened, { count: tasks, rules: rulesOf(HUB_TIMING, HUB_LIMITS) });
  } finally {
    await opened.close();
  }
  const storage = knexStorage({ engine, clock: systemClock(), log: silentLog });
  await storage.open();
  try {
    const odd = HOSTILE_TEXTS.map((text, n) => {
      const id = aTaskId(0xa000 + n);
      const named = { generation: aGeneration(1), agentId: anAgentId('late'), bytes: 2 ** 40, sha256: sha256(text), atMs: A_MOMENT_MS };
      const name = { ...named, kind: n === 0 ? ('refused' as const) : ('late' as const) };
      const details = n === 0 ? null : JSON.stringify({ text });
      const task = aTask({ id, eventSeq: 3, generation: aGeneration(2), lastError: text, kept: { results: [name], refused: [] } });
      return { text, task, kept: { ...name, taskId: id, reason: text, result: JSON.stringify({ text }), details } };
    });
    await commit(
      storage,
      changes({
        inserted: [
          ...odd.map(({ text, task }) => ({ task, dueAtMs: null, body: aBody({ description: text, metadata: JSON.stringify({ text }) }) })),
          { task: aTask({ id: REMOVED, status: 'completed', eventSeq: 1, updatedAtMs: LONG_AGO_MS }), dueAtMs: null, body: aBody() },
        ],
        events: [
          ...odd.flatMap(({ text, task }) => [
            anEvent({ taskId: task.id, seq: 1 }),
            anEvent({
              taskId: task.id,
              seq: 2,
              event: 'late_result',
              agentId: anAgentId('late'),
              generation: aGeneration(1),
              details: { result: text },
            }),
            anEvent({ taskId: task.id, seq: 3, event: 'report_refused', agentId: anAgentId('late'), session: 2 ** 40 }),
          ]),
          anEvent({ taskId: REMOVED, seq: 1 }),
        ],
        kept: odd.map(({ kept }) => kept),
        results: odd.map(({ text, task }) => ({ taskId: task.id, json: JSON.stringify({ output: text }) })),
        agents: [anAgent({ id: anAgentId('late'), name: 'łate \u0001 agent' })],
        stopsSet: [aStop({ agentId: anAgentId('late'), taskId: aTaskId(0xa000), generation: aGeneration(1) })],
        keys: odd.map(({ text }, n) =>
          aKey({ owner: 'admin', key: `${text}${n}`, digest: sha256(text), taskIds: [aTaskId(0xa000 + n)], createdAtMs: A_MOMENT_MS }),
        ),
      }),
    );
    // Its event is older than the newest, so that it can be removed; then no row contains the newest number.
    const who = { taskId: aTaskId(0xa000), agentId: anAgentId('late'), generation: aGeneration(1) };
    await commit(storage, changes({ events: [anEvent({ ...who, seq: 4, event: 'assigned' }), anEvent({ taskId: who.taskId, seq: 5 })] }));
    const output = { ...who, atMs: A_MOMENT_MS, stream: 'agent', seq: 0, dropped: 7 } as const;
    await storage.output.append([{ ...output, text: 'łate \u0001 output' }], { bytesMax: 1_000, chunksMax: 10 });
    await storage.tasks.transact('removing', (unit) =>
      unit.remove({
        nowMs: A_MOMENT_MS,
        endedBeforeMs: LONG_AGO_MS,
        deadBeforeMs: 0,
        tombstonesBeforeMs: 0,
        keysBeforeMs: 0,
        limit: 1_000_000,
      }),
    );
    await storage.agents.addToken(aToken({ id: 'tok-fixed', agentId: anAgentId('late'), capabilities: ['code', 'gpu'], maxSlots: 3 }));
    await storage.agents.addToken(
      aToken({ id: 'tok-person', name: 'ops \u0000 "person"', role: 'operator', agentId: null, hash: sha256('person') }),
    );
    await storage.agents.addEnrolSecret(randomBytes(32).toString('hex'), A_MOMENT_MS);
    await storage.audit.append(HOSTILE_TEXTS.map(audited));
    await storage.audit.remove({ keptMs: Number.MAX_SAFE_INTEGER, entriesMax: HOSTILE_TEXTS.length - 2, limit: 100 });
  } finally {
    await storage.close();
  }
}

const audited = (text: string): AuditDraft => ({
  atMs: A_MOMENT_MS,
  actor: { id: null, name: text, role: 'none' },
  address: null,
  act: 'session.refuse',
  object: text,
  outcome: 'refused',
  details: { text },
});

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

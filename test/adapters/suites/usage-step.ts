/** Migrates a store from before usage was recorded per attempt: its sums, its agents and texts that look like fields survive the step. */
import type { Test } from 'tap';
import { usage } from '../../../adapters/storage-knex/migrations/0004-usage.ts';
import type { Agent } from '../../../core/domain/agent/agent.ts';
import { totalOf } from '../../../core/domain/usage.ts';
import type { Task } from '../../../core/domain/task/task.ts';
import { aBody, anAgent, anAgentId, aTask, aTaskId, changes } from '../../product/contracts/fixtures.ts';
import type { Storage } from '../../../core/ports/storage.ts';

/** As an older version wrote them. */
function oldTask(task: Task, tokensUsed: number | null, costUsd: number | null): Record<string, unknown> {
  const entries = Object.entries(task).flatMap(([name, value]): [string, unknown][] =>
    name === 'session'
      ? []
      : name === 'usage'
        ? [
            ['tokensUsed', tokensUsed],
            ['costUsd', costUsd],
          ]
        : [[name, value]],
  );
  return Object.fromEntries(entries);
}
const NEW_OF_AGENTS = ['pausedCause', 'pauses', 'checks', 'checksAsked'];
const oldAgent = (agent: Agent): Record<string, unknown> =>
  Object.fromEntries(Object.entries(agent).filter(([name]) => !NEW_OF_AGENTS.includes(name)));

const lastError = 'it said "tokensUsed":5,"costUsd":6 and \u0000 "busyUntilMs": too';
const TASKS = [
  { task: aTask({ id: aTaskId(1), lastError }), tokensUsed: 1_200, costUsd: 1e-7 },
  { task: aTask({ id: aTaskId(2) }), tokensUsed: null, costUsd: null },
] as const;
const AGENT = anAgent({ id: anAgentId('a1'), pausedReason: lastError, resources: { busyUntilMs: 7 } });

/** `ask` runs a statement outside the storage, which is closed then. */
export async function usageStep(
  t: Test,
  { storage, ask }: { readonly storage: () => Storage; readonly ask: (sql: string) => Promise<unknown> },
): Promise<void> {
  const before = storage();
  await before.open();
  await before.tasks.transact('filling', async (unit) => {
    await unit.save(changes({ inserted: TASKS.map(({ task }) => ({ task, dueAtMs: null, body: aBody() })), agents: [AGENT] }));
  });
  await before.close();
  const text = (value: unknown): string => `'${JSON.stringify(value).replaceAll("'", "''")}'`;
  for (const { task, ...old } of TASKS)
    await ask(`UPDATE tasks SET state = ${text(oldTask(task, old.tokensUsed, old.costUsd))} WHERE id = '${task.id}'`);
  await ask(`UPDATE agents SET state = ${text(oldAgent(AGENT))}`);
  await ask(`DELETE FROM migrations WHERE name = '${usage.name}'`);
  const after = storage();
  await after.open();
  for (const { task, tokensUsed, costUsd } of TASKS) {
    const found = (await after.tasks.read(task.id))?.task;
    t.strictSame(found, { ...task, usage: { attempts: [], earlier: { tokensUsed, costUsd } } });
    t.match(found === undefined ? null : totalOf(found.usage), { tokensUsed, costUsd });
  }
  t.strictSame((await after.agents.getAgent(AGENT.id))?.agent, AGENT);
  await after.close();
}

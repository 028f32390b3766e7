/** Removes agents that nobody can be any more, with their tokens. Waits for nobody. */
import type { AgentId } from '../../core/domain/ids.ts';
import { agentHistoryId } from '../../core/domain/task/event.ts';
import type { AgentRemoval, RemovedAgents } from '../../core/ports/task-store.ts';
import type { Row, Transaction } from './engine.ts';

/** Of the agents with an id after `after`. */
export async function removeAgents(
  transaction: Transaction,
  { beforeMs, after, lookedMax, eventsKept }: AgentRemoval,
): Promise<RemovedAgents> {
  const looked = idsIn(await transaction.rows('agentsAfter', { after: after ?? '', limit: lookedMax }));
  const agents = await removeUnneeded(transaction, looked, beforeMs);
  if (looked.length > 0) await transaction.change('removeAgentEvents', { historyIds: looked.map(agentHistoryId), kept: eventsKept });
  return { agents, next: looked.length === lookedMax ? (looked.at(-1) ?? null) : null };
}

/** Of these agents. Answers whom it removed. */
export async function removeUnneeded(transaction: Transaction, ids: readonly AgentId[], beforeMs: number): Promise<readonly AgentId[]> {
  if (ids.length === 0) return [];
  const taken = idsIn(await transaction.rows('takeUnneededAgents', { ids, beforeMs }));
  if (taken.length === 0) return [];
  // Now that they are locked: one may have got a token, or a task, while they were looked for.
  const unneeded = idsIn(await transaction.rows('takeUnneededAgents', { ids: taken, beforeMs }));
  if (unneeded.length === 0) return [];
  await transaction.change('removeTokensOf', unneeded);
  const removed = idsIn(await transaction.rows('removeAgents', unneeded));
  if (removed.length > 0) await transaction.change('removeAgentEvents', { historyIds: removed.map(agentHistoryId), kept: 0 });
  return removed;
}

const idsIn = (rows: readonly Row[]): readonly AgentId[] => rows.map((row) => row['id'] as AgentId);

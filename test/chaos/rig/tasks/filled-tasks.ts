/** A store as it is after much work: most tasks have ended, many wait, some are assigned to agents that never return. */
import type { OpenEngine, Transaction } from '../../../../adapters/storage-knex/engine.ts';
import { eventRows } from '../../../../adapters/storage-knex/rows/event-rows.ts';
import { agentColumns, taskColumns } from '../../../../adapters/storage-knex/rows/rows.ts';
import { countsOfNew } from '../../../../adapters/storage-knex/rows/task-counts.ts';
import type { StatementName } from '../../../../adapters/storage-knex/statements.ts';
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import { systemIds } from '../../../../adapters/ids-system/system-ids.ts';
import { newAgent, type Agent } from '../../../../core/domain/agent/agent.ts';
import { dueAtMs } from '../../../../core/domain/transitions/due.ts';
import type { AgentId, TaskId } from '../../../../core/domain/ids.ts';
import type { Rules } from '../../../../core/domain/task/rules.ts';
import { NO_TERMS, PRIORITIES, type Status, type Task, type TaskBody } from '../../../../core/domain/task/task.ts';
import { decideAssign } from '../../../../core/domain/transitions/assigning.ts';
import { mergeChanges, type Change, type Transition } from '../../../../core/domain/transitions/change.ts';
import { decideAccept, decideComplete, decideFail } from '../../../../core/domain/transitions/reporting.ts';
import { decideSubmit } from '../../../../core/domain/transitions/submitting.ts';
import { decideCancel } from '../../../../core/domain/transitions/taking-back.ts';
import type { Changes } from '../../../../core/ports/task-store.ts';

/** Tasks per transaction. */
const SAVED_AT_ONCE = 5_000;
/** And per statement in it. */
const ROWS_IN_STATEMENT = 1_000;
/** Between two submits in the past. */
const SUBMIT_EACH_MS = 10;
/** Waiting tasks require one of this many capabilities, which no agent has. */
const CAPABILITIES = 100;
const AGENTS = 80;
/** The most that an agent may have: of ten million tasks ten thousand are assigned. */
const SLOTS = 128;
const YEAR_MS = 365 * 86_400_000;

type Growing = { readonly [Key in 'inserted' | 'events' | 'results' | 'agents']: Changes[Key][number][] };

/** The fate of the task with this number: of twenty, ten are completed and nine wait; one in a thousand is live. */
function fateOf(n: number): Exclude<Status, 'queued'> | 'waiting' {
  if (n % 1_000 === 19) return 'assigned';
  if (n % 20 < 10) return 'completed';
  if (n % 20 < 19) return 'waiting';
  return (['dead_letter', 'cancelled', 'scheduled', 'blocked'] as const)[Math.floor(n / 20) % 4] ?? 'blocked';
}

/** Fills an empty store with this many tasks, all by the domain's own transitions; returns the number of tasks of each status. */
export async function fillTasks(
  engine: OpenEngine,
  { count, rules, onSaved }: { readonly count: number; readonly rules: Rules; readonly onSaved?: ((count: number) => void) | undefined },
): Promise<Readonly<Partial<Record<Status, number>>>> {
  const nowMs = Date.now();
  const clock = systemClock();
  const ids = systemIds({ clock });
  const workers = Array.from({ length: AGENTS }, (_, n) => agentOf(`past-${n + 1}`, nowMs, false));
  let assigned = 0;
  const gone = Array.from({ length: AGENTS }, (_, n) => agentOf(`gone-${n + 1}`, nowMs, true));
  const statuses: Partial<Record<Status, number>> = {};
  let waiting: TaskId | null = null;

  for (let from = 0; from < count; from += SAVED_AT_ONCE) {
    const changes: Growing = { inserted: [], events: [], results: [], agents: from === 0 ? [...workers, ...gone] : [] };
    for (let n = from; n < Math.min(count, from + SAVED_AT_ONCE); n += 1) {
      const fate = fateOf(n);
      const submitMs = nowMs - (count - n) * SUBMIT_EACH_MS;
      // Counted separately: every thousandth task would go to the same agent.
      const agent = (fate === 'assigned' ? gone[assigned++ % AGENTS] : workers[n % AGENTS]) as Agent;
      const submitted = decideSubmit(draftOf(ids.task(), n, fate, waiting, nowMs), 'admin', fate !== 'blocked', submitMs);
      const change = past(submitted, { fate, agent, submitMs, nowMs, rules });
      if (fate === 'waiting') waiting = change.task.id;
      statuses[change.task.status] = (statuses[change.task.status] ?? 0) + 1;
      changes.inserted.push({ task: change.task, body: bodyOf(n), dueAtMs: dueAtMs(change.task, nowMs) });
      changes.events.push(...change.events);
      if (change.result !== null) changes.results.push({ taskId: change.task.id, json: change.result });
    }
    await engine.write(null, (transaction) => save(transaction, changes));
    onSaved?.(Math.min(count, from + SAVED_AT_ONCE));
  }
  return statuses;
}

/** As a hub's commit writes it, except that the numbers of the events are not needed. */
async function save(transaction: Transaction, { inserted, events, results, agents }: Growing): Promise<void> {
  const write = async (statement: StatementName, rows: readonly unknown[]): Promise<void> => {
    for (let from = 0; from < rows.length; from += ROWS_IN_STATEMENT)
      await transaction.change(statement, rows.slice(from, from + ROWS_IN_STATEMENT));
  };
  await write('saveAgents', agents.map(agentColumns));
  const insertTasks = inserted.map(taskColumns);
  await write('insertTasks', insertTasks);
  const { counting } = transaction;
  if (counting !== null)
    await counting.change('saveCounts', await countsOfNew(counting, { insertTasks, updateTasks: [] }, () => undefined));
  await write(
    'insertBodies',
    inserted.map(({ task, body }) => ({ taskId: task.id, body })),
  );
  await write(
    'insertDependencies',
    inserted.flatMap(({ task }) => task.dependsOn.map((dependsOn) => ({ taskId: task.id, dependsOn }))),
  );
  await write('saveResults', results);
  const rows = eventRows(events);
  for (let from = 0; from < rows.length; from += ROWS_IN_STATEMENT)
    await transaction.rows('insertEvents', rows.slice(from, from + ROWS_IN_STATEMENT));
}

/** One transition after the other, each decided on the one before. */
function past(
  submitted: Change,
  how: {
    readonly fate: ReturnType<typeof fateOf>;
    readonly agent: Agent;
    readonly submitMs: number;
    readonly nowMs: number;
    readonly rules: Rules;
  },
): Change {
  const { fate, agent, submitMs, nowMs, rules } = how;
  const by = { agentId: agent.id, session: agent.sessionNumber };
  const then = (before: Change, decide: (task: Task) => Transition): Change => {
    const next = decide(before.task);
    if (next.kind === 'refused') throw new Error(`task ${before.task.id} cannot be made ${fate}: ${next.code}`);
    return mergeChanges(before, next);
  };
  // The agent that is gone held it until a moment ago, so that its lease has not expired.
  const givenMs = fate === 'assigned' ? nowMs : submitMs + 1;
  const assigned = (): Change => then(submitted, (task) => decideAssign(task, by, givenMs, rules));
  switch (fate) {
    case 'completed': {
      const message = { result: '{"status":"success","output":"done"}', tokensUsed: 1_200, costUsd: null, details: null };
      return then(assigned(), (task) => decideComplete(task, by, message, submitMs + 2));
    }
    case 'dead_letter': {
      const message = { error: 'cannot be done', kind: 'agent_failed', retryable: false, tokensUsed: null, costUsd: null, details: null };
      return then(assigned(), (task) => decideFail(task, by, message, submitMs + 2, rules));
    }
    case 'assigned':
      return then(assigned(), (task) => decideAccept(task, by, nowMs, rules));
    case 'cancelled':
      return then(submitted, (task) => decideCancel(task, 'admin', submitMs + 1));
    case 'waiting':
    case 'scheduled':
    case 'blocked':
      return submitted;
  }
}

const draftOf = (id: TaskId, n: number, fate: ReturnType<typeof fateOf>, waiting: TaskId | null, nowMs: number) => ({
  id,
  priority: PRIORITIES[n % PRIORITIES.length] ?? 'normal',
  neededCapabilities: fate === 'waiting' || fate === 'blocked' ? [`archive-${n % CAPABILITIES}`] : ['code'],
  assignTo: null,
  maxRetries: 3,
  ...NO_TERMS,
  runAtMs: fate === 'scheduled' ? nowMs + YEAR_MS : null,
  dependsOn: fate === 'blocked' && waiting !== null ? [waiting] : [],
});

const bodyOf = (n: number): TaskBody => ({
  description: `Task ${n} of the past: look through the module, document what it does, and fix what its tests report.`,
  metadata: null,
  repo: 'git@example.com:team/service.git',
  branch: `task-${n}`,
  fileHints: [],
  successCriteria: ['its tests pass'],
  verificationSteps: [],
});

const agentOf = (name: string, nowMs: number, connected: boolean): Agent => ({
  ...newAgent(name as AgentId),
  capabilities: ['code'],
  slots: SLOTS,
  sessionNumber: 1,
  hubId: 'hub-of-the-past',
  connected,
  connectedAtMs: nowMs - YEAR_MS,
  disconnectedAtMs: connected ? null : nowMs,
  lastHeardAtMs: nowMs,
  instanceId: `instance-${name}`,
});

/** The commands of a batch: the rows that each needs, and the handler that runs it. */
import type { Agent } from '../../../domain/agent/agent.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import { bodyCharacters, type Task } from '../../../domain/task/task.ts';
import { dueAtMs } from '../../../domain/transitions/due.ts';
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { IdempotencyName } from '../../../ports/task-store.ts';
import type { Batch } from '../batch/batch.ts';
import type { AnswerTo, Command, Reporter } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { handleMail, handlePoll, loadForHubs, sweptAgents, disconnectExpired, takeMail, type HubsLoad } from './handle-hubs.ts';
import { handleAdopt, handleCancel, handleRetry, sweep } from './handle-operator.ts';
import { handleReport, handleStopConfirmed } from './handle-report.ts';
import { handleDisconnect, handleIdentify, handlePresence, handleRecover, handleAgentControl } from './handle-session.ts';
import { handlePush, handleSubmit } from './handle-submit.ts';
import { readAhead } from '../batch/read-ahead.ts';
import type { Roster } from '../batch/roster.ts';

/** Tasks that one sweep handles; the next sweep follows at once if there are more. */
const SWEPT_PER_BATCH = 1_000;

/** How many bodies are read at once, and up to how many characters in a batch, to compare them with those of repeated submits. */
const BODIES_AT_ONCE = 16;
const COMPARED_CHARACTERS_MAX = 1_048_576;

/** Data that was read for a command before its batch began. */
export interface Prefetched {
  readonly lateResult: string | null;
}

/** The rows for the sweep of this batch; `isSweep` false if it has none. */
export interface SweepLoad {
  readonly isSweep: boolean;
  readonly hubs: HubsLoad;
  /** Agents as they were loaded. */
  readonly swept: readonly Agent[];
  readonly due: readonly Task[];
}

type Answer = () => AnswerTo<Command>;
const NOTED = { kind: 'noted' } as const;

/**
 * Loads all rows that the commands read, and locks those that they may change: the only place in a batch that waits for
 * other hubs. The names are collected first, then locked by one `load`, in the store's lock order (`StoreUnit`).
 * Everything read later is read without a lock, or skips rows that another hub has locked.
 */
export async function loadBatch(batch: Batch, commands: readonly Command[], context: HubContext, roster: Roster): Promise<SweepLoad> {
  const { unit } = batch;
  const names = rowNamesOf(commands, roster);
  const hubs = await loadForHubs(batch, commands, context, roster);
  const hasSweep = commands.some((command) => command.kind === 'sweep');
  const isDuty = hasSweep && hubs.hasDuty;
  const assignees = new Set(isDuty ? await unit.dueAssignees(batch.nowMs, SWEPT_PER_BATCH) : []);
  const holders = new Set([...names.holders, ...hubs.agentIds]);
  const agents = [...names.agents, ...assignees];
  const [loaded, unlocked, ahead] = await Promise.all([
    unit.load({
      keys: batch.keys.toLoad(names.keys),
      agents,
      tasks: [...names.tasks],
      holders: [...holders],
      completing: [...names.completing],
      retried: [...names.retried],
    }),
    names.unlockedAgents.size > 0 ? unit.read({ agents: [...names.unlockedAgents] }) : null,
    readAhead(unit, {
      completing: names.completing,
      agents: agents.filter((id) => !holders.has(id)),
      commands,
      hasFreeAgents: roster.hasFree(batch.nowMs),
      hasManyRequirements: roster.hasManyRequirements(batch.nowMs),
    }),
  ]);
  batch.add(loaded);
  batch.addHoldings(loaded.holdings);
  if (unlocked !== null) batch.addUnlocked(unlocked);
  batch.ahead = ahead;
  if (ahead.waiting?.isAll === false) roster.foundManyRequirements(batch.nowMs);
  batch.addCounts(ahead.counts);
  await readReferenced(batch, names);
  const due = isDuty ? await unit.due(batch.nowMs, SWEPT_PER_BATCH) : [];
  const postedAtMs = due.length === 0 ? 0 : Math.max(...commands.map((command) => postedAt(command, batch.nowMs)));
  // A task that became due while the agents were being locked is left to the next sweep, together with its agent. So is one whose agent had
  // still time when the sweep was posted: what the agent has sent since may have arrived, and not been posted yet.
  const sweepable = due.filter(
    (task) =>
      task.assignedTo === null ||
      ((assignees.has(task.assignedTo) || batch.agent(task.assignedTo) !== undefined) && (dueAtMs(task, batch.nowMs) ?? 0) <= postedAtMs),
  );
  batch.add({ tasks: sweepable });
  return { isSweep: hasSweep, hubs, swept: hasSweep ? sweptAgents(batch, hubs, context) : [], due: sweepable };
}

const postedAt = (command: Command, nowMs: number): number => (command.kind === 'sweep' ? (command.posted?.atMs ?? nowMs) : 0);

/**
 * Runs the commands in order, a sweep after all others, so that frames that arrived while it waited take effect before it. Each answer
 * is a function that is called once all changes of the batch are known.
 */
export function runCommands(
  batch: Batch,
  entries: readonly { readonly command: Command; readonly prefetched: Prefetched }[],
  load: SweepLoad,
  context: HubContext,
): readonly Answer[] {
  const answers = entries.map(({ command, prefetched }) => runCommand(batch, command, prefetched, load, context));
  takeMail(batch, load.hubs);
  if (!load.isSweep) return answers;
  disconnectExpired(batch, load.hubs, context);
  sweep(batch, load.due, load.swept, context);
  return answers;
}

function runCommand(batch: Batch, command: Command, prefetched: Prefetched, load: SweepLoad, context: HubContext): Answer {
  switch (command.kind) {
    case 'submit':
      return answerWith(handleSubmit(batch, command, context));
    case 'push':
      return handlePush(batch, command, batch.agentSnapshot(command.draft.assignTo)?.connected ?? false);
    case 'cancel':
      return answerWith(handleCancel(batch, command));
    case 'retry':
      return answerWith(handleRetry(batch, command));
    case 'adopt':
      return answerWith(handleAdopt(batch, command, prefetched.lateResult));
    case 'report':
      return answerWith(handleReport(batch, command, context));
    case 'identify':
      return answerWith(handleIdentify(batch, command, context));
    case 'recover':
      return answerWith(handleRecover(batch, command, context));
    case 'agent_control':
      return answerWith(handleAgentControl(batch, command));
    case 'disconnect':
      handleDisconnect(batch, command, context);
      return answerWith(NOTED);
    case 'presence':
      handlePresence(batch, command, context);
      return answerWith(NOTED);
    case 'stop_confirmed':
      handleStopConfirmed(batch, command);
      return answerWith(NOTED);
    case 'sweep':
      batch.removalWanted ||= load.hubs.hasDuty && command.dueOnly !== true;
      return answerWith({ kind: 'swept', hadDuty: load.hubs.hasDuty, more: load.hubs.more });
    case 'remove_old':
      throw new AgentcomError('AC_INTERNAL', 'A remove_old command was put into a batch with other commands.');
    case 'hub_started':
      disconnectExpired(batch, load.hubs, context);
      return answerWith(NOTED);
    case 'hub_stopped':
      return answerWith(NOTED);
    case 'poll':
      return answerWith(handlePoll(batch, command, load.hubs, context));
    case 'mail':
      return answerWith(handleMail(batch, command, load.hubs, context));
  }
}

const answerWith =
  (answer: AnswerTo<Command>): Answer =>
  () =>
    answer;

/** Owns no key: with it, a key that names a task is locked for all that submit. */
const NOBODY = '';

interface RowNames {
  readonly tasks: Set<TaskId>;
  readonly agents: Set<AgentId>;
  /** Agents whose live assignments and stops are needed too. */
  readonly holders: Set<AgentId>;
  /** Agents that are only read, without a lock. */
  readonly unlockedAgents: Set<AgentId>;
  readonly keys: IdempotencyName[];
  /** Those of the keys that are the ID of a task if they have named it before. */
  readonly named: (IdempotencyName & { readonly key: TaskId })[];
  readonly completing: Set<TaskId>;
  readonly retried: Set<TaskId>;
}

function rowNamesOf(commands: readonly Command[], roster: Roster): RowNames {
  const names: RowNames = {
    tasks: new Set(),
    agents: new Set(),
    holders: new Set(),
    unlockedAgents: new Set(),
    keys: [],
    named: [],
    completing: new Set(),
    retried: new Set(),
  };
  for (const command of commands) addNames(names, command, roster);
  for (const id of names.holders) names.agents.add(id);
  return names;
}

function addNames(names: RowNames, command: Command, roster: Roster): void {
  const { tasks, agents, holders, unlockedAgents, keys, named, completing, retried } = names;
  switch (command.kind) {
    case 'submit':
    case 'push':
      for (const draft of command.kind === 'submit' ? command.drafts : [command.draft]) {
        if (draft.assignTo !== null) unlockedAgents.add(draft.assignTo);
        for (const id of draft.dependsOn) tasks.add(id);
      }
      if (command.kind === 'submit' && command.idempotency !== null) {
        const { key, name } = command.idempotency;
        keys.push({ owner: command.submittedBy, key });
        if (name === null) return;
        named.push({ owner: command.submittedBy, key: name });
        keys.push({ owner: NOBODY, key });
      }
      return;
    case 'cancel':
      tasks.add(command.taskId);
      return;
    case 'retry':
      tasks.add(command.taskId);
      retried.add(command.taskId);
      return;
    case 'adopt':
      tasks.add(command.taskId);
      completing.add(command.taskId);
      return;
    case 'report':
      tasks.add(command.taskId);
      if (command.body.report === 'complete') completing.add(command.taskId);
      (confirmsStops(command.from, roster) ? holders : agents).add(command.from.agentId);
      return;
    case 'recover':
    case 'stop_confirmed':
      tasks.add(command.taskId);
      holders.add(command.from.agentId);
      return;
    case 'identify':
      holders.add(command.agentId);
      for (const held of command.held ?? []) tasks.add(held.taskId);
      return;
    case 'disconnect':
    case 'presence':
      holders.add(command.from.agentId);
      return;
    case 'agent_control':
      agents.add(command.agentId);
      return;
    case 'poll':
      for (const id of command.agentIds) holders.add(id);
      return;
    case 'mail':
      if (command.to !== null) unlockedAgents.add(command.to);
      return;
    case 'sweep':
    case 'remove_old':
    case 'hub_started':
    case 'hub_stopped':
  }
}

/** Whether a report of the agent confirms its stops, as in version 1. An agent that is not in the roster may use version 1. */
const confirmsStops = (from: Reporter, roster: Roster): boolean => {
  const agent = roster.get(from.agentId);
  return agent === undefined || agent.sessionNumber !== from.session || agent.protocolVersion === 1;
};

/**
 * Reads the tasks of known idempotency keys, with the bodies to compare with those of the submits, and the tombstones of removed tasks that a
 * retried one depends on.
 */
async function readReferenced(batch: Batch, { keys, named, retried }: RowNames): Promise<void> {
  const ofKeys = keys.flatMap((name) => batch.keys.get(name)?.taskIds ?? []);
  const compared = batch.keys.toLoad(named).map((name) => batch.keys.get(name)?.taskIds[0] ?? name.key);
  const ofRetries = [...retried].flatMap((id) => batch.task(id)?.dependsOn ?? []);
  const missing = [...ofKeys, ...compared, ...ofRetries].filter((id) => batch.task(id) === undefined);
  if (missing.length > 0) batch.addUnlocked(await batch.unit.read({ tasks: missing }));
  await loadCompared(
    batch,
    [...new Set(compared)].filter((id) => batch.taskSnapshot(id) !== undefined),
  );
}

/** Beyond that many characters the bodies of tasks are not compared: otherwise short submits could make the hub read a lot. */
async function loadCompared(batch: Batch, ids: readonly TaskId[]): Promise<void> {
  let characters = 0;
  for (let at = 0; at < ids.length && characters < COMPARED_CHARACTERS_MAX; at += BODIES_AT_ONCE) {
    const some = ids.slice(at, at + BODIES_AT_ONCE);
    await batch.loadBodies(some);
    for (const id of some) {
      const body = batch.body(id);
      if (body !== undefined) characters += bodyCharacters(body);
    }
  }
}

/** The commands of a batch: what each needs loaded, and who carries it out. */
import type { Agent } from '../../../domain/agent/agent.ts';
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import type { Task } from '../../../domain/task/task.ts';
import { AgentcomError } from '../../../errors/agentcom-error.ts';
import type { IdempotencyName } from '../../../ports/task-store.ts';
import type { Batch } from '../batch/batch.ts';
import type { AnswerTo, Command, Reporter } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import { handleMail, handlePoll, loadForHubs, sweptAgents, takeAwayOfExpired, takeMail, type HubsLoad } from './handle-hubs.ts';
import { handleAdopt, handleCancel, handleRetry, sweep } from './handle-operator.ts';
import { handleReport, handleStopConfirmed } from './handle-report.ts';
import { handleDisconnect, handleIdentify, handlePresence, handleRecover, handleStanding } from './handle-session.ts';
import { handlePush, handleSubmit } from './handle-submit.ts';
import type { Roster } from '../batch/roster.ts';

/** Tasks that one sweep looks at; the next sweep follows at once if there are more. */
const SWEPT_PER_BATCH = 1_000;

/** What was read for a command before its batch began. */
export interface Prepared {
  readonly lateResult: string | null;
}

/** What a sweep of this batch looks at; `isSweep` false when there is none in it. */
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
 * Loads everything that the commands will look at, and locks what they may change: the one place of a batch that waits for
 * other hubs. What it needs is gathered first, then locked by one `load`, in the order that the store keeps (`StoreUnit`).
 * Whatever is looked up after it is read without a lock, or steps over what another hub has.
 */
export async function loadFor(batch: Batch, commands: readonly Command[], context: HubContext, roster: Roster): Promise<SweepLoad> {
  const { unit } = batch;
  const names = namesOf(commands, roster);
  const hubs = await loadForHubs(batch, commands, context, roster);
  const hasSweep = commands.some((command) => command.kind === 'sweep');
  const isDuty = hasSweep && hubs.hasDuty;
  const assignees = new Set(isDuty ? await unit.dueAssignees(batch.nowMs, SWEPT_PER_BATCH) : []);
  const holders = new Set([...names.holders, ...hubs.agentIds]);
  const [loaded, seen] = await Promise.all([
    unit.load({
      keys: names.keys,
      agents: [...names.agents, ...assignees],
      tasks: [...names.tasks],
      holders: [...holders],
      completing: [...names.completing],
      retried: [...names.retried],
    }),
    names.seenAgents.size > 0 ? unit.read({ agents: [...names.seenAgents] }) : null,
  ]);
  batch.take(loaded);
  batch.takeHoldings(loaded.holdings);
  if (seen !== null) batch.see(seen);
  await readNamedByNamed(batch, names);
  const due = isDuty ? await unit.due(batch.nowMs, SWEPT_PER_BATCH) : [];
  // Who became due while the agents were waited for is looked at by the next sweep, with its agent.
  const judged = due.filter(({ assignedTo }) => assignedTo === null || assignees.has(assignedTo) || batch.agent(assignedTo) !== undefined);
  batch.take({ tasks: judged });
  return { isSweep: hasSweep, hubs, swept: hasSweep ? sweptAgents(batch, hubs, context) : [], due: judged };
}

/**
 * Carries the commands out in order, a sweep after all others: frames that were received while it waited count before it.
 * Answers are asked for after the commit's content is complete.
 */
export function carryOutAll(
  batch: Batch,
  entries: readonly { readonly command: Command; readonly prepared: Prepared }[],
  load: SweepLoad,
  context: HubContext,
): readonly Answer[] {
  const answers = entries.map(({ command, prepared }) => carryOut(batch, command, prepared, load, context));
  takeMail(batch, load.hubs);
  if (!load.isSweep) return answers;
  takeAwayOfExpired(batch, load.hubs, context);
  sweep(batch, load.due, load.swept, context);
  return answers;
}

function carryOut(batch: Batch, command: Command, prepared: Prepared, load: SweepLoad, context: HubContext): Answer {
  switch (command.kind) {
    case 'submit':
      return told(handleSubmit(batch, command));
    case 'push':
      return handlePush(batch, command, batch.seenAgent(command.draft.assignTo)?.connected ?? false);
    case 'cancel':
      return told(handleCancel(batch, command));
    case 'retry':
      return told(handleRetry(batch, command));
    case 'adopt':
      return told(handleAdopt(batch, command, prepared.lateResult));
    case 'report':
      return told(handleReport(batch, command, context));
    case 'identify':
      return told(handleIdentify(batch, command, context));
    case 'recover':
      return told(handleRecover(batch, command, context));
    case 'agent_standing':
      return told(handleStanding(batch, command));
    case 'disconnect':
      handleDisconnect(batch, command, context);
      return told(NOTED);
    case 'presence':
      handlePresence(batch, command, context);
      return told(NOTED);
    case 'stop_confirmed':
      handleStopConfirmed(batch, command);
      return told(NOTED);
    case 'sweep':
      batch.removalWanted ||= load.hubs.hasDuty && command.dueOnly !== true;
      return told({ kind: 'swept', hadDuty: load.hubs.hasDuty, more: load.hubs.more });
    case 'remove_old':
      throw new AgentcomError('AC_INTERNAL', 'A removal was put into a batch with other commands.');
    case 'hub_started':
      takeAwayOfExpired(batch, load.hubs, context);
      return told(NOTED);
    case 'poll':
      return told(handlePoll(batch, command, load.hubs, context));
    case 'mail':
      return told(handleMail(batch, command, load.hubs, context));
  }
}

const told =
  (answer: AnswerTo<Command>): Answer =>
  () =>
    answer;

interface Names {
  readonly tasks: Set<TaskId>;
  readonly agents: Set<AgentId>;
  /** Agents whose live assignments and stops are needed too. */
  readonly holders: Set<AgentId>;
  /** Agents of whom it is enough to know how they stand at this moment: nothing of theirs is changed. */
  readonly seenAgents: Set<AgentId>;
  readonly keys: IdempotencyName[];
  readonly completing: Set<TaskId>;
  readonly retried: Set<TaskId>;
}

function namesOf(commands: readonly Command[], roster: Roster): Names {
  const names: Names = {
    tasks: new Set(),
    agents: new Set(),
    holders: new Set(),
    seenAgents: new Set(),
    keys: [],
    completing: new Set(),
    retried: new Set(),
  };
  for (const command of commands) addNames(names, command, roster);
  for (const id of names.holders) names.agents.add(id);
  return names;
}

function addNames(names: Names, command: Command, roster: Roster): void {
  const { tasks, agents, holders, seenAgents, keys, completing, retried } = names;
  switch (command.kind) {
    case 'submit':
    case 'push':
      for (const draft of command.kind === 'submit' ? command.drafts : [command.draft]) {
        if (draft.assignTo !== null) seenAgents.add(draft.assignTo);
        for (const id of draft.dependsOn) tasks.add(id);
      }
      if (command.kind === 'submit' && command.idempotency !== null)
        keys.push({ owner: command.submittedBy, key: command.idempotency.key });
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
    case 'agent_standing':
      agents.add(command.agentId);
      return;
    case 'poll':
      for (const id of command.agentIds) holders.add(id);
      return;
    case 'mail':
      if (command.to !== null) seenAgents.add(command.to);
      return;
    case 'sweep':
    case 'remove_old':
    case 'hub_started':
  }
}

/** Whether a report of it confirms its stops, which those of version 1 do. Who is not known here has been replaced, or may be. */
const confirmsStops = (from: Reporter, roster: Roster): boolean => {
  const agent = roster.get(from.agentId);
  return agent === undefined || agent.sessionNumber !== from.session || agent.protocolVersion === 1;
};

/** How the tasks of known idempotency keys stand, and what is left of removed ones that a retried task depends on. */
async function readNamedByNamed(batch: Batch, { keys, retried }: Names): Promise<void> {
  const ofKeys = keys.flatMap((name) => batch.key(name)?.taskIds ?? []);
  const ofRetries = [...retried].flatMap((id) => batch.task(id)?.dependsOn ?? []);
  const missing = [...ofKeys, ...ofRetries].filter((id) => batch.task(id) === undefined);
  if (missing.length > 0) batch.see(await batch.unit.read({ tasks: missing }));
}

/** The commands of a batch: what each needs loaded, and who carries it out. */
import type { AgentId, TaskId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { IdempotencyName } from '../../ports/task-store.ts';
import type { Batch } from './batch.ts';
import type { AnswerTo, Command } from './commands.ts';
import type { HubContext } from './context.ts';
import { handleLook, handleMail, loadForHubs, takeAwayOfTheDead, takeMail, type HubsLoad } from './handle-hubs.ts';
import { handleAdopt, handleCancel, handleRetry, sweep } from './handle-operator.ts';
import { handleReport, handleStopConfirmed } from './handle-report.ts';
import { handleDisconnect, handleIdentify, handlePresence, handleRecover, handleStanding } from './handle-session.ts';
import { handlePush, handleSubmit } from './handle-submit.ts';

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
  readonly due: readonly Task[];
}

type Answer = () => AnswerTo<Command>;
const NOTED = { kind: 'noted' } as const;

/** Loads everything that the commands will look at. */
export async function loadFor(batch: Batch, commands: readonly Command[], context: HubContext): Promise<SweepLoad> {
  const names = namesOf(commands);
  batch.take(await batch.unit.load({ tasks: [...names.tasks], agents: [...names.agents], keys: names.keys }));
  await loadNamedByNamed(batch, commands, names.keys);
  const hasSweep = commands.some((command) => command.kind === 'sweep');
  const hubs = await loadForHubs(batch, commands, context);
  const due = hasSweep && hubs.hasDuty ? await batch.unit.due(batch.nowMs, SWEPT_PER_BATCH) : [];
  batch.take({ tasks: due, agents: hubs.agents });
  const assignees = due.flatMap((task) => task.assignedTo ?? []).filter((id) => batch.agent(id) === undefined);
  if (assignees.length > 0) batch.take(await batch.unit.load({ tasks: [], agents: assignees, keys: [] }));
  const holders = new Set([...names.holders, ...hubs.agents.map((agent) => agent.id), ...v1Reporters(batch, commands)]);
  await loadHoldings(batch, [...holders]);
  return { isSweep: hasSweep, hubs, due };
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
  takeAwayOfTheDead(batch, load.hubs, context);
  sweep(batch, load.due, load.hubs.agents, context);
  return answers;
}

function carryOut(batch: Batch, command: Command, prepared: Prepared, load: SweepLoad, context: HubContext): Answer {
  switch (command.kind) {
    case 'submit':
      return told(handleSubmit(batch, command));
    case 'push':
      return handlePush(batch, command, batch.agent(command.draft.assignTo)?.connected ?? false);
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
      return told({ kind: 'swept', hadDuty: load.hubs.hasDuty });
    case 'hub_started':
      takeAwayOfTheDead(batch, load.hubs, context);
      return told(NOTED);
    case 'look':
      return told(handleLook(batch, command, load.hubs, context));
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
  readonly keys: IdempotencyName[];
}

function namesOf(commands: readonly Command[]): Names {
  const names: Names = { tasks: new Set(), agents: new Set(), holders: new Set(), keys: [] };
  for (const command of commands) addNames(names, command);
  for (const id of names.holders) names.agents.add(id);
  return names;
}

function addNames({ tasks, agents, holders, keys }: Names, command: Command): void {
  switch (command.kind) {
    case 'submit':
    case 'push':
      for (const draft of command.kind === 'submit' ? command.drafts : [command.draft]) {
        if (draft.assignTo !== null) agents.add(draft.assignTo);
        for (const id of draft.dependsOn) tasks.add(id);
      }
      if (command.kind === 'submit' && command.idempotency !== null)
        keys.push({ owner: command.submittedBy, key: command.idempotency.key });
      return;
    case 'cancel':
    case 'retry':
    case 'adopt':
      tasks.add(command.taskId);
      return;
    case 'report':
      tasks.add(command.taskId);
      agents.add(command.from.agentId);
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
    case 'look':
      for (const id of command.agentIds) holders.add(id);
      return;
    case 'mail':
      if (command.to !== null) agents.add(command.to);
      return;
    case 'sweep':
    case 'hub_started':
  }
}

/** Tasks that are named by what was loaded: those of known idempotency keys, and the dependencies of a retried task. */
async function loadNamedByNamed(batch: Batch, commands: readonly Command[], keys: readonly IdempotencyName[]): Promise<void> {
  const ofKeys = keys.flatMap((name) => batch.key(name)?.taskIds ?? []);
  const ofRetries = commands.flatMap((command) => (command.kind === 'retry' ? (batch.task(command.taskId)?.dependsOn ?? []) : []));
  const missing = [...ofKeys, ...ofRetries].filter((id) => batch.task(id) === undefined);
  if (missing.length > 0) batch.take(await batch.unit.load({ tasks: missing, agents: [], keys: [] }));
}

async function loadHoldings(batch: Batch, agentIds: readonly AgentId[]): Promise<void> {
  if (agentIds.length === 0) return;
  batch.takeHoldings(await batch.unit.holdingsOf(agentIds));
  const stopped = agentIds.flatMap((id) => batch.stopsOf(id).map((stop) => stop.taskId)).filter((id) => batch.task(id) === undefined);
  if (stopped.length > 0) batch.take(await batch.unit.load({ tasks: stopped, agents: [], keys: [] }));
}

/** Version 1 agents whose reports confirm their stops. */
const v1Reporters = (batch: Batch, commands: readonly Command[]): readonly AgentId[] =>
  commands.flatMap((command) =>
    command.kind === 'report' && batch.agent(command.from.agentId)?.protocolVersion === 1 ? [command.from.agentId] : [],
  );

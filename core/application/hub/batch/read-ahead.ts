/**
 * What a batch will probably read once its commands have run, read together with the rows that it loads: on a store that other hubs write to
 * as well, every read by itself is a round trip to the database. The answers are the same then, since the rows on which they depend are
 * locked, and a batch saves nothing before its end.
 */
import type { AgentId, TaskId } from '../../../domain/ids.ts';
import type { Dependents, DependentsOf, HeldCount, StoreUnit, WaitingRequirements } from '../../../ports/task-store.ts';
import type { Command } from './commands.ts';

/** Dependents that one batch reads from the store. */
const UNBLOCKED_PER_BATCH = 500;
/** Distinct requirements that one batch considers. */
export const REQUIREMENTS_PER_BATCH = 1_024;

export interface ReadAhead {
  /** Of these tasks, from the first on. */
  readonly dependents: { readonly of: ReadonlySet<TaskId>; readonly found: Dependents } | null;
  readonly waiting: WaitingRequirements | null;
  readonly counts: readonly HeldCount[];
}

export const NOTHING_AHEAD: ReadAhead = { dependents: null, waiting: null, counts: [] };

export interface ProbableReads {
  readonly completing: ReadonlySet<TaskId>;
  /** Agents that are loaded, whose number of tasks is not loaded. */
  readonly agents: readonly AgentId[];
  readonly commands: readonly Command[];
  readonly hasFreeAgents: boolean;
  /** The hub knows of too many requirements to read all of them. */
  readonly hasManyRequirements: boolean;
}

/** MUST be called right after `unit.load`, without awaiting that. Reads nothing from a store that this hub has to itself: most is cached. */
export async function readAhead(unit: StoreUnit, probable: ProbableReads): Promise<ReadAhead> {
  const { completing, agents, commands, hasFreeAgents, hasManyRequirements } = probable;
  const mayAssign = commands.some(hasFreeAgents ? mayAddWork : mayFreeSlots);
  if (unit.isExclusive || (completing.size === 0 && !mayAssign)) return NOTHING_AHEAD;
  const [found, waiting, counts] = await Promise.all([
    completing.size === 0 ? null : dependentsOf(unit, [...completing].map(fromTheFirst)),
    mayAssign && !hasManyRequirements ? unit.waitingRequirements({ nowMs: unit.nowMs, limit: REQUIREMENTS_PER_BATCH }) : null,
    mayAssign && agents.length > 0 ? unit.heldCounts(agents) : [],
  ]);
  return { dependents: found === null ? null : { of: completing, found }, waiting, counts };
}

/** The blocked dependents of these tasks, read ahead or now. */
export function blockedDependents(unit: StoreUnit, { dependents }: ReadAhead, of: readonly DependentsOf[]): Promise<Dependents> {
  const isAhead = of.every(({ id, after }) => after === '' && dependents?.of.has(id) === true);
  return dependents !== null && isAhead ? Promise.resolve(dependents.found) : dependentsOf(unit, of);
}

export const fromTheFirst = (id: TaskId): DependentsOf => ({ id, after: '' });

const dependentsOf = (unit: StoreUnit, of: readonly DependentsOf[]): Promise<Dependents> => unit.dependentsOf(of, UNBLOCKED_PER_BATCH);

/** Whether an agent may have more room after this command. */
function mayFreeSlots(command: Command): boolean {
  if (command.kind === 'report') return !isSignOfLife(command.body.report);
  if (command.kind === 'poll') return command.agentIds.length > 0;
  return !SUBMITS.has(command.kind) && !IDLE.has(command.kind);
}

/** Whether there may be more ready tasks or more room after this command. A poll may find tasks of other hubs. */
const mayAddWork = (command: Command): boolean => SUBMITS.has(command.kind) || command.kind === 'poll' || mayFreeSlots(command);

const SUBMITS: ReadonlySet<Command['kind']> = new Set(['submit', 'push', 'retry']);
const IDLE: ReadonlySet<Command['kind']> = new Set(['cancel', 'mail', 'disconnect', 'remove_old', 'hub_started', 'hub_stopped']);
const isSignOfLife = (report: string): boolean => report === 'accepted' || report === 'progress' || report === 'woken';

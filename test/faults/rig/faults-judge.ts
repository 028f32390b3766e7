/** What must hold once faults are over and everything has ended, for the store, the sidecars' folders and what was told. */
import { checkInvariants } from '../../../core/domain/invariants/invariants.ts';
import { assignmentText } from '../../../core/ports/assignment-name.ts';
import type { Stored } from '../../chaos/rig/stored.ts';
import { markerOf } from '../../simulation/agents/simulated-agents.ts';
import type { World } from './faults-world.ts';

export interface Wanted {
  /** How each task ends, by the first word of its description; others complete. */
  readonly ends?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Why an attempt may be lost, according to its event; never otherwise. */
  readonly losses?: readonly string[] | undefined;
}

export async function judge(world: World, wanted: Wanted): Promise<void> {
  const stored = await world.stored();
  judgeSubmits(world, stored);
  judgeEnds(world, stored, wanted);
  judgeResults(world, stored);
  await world.checkAcknowledged();
  const nowMs = world.clock.nowMs();
  const tasks = [...stored.tasks.values()].map(({ task }) => task);
  for (const { invariant, what, taskId } of checkInvariants({ ...stored, tasks, sweepMs: 1, healthySinceMs: nowMs }, stored.events, nowMs))
    world.evidence.violate(invariant, `${taskId ?? ''} ${what}`);
  if (stored.integrity !== 'ok') world.evidence.violate('store', `SQLite says: ${stored.integrity}`);
}

/** R1: each submit created its tasks once, all of them, and exactly those that were named. */
function judgeSubmits({ evidence, submits }: World, stored: Stored): void {
  const known = new Set<string>();
  for (const { key, drafts } of submits) {
    const ids = evidence.answered.get(key);
    if (ids === undefined) evidence.violate('R1', `${key} was never answered`);
    else if (ids.length !== drafts.length) evidence.violate('R1', `${key} made ${ids.length} tasks of ${drafts.length}`);
    for (const id of ids ?? []) {
      known.add(id);
      if (!stored.tasks.has(id)) evidence.violate('R1', `${id} was answered but is missing`);
    }
  }
  for (const id of stored.tasks.keys())
    if (!known.has(id)) evidence.violate('R1', `${id} exists, but its creation was not reported to anyone`);
}

/** J1, I5, R15: everything has ended as it must, once, and lost no attempt on the way. */
function judgeEnds({ evidence }: World, stored: Stored, { ends = {}, losses = [] }: Wanted): void {
  for (const { task, description, events } of stored.tasks.values()) {
    const history = events.map(({ event, details }) => `${event}${details === null ? '' : ` ${JSON.stringify(details)}`}`).join(', ');
    const [word = ''] = description.split(' ');
    if (!(ends[word] ?? ['completed']).includes(task.status)) evidence.violate('J1', `"${description}" is ${task.status}: ${history}`);
    const over = events.filter(({ event }) => event === 'completed' || event === 'cancelled');
    if (over.length > 1) evidence.violate('I5', `"${description}" ended ${over.length} times: ${history}`);
    for (const { event, details } of events) {
      const reason = String(details?.['reason'] ?? event);
      if ((event === 'lost' || event === 'reclaimed') && !losses.includes(reason))
        evidence.violate('R15', `"${description}" was ${event} (${reason}): ${history}`);
    }
  }
}

/** J2: a finished result is recorded, late or refused: in exactly one of them, under the assignment that made it. */
function judgeResults({ evidence, machines }: World, stored: Stored): void {
  const places: { readonly marker: string | null; readonly name: string; readonly where: string }[] = [];
  for (const { task, result, events } of stored.tasks.values()) {
    const isAdopted = events.some(({ event }) => event === 'adopted');
    for (const { event, generation, details } of events) {
      const name = `${task.id}.g${generation}`;
      if (event === 'completed' && !isAdopted) places.push({ marker: markerOf(JSON.parse(result ?? 'null')), name, where: 'recorded' });
      const text = details?.['result'];
      if ((event === 'late_result' || event === 'report_refused') && typeof text === 'string')
        places.push({ marker: markerOf(JSON.parse(text)), name, where: event });
    }
  }
  for (const machine of machines) {
    for (const [file, text] of machine.filesIn('refused')) {
      if (!file.endsWith('.json')) continue;
      const { result } = JSON.parse(text) as { readonly result?: unknown };
      places.push({ marker: markerOf(result), name: file.slice(0, -'.json'.length), where: 'refused/' });
    }
  }
  for (const { marker, ...finished } of evidence.finishedRuns) {
    const found = places.filter((place) => place.marker === marker);
    if (found.length !== 1) evidence.violate('J2', `the result ${marker} is ${found.map(({ where }) => where).join(' and ') || 'nowhere'}`);
    for (const { name, where } of found)
      if (name !== assignmentText(finished)) evidence.violate('J2', `the result ${marker} is ${where} as that of ${name}`);
  }
}

/**
 * Bugs that somebody might make, each planted in a copy of the tree by one replacement. A simulation that does not find
 * every one of them proves nothing.
 */
export interface Mutant {
  readonly name: string;
  readonly what: string;
  /** The rule that is broken by it; `npm run sim:mutants` shows that it is. */
  readonly caughtBy: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'M1',
    what: 'progress skips the generation',
    caughtBy: 'I6',
    file: 'core/domain/fencing.ts',
    find: 'if (generation !== task.generation) {',
    replace: "if (generation !== task.generation && report.kind !== 'progress') {",
  },
  {
    name: 'M2',
    what: 'acknowledgement before the commit',
    caughtBy: 'J3',
    file: 'core/application/hub/task-queue.ts',
    find: '    const events = await unit.save(changes, isLast);',
    replace:
      '    entries.forEach((entry, index) => {\n      const answer = answers[index];\n      if (answer !== undefined && entry.command.kind === "report") entry.settle({ ok: true, answer: answer() });\n    });\n    const events = await unit.save(changes, isLast);',
  },
  {
    name: 'M3',
    what: 'the outbox is dropped at the send',
    caughtBy: 'J2',
    file: 'core/application/sidecar/reports.ts',
    find: '  planRepeat(turn, nameOf(name));\n  turn.send(frame);',
    replace: '  turn.send(frame);\n  turn.dropReport(name);',
  },
  {
    name: 'M4',
    what: 'a missing generation is read as the current one',
    caughtBy: 'J3',
    file: 'core/domain/fencing.ts',
    find: "    return task.assignedTo === agentId ? { kind: 'current' } : refuse('not_assignee', task.generation);",
    replace: "    return { kind: 'current' };",
  },
  {
    name: 'M5',
    what: 'a reclaim spends no retry',
    caughtBy: 'I1',
    file: 'core/domain/transitions/taking-back.ts',
    find: '  return withStop({ ...after, task: { ...after.task, takenBack } }, stop, nowMs);',
    replace: '  return withStop({ ...after, task: { ...after.task, takenBack, retryCount: task.retryCount } }, stop, nowMs);',
  },
  {
    name: 'M6',
    what: 'the fence skips the agent',
    caughtBy: 'I6',
    file: 'core/domain/fencing.ts',
    find: "  if (task.assignedTo !== null && task.assignedTo !== agentId) return refuse('not_assignee', task.generation);\n",
    replace: '',
  },
  {
    name: 'M7',
    what: 'the generation of a report is looked up when it is sent',
    caughtBy: 'J8',
    file: 'core/application/sidecar/reports.ts',
    find: "  turn.send(frame === null ? bodyMissingReport(entry) : fitted(turn, frame, input.text ?? ''));",
    replace:
      "  const newest = Math.max(entry.generation, ...turn.state.journal.slots.flatMap((slot) => (slot.taskId === entry.taskId ? [slot.generation] : [])));\n  turn.send({ ...(frame === null ? bodyMissingReport(entry) : fitted(turn, frame, input.text ?? '')), generation: newest });",
  },
  {
    name: 'M8',
    what: 'an accept leaves before the journal is written',
    caughtBy: 'J5',
    file: 'core/application/sidecar/turn.ts',
    find: 'effects: [...this.#durable, ...persist, ...this.#outward] };',
    replace: 'effects: [...this.#durable, ...this.#outward, ...persist] };',
  },
  {
    name: 'M9',
    what: 'results are not kept by generation',
    caughtBy: 'J2',
    file: 'core/ports/assignment-name.ts',
    find: 'return `${taskId}.g${generation}`;',
    replace: 'return `${taskId}.g1`;',
  },
  {
    name: 'M10',
    what: 'after a stall the sweep goes before the frames that came meanwhile',
    caughtBy: 'J7',
    file: 'core/application/hub/sweeper.ts',
    find: '    this.#timer = clock.after(0, () => this.#post());',
    replace: '    this.#post();',
  },
  {
    name: 'M11',
    what: 'old stamps reclaim at the start',
    caughtBy: 'J7',
    file: 'core/application/hub/sweeper.ts',
    find: "    this.#hush('the hub has just started');\n",
    replace: '    this.#deps.context.silence.countsFromMs = 0;\n',
  },
  {
    name: 'M12',
    what: 'an abort deletes a report',
    caughtBy: 'J2',
    file: 'core/application/sidecar/verdicts.ts',
    find: "    if (held.action === 'abort' && !isReported) takeBack",
    replace:
      "    if (isReported && held.action !== 'continue') turn.dropReport(name);\n    if (held.action === 'abort' && !isReported) takeBack",
  },
  {
    name: 'M13',
    what: 'a repeated assignment wakes its agent again',
    caughtBy: 'J4',
    file: 'core/domain/offer.ts',
    find: "  if (slot !== undefined) return { kind: 'held', slot };\n",
    replace: '',
  },
  {
    name: 'M14',
    what: 'a cancel is lost in a crash of the hub',
    caughtBy: 'I4',
    file: 'core/application/hub/batch.ts',
    find: '      stopsSet: [...this.#stopsSet.values()],',
    replace: '      stopsSet: [],',
  },
  {
    name: 'M15',
    what: 'a slot is free at the signal, not at the confirmation',
    caughtBy: 'I4',
    file: 'core/application/hub/batch.ts',
    find: 'this.#add(stop.agentId, 1);',
    replace: '',
  },
  {
    name: 'M16',
    what: 'the word of a replaced session counts',
    caughtBy: 'I6',
    file: 'core/application/hub/handle-report.ts',
    find: 'if (before === undefined || before.sessionNumber !== command.from.session) return',
    replace: 'if (before === undefined) return',
  },
  {
    name: 'M17',
    what: 'the grace begins though the agent has come back on another hub',
    caughtBy: 'I14',
    file: 'core/application/hub/handle-session.ts',
    find: '  const agent = current(batch, command.from);\n  if (agent !== undefined) takeAway(batch, agent, context);',
    replace:
      '  const known = batch.agent(command.from.agentId);\n  const agent = current(batch, command.from) ?? (known?.hubId === context.hubId ? undefined : known);\n  if (agent !== undefined) takeAway(batch, agent, context);',
  },
  {
    name: 'M18',
    what: 'a COMMIT of unknown outcome is repeated blindly',
    caughtBy: 'J1',
    file: 'core/application/hub/task-queue.ts',
    find: "        if (AgentcomError.is(error, 'AC_COMMIT_UNKNOWN') && done !== null && (await this.#happened(batchId))) return done;\n",
    replace: '',
  },
  {
    name: 'M19',
    what: 'dependents are read unlocked',
    caughtBy: 'I1',
    file: 'adapters/storage-memory/locked-unit.ts',
    find: "dependentsOf: (ids) => lockFound('task', () => unit.dependentsOf(ids)),",
    replace: 'dependentsOf: (ids) => alive(() => unit.dependentsOf(ids)),',
  },
  {
    name: 'M20',
    what: 'the folder is not synced: the rename that was answered last is lost in a crash',
    caughtBy: 'J5',
    file: 'adapters/journal-memory/memory-journal.ts',
    find: '      if (keepUnsynced) unsynced?.();',
    replace:
      '      if (keepUnsynced) unsynced?.();\n      else if (memory.previous !== null && memory.previous !== DAMAGED) memory.newest = memory.previous;',
  },
  {
    name: 'M21',
    what: 'the event stream passes commits that are still running: their events have numbers below those that were read',
    caughtBy: 'J6',
    file: 'adapters/storage-memory/locked-unit.ts',
    find: '      if (changes.events.length > 0) await locks.wait([EVENT_NUMBERS]);\n',
    replace: '',
  },
  {
    name: 'M22',
    what: 'the fence goes before the duplicate',
    caughtBy: 'J2',
    file: 'core/domain/fencing.ts',
    find: '  if (outcome !== undefined && (',
    replace: '  if (generation === task.generation && outcome !== undefined && (',
  },
  {
    name: 'M23',
    what: 'lanes are strict: no 16th assignment takes the oldest',
    caughtBy: 'I13',
    file: 'core/domain/scheduling.ts',
    find: '(room.count + 1) % OLDEST_EVERY === 0',
    replace: '(room.count + 1) % OLDEST_EVERY < 0',
  },
  {
    name: 'M24',
    what: 'what is claimable ignores capabilities',
    caughtBy: 'I13',
    file: 'core/domain/scheduling.ts',
    find: '  requirement.capabilities.every((capability) => agent.capabilities.includes(capability));',
    replace: '  requirement.capabilities.length >= 0 && agent.capabilities.length >= 0;',
  },
  {
    name: 'M25',
    what: 'a retry begins again with generation 0',
    caughtBy: 'I1',
    file: 'core/domain/transitions/operating.ts',
    find: '    generation: nextGeneration(task.generation),\n    round: task.round + 1,',
    replace: '    generation: 0 as Generation,\n    round: task.round + 1,',
  },
];

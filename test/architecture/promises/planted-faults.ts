/**
 * A fault for each promise and invariant, such as somebody might make, with the test that turns red by it: what shows that the
 * test can fail. `npm run planted` plants each in a copy of the tree. The simulation has its own (test/simulation/mutants.ts).
 */
export interface PlantedFault {
  readonly name: string;
  readonly what: string;
  /** The promises that it breaks: tags of a test in `test`. */
  readonly breaks: readonly string[];
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** The file whose tests turn red. */
  readonly test: string;
}

const HUB = 'test/core/hub';
const DOMAIN = 'test/core/domain';
const SIDECAR = 'test/core/sidecar';

const OF_THE_HUB: readonly PlantedFault[] = [
  {
    name: 'P1',
    what: 'a key that is known is not looked at',
    breaks: ['R1', 'J1'],
    file: 'core/application/hub/handle-submit.ts',
    find: 'if (known !== undefined) {',
    replace: 'if (known !== undefined && known.taskIds.length === 0) {',
    test: `${HUB}/task-queue.test.ts`,
  },
  {
    name: 'P2',
    what: 'a COMMIT of unknown outcome counts as committed',
    breaks: ['R2', 'J3'],
    file: 'core/application/hub/task-queue.ts',
    find: ' && done !== null && (await this.#happened(batchId))) return done;',
    replace: ' && done !== null) return done;',
    test: `${HUB}/task-queue.test.ts`,
  },
  {
    name: 'P3',
    what: 'a batch that fails is not split: one bad command fails all',
    breaks: ['R2'],
    file: 'core/application/hub/task-queue.ts',
    find: 'if (entries.length > 1 && (!ofStore || (isInTheWay && !isLate))) {',
    replace: 'if (entries.length > 1 && ofStore && !ofStore) {',
    test: `${HUB}/task-queue.test.ts`,
  },
  {
    name: 'P4',
    what: 'assigning adds nothing to the generation',
    breaks: ['R6'],
    file: 'core/domain/transitions/assigning.ts',
    find: '  const generation = nextGeneration(Math.max(task.generation, task.generationFloor) as Generation);\n',
    replace: '  const generation = Math.max(task.generation, task.generationFloor) as Generation;\n',
    test: `${HUB}/version2.test.ts`,
  },
  {
    name: 'P5',
    what: 'the fence asks for no generation',
    breaks: ['R7'],
    file: 'core/domain/fencing.ts',
    find: 'if (generation !== task.generation) {',
    replace: 'if (generation > task.generation) {',
    test: `${HUB}/version2.test.ts`,
  },
  {
    name: 'P6',
    what: 'a repeat is judged as if it were the first',
    breaks: ['R9'],
    file: 'core/domain/fencing.ts',
    find: '  if (outcome !== undefined && (',
    replace: '  if (outcome !== undefined && outcome.generation > generation && (',
    test: `${DOMAIN}/transitions.test.ts`,
  },
  {
    name: 'P7',
    what: 'a removed task leaves nothing that answers a repeat',
    breaks: ['R9'],
    file: 'core/application/hub/handle-report.ts',
    find: 'judge(task ?? batch.tombstone(command.taskId), {',
    replace: 'judge(task, {',
    test: `${HUB}/removal.test.ts`,
  },
  {
    name: 'P8',
    what: 'retries are not counted against their bound',
    breaks: ['R12'],
    file: 'core/domain/transitions/again.ts',
    find: 'retryCount > task.maxRetries)',
    replace: 'retryCount > task.maxRetries + 1)',
    test: `${DOMAIN}/attempts.test.ts`,
  },
  {
    name: 'P9',
    what: 'hand-backs never park a task',
    breaks: ['R12'],
    file: 'core/domain/transitions/again.ts',
    find: 'const parked = handBacks >= HAND_BACKS_MAX;',
    replace: 'const parked = handBacks >= 10 * HAND_BACKS_MAX;',
    test: `${DOMAIN}/attempts.test.ts`,
  },
  {
    name: 'P10',
    what: 'a broken machine is never paused',
    breaks: ['R13'],
    file: 'core/domain/breaker.ts',
    find: 'if (strikes.length < STRIKES_MAX) return',
    replace: 'if (strikes.length < 100 * STRIKES_MAX) return',
    test: `${HUB}/passing-time.test.ts`,
  },
  {
    name: 'P11',
    what: 'what is completed can be cancelled',
    breaks: ['R14'],
    file: 'core/domain/transitions/taking-back.ts',
    find: "  if (isEnded(task)) return refuse('invalid_state', task.generation);\n  const stop",
    replace: "  if (isEnded(task) && task.status !== 'completed') return refuse('invalid_state', task.generation);\n  const stop",
    test: `${HUB}/one-batch.test.ts`,
  },
  {
    name: 'P12',
    what: 'who is away loses its tasks at once',
    breaks: ['R15', 'J7'],
    file: 'core/application/hub/handle-session.ts',
    find: 'Math.max(sinceMs + context.timing.reconnectGraceMs, context.silence.countsFromMs)',
    replace: 'Math.max(sinceMs, context.silence.countsFromMs)',
    test: `${HUB}/passing-time.test.ts`,
  },
  {
    name: 'P13',
    what: 'a lease that ran out takes nothing back',
    breaks: ['R16'],
    file: 'core/domain/due.ts',
    find: 'if (!isPast(task.deadlineAtMs, nowMs) && !isPast(task.runDeadlineAtMs, nowMs)) return null;',
    replace: 'if (!isPast(task.runDeadlineAtMs, nowMs)) return null;',
    test: `${HUB}/passing-time.test.ts`,
  },
  {
    name: 'P14',
    what: 'within a lane the last goes first',
    breaks: ['R17'],
    file: 'core/domain/task.ts',
    find: 'const byTime = (a.eligibleAtMs ?? a.createdAtMs) - (b.eligibleAtMs ?? b.createdAtMs);',
    replace: 'const byTime = (b.eligibleAtMs ?? b.createdAtMs) - (a.eligibleAtMs ?? a.createdAtMs);',
    test: `${DOMAIN}/scheduling.test.ts`,
  },
  {
    name: 'P15',
    what: 'no assignment takes the oldest of any lane',
    breaks: ['R18'],
    file: 'core/domain/scheduling.ts',
    find: '(room.count + 1) % OLDEST_EVERY === 0',
    replace: '(room.count + 1) % OLDEST_EVERY < 0',
    test: `${DOMAIN}/scheduling.test.ts`,
  },
  {
    name: 'P16',
    what: 'slots are not counted down as they are given',
    breaks: ['R19'],
    file: 'core/domain/scheduling.ts',
    find: '        room.free -= 1;\n',
    replace: '',
    test: `${DOMAIN}/scheduling.test.ts`,
  },
  {
    name: 'P17',
    what: 'a stop that is not confirmed takes no slot',
    breaks: ['R19'],
    file: 'core/application/hub/batch.ts',
    find: 'this.#add(stop.agentId, 1);',
    replace: '',
    test: `${HUB}/version2.test.ts`,
  },
  {
    name: 'P18',
    what: 'the inbox has no bound',
    breaks: ['R20'],
    file: 'core/application/hub/task-queue.ts',
    find: 'if (isFull && !isOurOwn(command)) {',
    replace: 'if (isFull && !isOurOwn(command) && this.#stopping) {',
    test: `${HUB}/task-queue.test.ts`,
  },
  {
    name: 'P19',
    what: 'a stream sleeps over a commit that came while it looked',
    breaks: ['R21', 'J6'],
    file: 'adapters/http/event-stream.ts',
    find: '      if (isMore || commits !== seen) continue;\n',
    replace: '      if (isMore) continue;\n',
    test: 'test/adapters/http/events.test.ts',
  },
  {
    name: 'P29',
    what: 'each quiet time puts every deadline off anew',
    breaks: ['J12'],
    file: 'core/domain/due.ts',
    find: '  hushedAtMs === null ? view.silenceCountsFromMs :',
    replace: '  hushedAtMs === null || view.quietMs > 0 ? view.silenceCountsFromMs :',
    test: `${HUB}/wild-clock.test.ts`,
  },
];

const OF_THE_SIDECAR: readonly PlantedFault[] = [
  {
    name: 'P20',
    what: 'frames leave before the journal is written',
    breaks: ['R3', 'J5'],
    file: 'core/application/sidecar/turn.ts',
    find: 'effects: [...this.#durable, ...persist, ...this.#outward] };',
    replace: 'effects: [...this.#durable, ...this.#outward, ...persist] };',
    test: `${SIDECAR}/offers.test.ts`,
  },
  {
    name: 'P21',
    what: 'a written file is not read back',
    breaks: ['R3'],
    file: 'adapters/journal-file/journal-files.ts',
    find: 'if (found?.equals(bytes) === true) return;',
    replace: 'if (found !== undefined) return;',
    test: 'test/adapters/journal-file.test.ts',
  },
  {
    name: 'P22',
    what: 'an abort ends a report',
    breaks: ['R4'],
    file: 'core/application/sidecar/verdicts.ts',
    find: "    if (held.action === 'abort' && !isReported) takeBack",
    replace:
      "    if (isReported && held.action !== 'continue') turn.dropReport(name);\n    if (held.action === 'abort' && !isReported) takeBack",
    test: `${SIDECAR}/link.test.ts`,
  },
  {
    name: 'P23',
    what: 'a report is forgotten when it is sent',
    breaks: ['R5'],
    file: 'core/application/sidecar/reports.ts',
    find: '  planRepeat(turn, nameOf(name));\n  turn.send(frame);',
    replace: '  turn.send(frame);\n  turn.dropReport(name);',
    test: `${SIDECAR}/reports.test.ts`,
  },
  {
    name: 'P24',
    what: 'any answer ends a finished result',
    breaks: ['J2'],
    file: 'core/domain/outbox.ts',
    find: "  complete: ['complete', 'late'],",
    replace: "  complete: ['complete', 'late', 'accepted', 'retried'],",
    test: `${SIDECAR}/reports.test.ts`,
  },
  {
    name: 'P25',
    what: 'all assignments of a task share one folder',
    breaks: ['R8'],
    file: 'core/ports/assignment-name.ts',
    find: 'return `${taskId}.g${generation}`;',
    replace: 'return `${taskId}.g1`;',
    test: 'test/adapters/results-memory.test.ts',
  },
  {
    name: 'P26',
    what: 'a repeated assignment wakes its agent again',
    breaks: ['R10', 'J4'],
    file: 'core/domain/offer.ts',
    find: "  if (slot !== undefined) return { kind: 'held', slot };\n",
    replace: '',
    test: `${SIDECAR}/storm.test.ts`,
  },
  {
    name: 'P27',
    what: 'a cancel is confirmed and nothing is stopped',
    breaks: ['R11'],
    file: 'core/application/sidecar/ends.ts',
    find: '  if (slot.run !== null) return stopRun(turn, stopping);\n  if (isPublished',
    replace: '  if (isPublished',
    test: `${SIDECAR}/cancels.test.ts`,
  },
  {
    name: 'P28',
    what: 'the digest of the journal is not compared',
    breaks: ['R22'],
    file: 'adapters/journal-file/envelope.ts',
    find: "  if (digestOf(body) !== sha256) return bad('does not match its SHA-256 digest');\n",
    replace: "  if (sha256 === '') return bad('does not match its SHA-256 digest');\n",
    test: 'test/adapters/journal-file.test.ts',
  },
  {
    name: 'P46',
    what: 'any proof of a hub is taken for the right one',
    breaks: ['R22'],
    file: 'core/protocol/proof.ts',
    find: '  return difference === 0;\n',
    replace: '  return difference >= 0;\n',
    test: `${SIDECAR}/proof.test.ts`,
  },
];

/** Each takes one check away; the rest stays. */
const without = (name: string, invariant: string, file: string, check: string): PlantedFault => ({
  name,
  what: `nobody asks ${check}`,
  breaks: [invariant],
  file: `core/domain/invariants/${file}.ts`,
  find: `  ${check},\n`,
  replace: '',
  test: `${DOMAIN}/invariants.test.ts`,
});

const OF_THE_CHECKER: readonly PlantedFault[] = [
  without('P31', 'I1', 'task-invariants', 'isItsHistory'),
  without('P32', 'I2', 'task-invariants', 'generationsGrow'),
  without('P33', 'I3', 'task-invariants', 'liveHasDeadline'),
  without('P34', 'I4', 'history-checks', 'slotsSuffice(agents)'),
  without('P35', 'I5', 'task-invariants', 'endsOnce'),
  without('P36', 'I6', 'task-invariants', 'changedByAssignee'),
  without('P37', 'I7', 'task-invariants', 'attemptsAreBounded'),
  without('P38', 'I8', 'task-invariants', 'deadForAReason'),
  without('P39', 'I9', 'task-invariants', 'blockedByDependencies'),
  without('P40', 'I10', 'store-invariants', 'keysNameTasks'),
  without('P41', 'I11', 'task-invariants', 'nothingIsOverdue'),
  without('P42', 'I12', 'store-invariants', 'nobodyWaitsForNothing'),
  {
    name: 'P43',
    what: 'the order of assignments is not looked at',
    breaks: ['I13'],
    file: 'test/simulation/check-step.ts',
    find: 'const isFirst = isOldest ?',
    replace: 'const isFirst = isOldest && !isOldest ?',
    test: 'test/simulation/check-step.test.ts',
  },
  without('P44', 'I14', 'task-invariants', 'historyIsNumbered'),
  without('P45', 'I15', 'store-invariants', 'stopsArePast'),
];

export const PLANTED_FAULTS: readonly PlantedFault[] = [...OF_THE_HUB, ...OF_THE_SIDECAR, ...OF_THE_CHECKER];

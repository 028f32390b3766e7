/** A test stage for a sidecar's step function: inputs go in, the effects come out as short words, and the state is accessible. */
import { systemDigest } from '../../../../adapters/ids-system/system-digest.ts';
import { SIDECAR_TIMING } from '../../../../core/config/times.ts';
import type { AgentId, Generation, TaskId, Unbranded } from '../../../../core/domain/ids.ts';
import { mapKey, type AssignmentId, type Slot } from '../../../../core/domain/assignment/slot.ts';
import type { Effect } from '../../../../core/application/sidecar/state/effects.ts';
import type { SidecarInput } from '../../../../core/application/sidecar/state/inputs.ts';
import { EMPTY_JOURNAL, type JournalState } from '../../../../core/application/sidecar/state/journal-state.ts';
import { loadedState, type SidecarSettings, type SidecarState } from '../../../../core/application/sidecar/state/state.ts';
import { sidecarStep } from '../../../../core/application/sidecar/engine/step.ts';
import { timerKey, type OwnTimer, type RunTimer } from '../../../../core/application/sidecar/state/timer-names.ts';
import type { WakeEvent } from '../../../../core/ports/wake-runner.ts';
import type { ResultFileEvent } from '../../../../core/ports/result-inbox.ts';
import type { HubFrame } from '../../../../core/protocol/hub-frames.ts';

/** For a link that is open. */
/** A frame of the hub, as text. */
export type SentFrame = Unbranded<HubFrame>;

export const NONCE = 'ab'.repeat(32);
export const START_MS = Date.UTC(2026, 0, 1);
export const TASK = 'task-00000000000000a1' as TaskId;
export const OTHER = 'task-00000000000000b2' as TaskId;

export const named = (generation = 1, taskId: TaskId = TASK): AssignmentId => ({ taskId, generation: generation as Generation });

export const settings = (over: Partial<SidecarSettings> = {}): SidecarSettings => ({
  agentId: 'worker-1' as AgentId,
  name: 'Worker 1',
  token: 'secret-token',
  processId: 'process-1',
  hubs: ['ws://one/ws', 'ws://two/ws'],
  capabilities: ['code'],
  slots: 1,
  refusedBytesMax: 1_000,
  timing: SIDECAR_TIMING,
  runner: { adoptable: true, hasCheck: false },
  ...systemDigest(),
  plainToken: true,
  deviceKey: null,
  acceptPolicy: null,
  requiresSignature: false,
  audiences: [],
  inProcess: false,
  isVolatile: false,
  awaitsTurns: false,
  ...over,
});

export const SPAWNED: WakeEvent = { type: 'spawned', process: { pid: 4242, startTime: '17', bootId: 'boot' } };
export const WOKEN: WakeEvent = { type: 'woken' };
export const exited = (exitCode: number | null, signal: string | null = null): WakeEvent => ({
  type: 'exited',
  exitCode,
  signal,
  stderrTail: 'last words',
});
export const stoppedRun = (...survivors: number[]): WakeEvent => ({ type: 'stopped', survivors });

export interface Stage {
  state: SidecarState;
  nowMs: number;
  random: number;
  /** All effects requested since the beginning. */
  readonly all: Effect[];
  /** Processes an event; returns its effects. */
  take(event: SidecarInput): readonly Effect[];
  frame(frame: SentFrame): readonly Effect[];
  wake(event: WakeEvent, of?: AssignmentId): readonly Effect[];
  sight(event: FileEventOf, of?: AssignmentId): readonly Effect[];
  timer(purpose: OwnTimer | RunTimer, of?: AssignmentId): readonly Effect[];
  prepared(of?: AssignmentId): readonly Effect[];
  scanned(of?: AssignmentId): readonly Effect[];
  slot(of?: AssignmentId): Slot | undefined;
  /** Connected and identified, with these answers to the inventory. */
  identify(over?: Partial<Extract<SentFrame, { type: 'identified' }>>): readonly Effect[];
}
type FileEventOf = ResultFileEvent extends infer One ? (One extends ResultFileEvent ? Omit<One, 'assignment'> : never) : never;

/** A sidecar before its start, with this journal. */
export function stage(over: Partial<SidecarSettings> = {}, journal: JournalState = EMPTY_JOURNAL): Stage {
  const step = sidecarStep(settings(over));
  let runs = 0;
  const made: Stage = {
    state: loadedState(journal, 'instance-1'),
    nowMs: START_MS,
    random: 0,
    all: [],
    take(event) {
      const done = step(made.state, event, made);
      made.state = done.state;
      made.all.push(...done.effects);
      return done.effects;
    },
    frame: (frame) => made.take({ type: 'frame', connectionId: made.state.link.connectionId, frame: frame as HubFrame }),
    wake: (event, of = named()) => made.take({ type: 'wake_event', assignment: of, runId: made.slot(of)?.run?.runId ?? 'run-none', event }),
    sight: (event, of = named()) => made.take({ type: 'file_event', event: { ...event, assignment: of } as ResultFileEvent }),
    timer: (purpose, of = named()) =>
      made.take({ type: 'timer', timer: isOwn(purpose) ? { purpose } : { purpose: purpose as RunTimer, assignment: of } }),
    prepared: (of = named()) => made.take({ type: 'prepared', assignment: of, paths: pathsOf(of), runId: `run-${(runs += 1)}` }),
    scanned: (of = named()) => made.take({ type: 'scanned', assignment: of, scan: made.state.live.get(mapKey(of))?.scan ?? 0 }),
    slot: (of = named()) => made.state.journal.slots.find((slot) => slot.taskId === of.taskId && slot.generation === of.generation),
    identify(frame = {}) {
      const up = made.take({ type: 'link_up', nonce: NONCE, connectionId: made.state.link.connectionId });
      const answer = made.frame({ type: 'identified', agent_id: 'worker-1', protocol_version: 2, store_id: 'store-1', held: [], ...frame });
      return [...up, ...answer];
    },
  };
  return made;
}

export const keyOf = (assignment: AssignmentId): string => `${assignment.taskId}.g${assignment.generation}`;

export const pathsOf = (assignment: AssignmentId) => ({
  resultsDir: `/results/${keyOf(assignment)}`,
  taskFile: `/tasks/${keyOf(assignment)}.json`,
  runDir: `/runs/${keyOf(assignment)}`,
});

const OWN: readonly string[] = ['reconnect', 'identify', 'ping', 'pong', 'journal', 'disk', 'drain', 'stop', 'checks'];
const isOwn = (purpose: string): purpose is OwnTimer => OWN.includes(purpose);

/** A sidecar that is started and identified. */
export function online(over: Partial<SidecarSettings> = {}, journal?: JournalState): Stage {
  const made = stage(over, journal);
  made.take({ type: 'start' });
  made.identify();
  return made;
}

export const assignFrame = (of: AssignmentId = named(), over: Partial<Extract<HubFrame, { type: 'task_assign' }>> = {}): HubFrame => ({
  type: 'task_assign',
  task_id: of.taskId,
  generation: of.generation,
  description: 'count the words',
  metadata: { a: 1 },
  assigned_at: START_MS,
  run_max_ms: 3_600_000,
  complete_by: null,
  ...over,
});

/** Online, with this assignment accepted, woken (`spawned`, `woken`) and running. */
export function working(over: Partial<SidecarSettings> = {}, of: AssignmentId = named()): Stage {
  const made = waking(over, of);
  made.wake(SPAWNED, of);
  made.wake(WOKEN, of);
  made.sight({ kind: 'started' }, of);
  return made;
}

/** Online, with this assignment accepted and its wake requested. */
export function waking(over: Partial<SidecarSettings> = {}, of: AssignmentId = named()): Stage {
  const made = online(over);
  made.frame(assignFrame(of));
  made.frame({ type: 'task_ack', task_id: of.taskId, generation: of.generation, status: 'accepted' });
  made.prepared(of);
  return made;
}

/** Effects as words: `persist`, `send task_accepted`, `wake`, … Logs are left out, and so are timers unless requested. */
export function words(effects: readonly Effect[], options: { readonly timers?: boolean } = {}): string[] {
  return effects.flatMap((effect): string[] => {
    switch (effect.type) {
      case 'log':
        return [];
      case 'startTimer':
        return options.timers === true ? [`start ${effect.timer.purpose} ${effect.delayMs}`] : [];
      case 'cancelTimer':
        return options.timers === true ? [`cancel ${effect.timer.purpose}`] : [];
      case 'cancelTimersOf':
        return options.timers === true ? effect.purposes.map((purpose) => `cancel ${purpose}`) : [];
      case 'send':
        return [`send ${effect.frame.type}`];
      default:
        return [effect.type];
    }
  });
}

/** The complete frames that were sent. */
export const sent = (effects: readonly Effect[]): readonly Readonly<Record<string, unknown>>[] =>
  effects.flatMap((effect) => (effect.type === 'send' ? [effect.frame as Readonly<Record<string, unknown>>] : []));

/** The delay that this timer was started with; undefined if it was not started. */
export const startedFor = (effects: readonly Effect[], purpose: OwnTimer | RunTimer): number | undefined =>
  effects.flatMap((effect) => (effect.type === 'startTimer' && effect.timer.purpose === purpose ? [effect.delayMs] : [])).at(-1);

/** Effects of this type. */
export const only = <T extends Effect['type']>(effects: readonly Effect[], type: T): readonly Extract<Effect, { type: T }>[] =>
  effects.filter((effect): effect is Extract<Effect, { type: T }> => effect.type === type);

/** The body of the report that was written last. */
export const writtenBody = (effects: readonly Effect[]): Readonly<Record<string, unknown>> =>
  JSON.parse(only(effects, 'writeReport').at(-1)?.text ?? 'null') as Readonly<Record<string, unknown>>;

export { timerKey };

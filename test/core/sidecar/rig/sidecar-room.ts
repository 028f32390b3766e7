/** A whole sidecar over the memory twins, a hub that sends what the test wants, and time that the test moves. */
import { memoryLog, type MemoryLog } from '../../../product/twins/log-memory/memory-log.ts';
import { memoryJournal, type MemoryJournal } from '../../../product/twins/journal-memory/memory-journal.ts';
import { memoryResultInbox, type MemoryResultInbox } from '../../../product/twins/results-memory/memory-result-inbox.ts';
import type { Fate } from '../../../product/twins/wire-memory/crossing.ts';
import { memoryWire } from '../../../product/twins/wire-memory/memory-wire.ts';
import { scriptedRunner, type RunScript, type ScriptedRunner } from '../../../product/twins/runner-scripted/scripted-runner.ts';
import { seededIds } from '../../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../../adapters/ids-system/system-digest.ts';
import { virtualClock, type VirtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';
import { SIDECAR_TIMING } from '../../../../core/config/times.ts';
import { createSidecar, type Sidecar } from '../../../../core/application/sidecar/sidecar.ts';
import type { HubLink } from '../../../../core/ports/hub-link.ts';
import type { HubConnection } from '../../../../core/ports/hub-transport.ts';
import type { WakeRequest } from '../../../../core/ports/wake-runner.ts';
import { keyOf, START_MS, TASK, type SentFrame } from './stage.ts';

export type Frame = Readonly<Record<string, unknown>>;

export const ROOM_TOKEN = 'token';

export interface RoomOptions {
  readonly script?: ((request: WakeRequest, room: Room) => RunScript) | undefined;
  /** Default: identifies every agent, and sends nothing else. */
  readonly hub?: ((frame: Frame, say: (frame: SentFrame) => void) => void) | undefined;
  readonly selfStart?: boolean | undefined;
  /** The fate of everything that crosses the wire. Default: it arrives at once. */
  readonly fate?: ((clock: VirtualClock) => Fate) | undefined;
  /** Default true: the hub of a room need not prove itself. */
  readonly plainToken?: boolean | undefined;
  /** Duration of its event loop turns; default: acceptances do not wait for their ends. */
  readonly turnMs?: number | undefined;
  /** Its token, read for each connection. Default: always `ROOM_TOKEN`. */
  readonly readToken?: (() => Promise<string | null>) | undefined;
  /** Default 1. */
  readonly slots?: number | undefined;
}

export interface Room {
  readonly clock: VirtualClock;
  readonly runner: ScriptedRunner;
  readonly log: MemoryLog;
  /** Of the sidecar that runs now. */
  sidecar: Sidecar;
  journal: MemoryJournal;
  results: MemoryResultInbox;
  /** All frames that the hub received, oldest first. */
  readonly messages: Frame[];
  say(frame: SentFrame): void;
  cut(): void;
  /** Advances time; resulting work takes its next steps. */
  pass(ms: number): Promise<void>;
  /** kill -9, and a new sidecar over the same disk; call `start` to start it. */
  crash(): void;
  /** Types of the frames that the hub received. */
  types(): readonly unknown[];
}

export const welcome = (frame: Frame, say: (frame: SentFrame) => void): void => {
  if (frame['type'] === 'identify') say({ type: 'identified', agent_id: 'worker-1', protocol_version: 2, store_id: 'store-1', held: [] });
};

/** The agent's behavior: reports that it started, and writes this result after a while. */
export const worker =
  (result: unknown, afterMs = 1_000) =>
  (_request: WakeRequest, room: Room): RunScript => ({
    steps: [
      { afterMs: 0, event: { type: 'woken' } },
      { afterMs: 10, act: (request) => room.results.write(`results/${keyOf(request)}/${request.taskId}.started`, '') },
      { afterMs, act: (request) => room.results.write(`results/${keyOf(request)}/${request.taskId}.json`, JSON.stringify(result)) },
      { afterMs: 5, event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } },
    ],
  });

export async function room(options: RoomOptions = {}): Promise<Room> {
  const clock = virtualClock({ wallMs: START_MS });
  const wire = memoryWire({ clock, fate: options.fate?.(clock) });
  const log = memoryLog();
  const connections: HubConnection[] = [];
  const messages: Frame[] = [];
  const runner = scriptedRunner({ clock, script: (request) => (options.script ?? worker({ status: 'success' }))(request, made) });
  const hub = options.hub ?? welcome;
  await wire.transport().listen(
    {
      host: 'hub',
      port: 4000,
      frameBytesMax: 1_048_576,
      unidentifiedBytesMax: Infinity,
      socketsMax: 10,
      socketQueueBytesMax: 4_194_304,
      http: () => ({ status: 404, headers: {}, body: null }),
      isAllowedOrigin: () => true,
    },
    {
      onOpen: (connection) => void connections.push(connection),
      onFrame: (connection, text) => {
        const frame = JSON.parse(text) as Frame;
        messages.push(frame);
        hub(frame, (answer) => connection.send(JSON.stringify(answer)));
      },
      onPong: () => undefined,
      onGone: (connection) => void connections.splice(connections.indexOf(connection), 1),
    },
  );
  let current = { isDead: false };
  const create = (): Sidecar => {
    const process = (current = { isDead: false });
    return createSidecar({
      config: {
        hubs: ['ws://hub:4000/ws'],
        agentId: 'worker-1',
        name: 'W',
        token: ROOM_TOKEN,
        plainToken: options.plainToken ?? true,
        capabilities: [],
        slots: options.slots ?? 1,
        timing: SIDECAR_TIMING,
      },
      link: mortalLink(wire.link(), process),
      journal: made.journal,
      results: made.results,
      readToken: options.readToken,
      runner: options.selfStart === true ? undefined : runner,
      clock: { ...clock, nowMs: () => clock.nowMs(), after: (ms, fire) => clock.after(ms, () => process.isDead || fire()) },
      ids: seededIds({ seed: 'room' }),
      digest: systemDigest(),
      log,
      stopController: () => new AbortController(),
      afterTurn: options.turnMs === undefined ? undefined : (work) => void clock.after(options.turnMs ?? 0, work),
    });
  };
  const made: Room = {
    clock,
    runner,
    log,
    journal: memoryJournal(),
    results: memoryResultInbox({ clock }),
    sidecar: undefined as unknown as Sidecar,
    messages,
    say: (frame) => void connections.at(-1)?.send(JSON.stringify(frame)),
    cut: () => wire.open().forEach((connection) => wire.cut(connection)),
    async pass(ms) {
      await settled();
      await clock.walk(ms, settled);
      await settled();
    },
    crash() {
      // A dead process does nothing and receives nothing more.
      current.isDead = true;
      made.journal.crash();
      void made.results.close();
      made.cut();
      made.journal = made.journal.reopen();
      made.results = made.results.reopen();
      made.sidecar = create();
    },
    types: () => messages.map((frame) => frame['type']),
  };
  made.sidecar = create();
  return made;
}

/** A link that dies with its process. */
const mortalLink = (link: HubLink, process: { readonly isDead: boolean }): HubLink => ({
  connect: (target, events) =>
    link.connect(target, {
      onOpen: () => process.isDead || events.onOpen(),
      onFrame: (text) => process.isDead || events.onFrame(text),
      onTaken: () => process.isDead || events.onTaken(),
      onGone: (code, reason) => process.isDead || events.onGone(code, reason),
    }),
});

/** Everything that can happen without time advancing has happened. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A room whose sidecar is started and identified. */
export async function openRoom(options: RoomOptions = {}): Promise<Room> {
  const made = await room(options);
  await made.sidecar.start();
  await made.pass(1);
  return made;
}

export const offer = (generation = 1, taskId = TASK): SentFrame => ({
  type: 'task_assign',
  task_id: taskId,
  generation,
  description: 'count the words',
  assigned_at: START_MS,
  run_max_ms: 3_600_000,
});

/** Answers like a hub that commits everything. */
export const obliging = (frame: Frame, say: (frame: SentFrame) => void): void => {
  welcome(frame, say);
  const status = { task_accepted: 'accepted', task_complete: 'complete', task_failed: 'retried', task_rejected: 'rejected' }[
    String(frame['type'])
  ];
  if (status !== undefined) say({ type: 'task_ack', task_id: String(frame['task_id']), generation: Number(frame['generation']), status });
};

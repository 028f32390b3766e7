/** Replays one side of a recorded conversation to the current other side. Returns a description of each mismatch. */
import { virtualClock, type VirtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { memoryWire } from '../product/twins/wire-memory/memory-wire.ts';
import { HUB_LIMITS } from '../../core/config/limits.ts';
import type { HubConnection } from '../../core/ports/hub-transport.ts';
import { settle, type AnyFrame, type Peer } from '../core/hub/hub-rig.ts';
import { doAtHub, presentHub, presentSidecar } from './recorded-ends.ts';
import { AGENT, misfit, type Line, type Side } from './recorded-conversation.ts';

/** How much later than at the recording a frame may come, in virtual milliseconds, and the step in which it is looked for. */
const LATER_MS = 60_000;
const STEP_MS = 500;
/** Sent periodically, by clocks and without an answer: their number may differ. */
const NOTICES: ReadonlySet<string> = new Set(['ping', 'pong', 'task_progress', 'task_output', 'wake_result']);

/** Sends a current hub what the recorded sidecar sent. */
export async function replayToHub(lines: readonly Line[]): Promise<readonly string[]> {
  const clock = virtualClock();
  const rig = await presentHub({ clock, wire: memoryWire({ clock }) });
  let peer: Peer = await rig.peer(AGENT);
  await peer.cut();
  const observed = receiver('hub', (ms) => rig.pass(ms), clock);
  for (const line of lines) {
    await observed.until(line.at);
    if ('do' in line) {
      if (line.do === 'connect') peer = await peer.reconnect();
      else if (line.do === 'cut') await peer.cut();
      else await doAtHub(rig, line);
    } else if (line.from === 'sidecar') await peer.send(line.frame);
    observed.add(peer.newFrames());
    if ('from' in line && line.from === 'hub') await observed.expect(line.frame, () => peer.newFrames());
  }
  await rig.kill();
  return observed.misfits();
}

/** Sends a current sidecar what the recorded hub sent. */
export async function replayToSidecar(lines: readonly Line[]): Promise<readonly string[]> {
  const clock = virtualClock();
  const wire = memoryWire({ clock });
  const connections: HubConnection[] = [];
  const received: AnyFrame[] = [];
  await wire.transport().listen(
    {
      host: 'hub',
      port: 4_000,
      frameBytesMax: HUB_LIMITS.frameBytes,
      unidentifiedBytesMax: Infinity,
      socketsMax: 10,
      socketQueueBytesMax: HUB_LIMITS.socketQueueBytes,
      http: () => ({ status: 404, headers: {}, body: null }),
      isAllowedOrigin: () => true,
    },
    {
      onOpen: (connection) => void connections.push(connection),
      onFrame: (_connection, text) => void received.push(JSON.parse(text) as AnyFrame),
      onPong: () => undefined,
      onGone: () => undefined,
    },
  );
  const pass = async (ms: number): Promise<void> => {
    await settle(clock);
    await clock.walk(ms, () => settle(clock));
    await settle(clock);
  };
  const observed = receiver('sidecar', pass, clock);
  const sidecar = presentSidecar({ clock, wire });
  await sidecar.start();
  for (const line of lines) {
    await observed.until(line.at);
    if ('do' in line) {
      if (line.do === 'cut') for (const connection of wire.open()) wire.cut(connection);
    } else if (line.from === 'hub') connections.at(-1)?.send(JSON.stringify(line.frame));
    await pass(0);
    observed.add(received.splice(0));
    if ('from' in line && line.from === 'sidecar') await observed.expect(line.frame, () => received.splice(0));
  }
  return observed.misfits();
}

interface Receiver {
  /** Moves time to that of the recording. */
  until(atMs: number): Promise<void>;
  add(frames: readonly AnyFrame[]): void;
  /** The next frame of this type about this task arrives, and matches. */
  expect(recorded: AnyFrame, more: () => readonly AnyFrame[]): Promise<void>;
  misfits(): readonly string[];
}

/** Compares what `side` sends now with what it sent then. */
function receiver(side: Side, pass: (ms: number) => Promise<void>, clock: VirtualClock): Receiver {
  const unread: AnyFrame[] = [];
  const misfits: string[] = [];
  /** If one never arrives, those that depend on it do not either. */
  let patienceMs = LATER_MS;
  const take = (recorded: AnyFrame): AnyFrame | null => {
    const at = unread.findIndex((frame) => frame.type === recorded.type && frame['task_id'] === recorded['task_id']);
    return at < 0 ? null : (unread.splice(at, 1)[0] ?? null);
  };
  return {
    until: (atMs) => pass(Math.max(0, atMs - clock.monotonicMs())),
    add: (frames) => void unread.push(...frames),
    async expect(recorded, more) {
      let found = take(recorded);
      for (let waitedMs = 0; found === null && waitedMs < patienceMs; waitedMs += STEP_MS) {
        await pass(STEP_MS);
        unread.push(...more());
        found = take(recorded);
      }
      if (found === null) patienceMs = 0;
      const why = found === null ? 'it does not arrive' : misfit(recorded, found);
      if (why !== null) misfits.push(`${recorded.type} of the ${side}: ${why}`);
    },
    misfits: () => [
      ...misfits,
      ...unread
        .filter(({ type }) => !NOTICES.has(type))
        .map((frame) => `${frame.type} of the ${side} was not recorded: ${JSON.stringify(frame)}`),
    ],
  };
}

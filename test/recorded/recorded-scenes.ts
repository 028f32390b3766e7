/** What is recorded: everything that a sidecar and a hub send each other in the life of tasks. */
import { virtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { memoryWire } from '../product/twins/wire-memory/memory-wire.ts';
import type { AnyFrame, Peer } from '../core/hub/hub-rig.ts';
import { doAtHub, presentHub, presentSidecar } from './recorded-ends.ts';
import { AGENT, TOKEN, type Action, type Line, type SentFrame } from './recorded-conversation.ts';

export type Version = 'v1' | 'v2';

/** One action during the recording. */
type Scene = Action | { readonly do: 'pass'; readonly ms: number };

const task = (n: number): string => `task-${n.toString(16).padStart(16, '0')}`;
const submit = (n: number, description: string, maxRetries = 3): Action => ({
  do: 'submit',
  task_id: task(n),
  description,
  max_retries: maxRetries,
});
const pass = (ms: number): Scene => ({ do: 'pass', ms });
const cancel = (n: number): Action => ({ do: 'cancel', task_id: task(n) });

/** With this project's sidecar. */
const V2_SCENES: readonly Scene[] = [
  ...[{ do: 'connect' } as const, pass(1_000)],
  ...[submit(1, 'works 1000'), pass(3_000)],
  // Stopped while it runs.
  ...[submit(2, 'works 60000'), pass(1_000), cancel(2), pass(8_000)],
  // Running, and finished, while disconnected.
  ...[submit(3, 'works 30000'), submit(4, 'works 100'), pass(50), { do: 'cut' } as const, pass(60_000)],
  // Ends in the dead letter.
  ...[submit(5, 'fails 500', 0), pass(3_000)],
  // Accepts no more work, then accepts work again.
  ...[{ do: 'drain' } as const, pass(1_000), { do: 'resume' } as const, pass(1_000)],
];

const IDENTIFY_V1: AnyFrame = { type: 'identify', agent_id: AGENT, token: TOKEN, capabilities: ['code'], status: 'idle' };
const HOLDS_NOTHING: AnyFrame = { type: 'task_recovering', task_id: 'task-ffffffffffffffff' };
const of = (n: number, type: string, more: object = {}): AnyFrame => ({ type, task_id: task(n), ...more });
const named = (n: number, type: string, more: object = {}): AnyFrame => of(n, type, { generation: 1, ...more });

/** A version 1 sidecar sends these, as deployed ones do. */
const V1_SCENES: readonly (Scene | AnyFrame)[] = [
  ...[{ do: 'connect' } as const, IDENTIFY_V1, HOLDS_NOTHING],
  ...[submit(1, 'count'), of(1, 'task_accepted'), of(1, 'wake_result', { status: 'success', attempt: 1 })],
  ...[of(1, 'task_progress', { progress: 40 }), named(1, 'task_complete', { result: { status: 'success', output: 3 }, tokens_used: 7 })],
  ...[submit(2, 'cancelled'), of(2, 'task_accepted'), cancel(2), { type: 'status', status: 'idle' }],
  ...[submit(3, 'held'), of(3, 'task_accepted'), { do: 'cut' } as const, pass(2_000), { do: 'connect' } as const, IDENTIFY_V1],
  ...[of(3, 'task_recovering', { last_status: 'working' }), named(3, 'task_complete', { result: 'done' })],
  ...[submit(4, 'fails', 0), of(4, 'task_accepted'), named(4, 'task_failed', { error: 'it broke' })],
  ...[submit(5, 'rejected'), of(5, 'task_rejected', { reason: 'busy' })],
  { type: 'ping' },
];

/** Plays the scenes with the current hub and sidecar, and returns everything sent and done. */
export async function conversationOf(version: Version): Promise<readonly Line[]> {
  const lines: Line[] = [];
  const clock = virtualClock();
  let isRecording = false;
  const keep = (line: SentFrame | Action): void => {
    if (isRecording) lines.push({ at: clock.monotonicMs(), ...line });
  };
  const wire = memoryWire({
    clock,
    fate({ kind, from, text }) {
      if (kind === 'frame') keep({ from, frame: JSON.parse(text) as AnyFrame });
      if (kind === 'connect') keep({ do: 'connect' });
      return [{ delayMs: 0 }];
    },
  });
  const rig = await presentHub({ clock, wire });
  // Creates its token.
  let peer: Peer = await rig.peer(AGENT);
  await peer.cut();
  isRecording = true;
  const sidecar = presentSidecar({ clock, wire });
  for (const scene of version === 'v2' ? V2_SCENES : V1_SCENES) {
    if ('type' in scene) await peer.send(scene as AnyFrame);
    else if (scene.do === 'pass') await rig.pass(scene.ms);
    else if (scene.do === 'connect') {
      if (version === 'v2') await sidecar.start();
      else peer = await peer.reconnect();
    } else {
      keep(scene as Action);
      if (scene.do === 'cut') for (const connection of wire.open()) wire.cut(connection);
      else await doAtHub(rig, scene as Action);
    }
    await rig.pass(0);
  }
  isRecording = false;
  await rig.kill();
  return lines;
}

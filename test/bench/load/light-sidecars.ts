/**
 * Sidecars reduced to their frames: plain sockets that speak version 2, store nothing and wake no agent. An assignment
 * is accepted at once and completed when its acceptance was acknowledged, so that each step of a task is a separate
 * frame and commit. To have all tasks take a step together, hold them before it.
 */
import type { Socket } from 'node:net';
import WebSocket from 'ws';
import { portOf } from './submit-load.ts';

export interface LightSidecarsPlan {
  /** Of the hubs, called in turn. */
  readonly ports: readonly number[];
  readonly sidecars: readonly { readonly agentId: string; readonly token: string; readonly slots: number }[];
  /** Completes right after the acceptance, without waiting for its acknowledgement. */
  readonly atOnce: boolean;
}

export interface LightSidecarsEvents {
  onAssigned(taskId: string, description: string): void;
  /** The acceptance is acknowledged. */
  onAccepted?: (() => void) | undefined;
  /** What each task waits for before it is accepted, and before it is completed; by default nothing. */
  readonly beforeAccepting?: Promise<void> | undefined;
  readonly beforeCompleting?: Promise<void> | undefined;
  /** The completion is acknowledged. */
  onCompleted(taskId: string): void;
  onFailure(error: Error): void;
}

export interface LightSidecars {
  /** Asks the hub for nothing more; what is in flight still arrives. */
  drain(): void;
  close(): Promise<void>;
}

type LightSidecar = LightSidecars;

type Frame = Readonly<Record<string, unknown>> & { readonly type: string };

/** The hub allows at least this many unidentified sockets. */
const CONNECTING_MAX = 500;

/** Resolves when all of them are identified. */
export async function lightSidecars({ ports, sidecars, atOnce }: LightSidecarsPlan, events: LightSidecarsEvents): Promise<LightSidecars> {
  const all: LightSidecar[] = [];
  for (let from = 0; from < sidecars.length; from += CONNECTING_MAX) {
    const some = sidecars.slice(from, from + CONNECTING_MAX);
    all.push(...(await Promise.all(some.map((one, n) => lightSidecar(`ws://127.0.0.1:${portOf(ports, n)}/ws`, one, atOnce, events)))));
  }
  return {
    drain() {
      for (const one of all) one.drain();
    },
    close: async () => void (await Promise.all(all.map((one) => one.close()))),
  };
}

function lightSidecar(
  url: string,
  { agentId, token, slots }: LightSidecarsPlan['sidecars'][number],
  atOnce: boolean,
  events: LightSidecarsEvents,
): Promise<LightSidecar> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  let isClosing = false;
  let send: (text: string) => void = () => undefined;
  const completed = (task: string): string => `{"type":"task_complete",${task},"result":{"status":"success","output":"done"}}`;

  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(error);
      events.onFailure(error);
    };
    socket.on('upgrade', ({ socket: raw }) => (send = corkedSend(socket, raw)));
    socket.on('open', () =>
      send(
        JSON.stringify({
          type: 'identify',
          agent_id: agentId,
          token,
          status: 'idle',
          capabilities: ['code'],
          client_type: 'sidecar',
          protocol_version: 2,
          instance_id: `instance-${agentId}`,
          slots,
          held: [],
        }),
      ),
    );
    socket.on('message', (data) => {
      const frame = JSON.parse((data as Buffer).toString('latin1')) as Frame; // what these are given is ASCII
      const task = `"task_id":"${String(frame['task_id'])}","generation":${String(frame['generation'])}`;
      switch (frame.type) {
        case 'task_assign':
          events.onAssigned(frame['task_id'] as string, frame['description'] as string);
          return after(events.beforeAccepting, () => {
            send(`{"type":"task_accepted",${task}}`);
            if (atOnce) send(completed(task));
          });
        case 'task_ack':
          if (frame['status'] === 'complete') return events.onCompleted(frame['task_id'] as string);
          if (frame['status'] !== 'accepted') return;
          events.onAccepted?.();
          if (!atOnce) after(events.beforeCompleting, () => send(completed(task)));
          return;
        case 'probe':
          return send(`{"type":"probe_ack","nonce":${JSON.stringify(frame['nonce'])}}`);
        case 'identified':
          return resolve({ drain: () => send('{"type":"draining","reason":"it has had enough"}'), close });
        case 'error':
        case 'task_nack':
        case 'task_cancelled':
          return fail(new Error(`${agentId} was told ${JSON.stringify(frame)}`));
        default:
      }
    });
    socket.on('error', fail);
    socket.on('close', (code) => {
      if (!isClosing) fail(new Error(`the hub closed the socket of ${agentId} with ${code}`));
    });
    const close = (): Promise<void> => {
      isClosing = true;
      return new Promise((closed) => {
        socket.once('close', () => closed());
        socket.close();
      });
    };
  });
}

function after(gate: Promise<void> | undefined, step: () => void): void {
  if (gate === undefined) step();
  else void gate.then(step);
}

/** Frames that are sent in one turn of the loop leave in one write. */
function corkedSend(socket: WebSocket, raw: Socket): (text: string) => void {
  let isCorked = false;
  return (text) => {
    if (!isCorked) {
      isCorked = true;
      raw.cork();
      process.nextTick(() => {
        isCorked = false;
        raw.uncork();
      });
    }
    socket.send(text);
  };
}

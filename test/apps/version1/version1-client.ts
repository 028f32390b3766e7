/**
 * A pure version 1 sidecar: a plain `ws` client, written from the description of the wire alone. Answers of the hub
 * and what it reports about other agents are kept apart, so that other clients do not disturb a dialogue.
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';

export type Frame = Readonly<Record<string, unknown>> & { readonly type: string };

export interface V1Client {
  readonly agentId: string;
  readonly token: string;
  /** A text as it is; bytes as a binary frame. */
  send(frame: Readonly<Record<string, unknown>> | string | Buffer): void;
  /** The next `count` frames of the dialogue, which are all that the hub sends in response to what was sent so far. */
  answers(count: number): Promise<readonly Frame[]>;
  /** The next frame of the dialogue. */
  next(): Promise<Frame>;
  /** The next frame about, or from, this other agent. */
  toldOf(agentId: string): Promise<Frame>;
  /** Its close code, once it is closed. */
  readonly closed: Promise<number>;
  /** Cuts the connection, and waits until it is gone here. */
  cut(): Promise<void>;
}

export interface V1ClientOptions {
  readonly port: number;
  readonly agentId: string;
  readonly token: string;
  /** Its identity for the hub: invalid frames of unknown peers count against their address. */
  readonly address: string;
  /** Whether it answers pings of the socket layer. Default true. */
  readonly autoPong?: boolean;
}

/** How long the hub may take to send what is expected, in milliseconds. */
const ANSWER_WITHIN_MS = 20_000;
/**
 * A frame whose answer shows that everything before it was answered: it waits in the same queue and changes nothing.
 * Two of them, one after the other, since frames sent by a commit follow the answers of its whole batch.
 */
const FENCE = { type: 'task_rejected', task_id: 'task-fe2ce00000000000' };
const FENCE_ANSWER = JSON.stringify({ type: 'error', error: 'task_reject_failed: unknown_task' });
const ABOUT_OTHERS = new Set(['agent_joined', 'agent_left', 'status_changed', 'message']);

/** Connects without identifying. */
export async function v1Client({ port, agentId, token, address, autoPong = true }: V1ClientOptions): Promise<V1Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, {
    perMessageDeflate: false,
    headers: { 'x-forwarded-for': address },
    autoPong,
  });
  const dialogue = frameQueue(`${agentId}: an answer of the hub`);
  const others = new Map<string, FrameQueue>();
  const of = (other: string): FrameQueue => {
    const queue = others.get(other) ?? frameQueue(`${agentId}: a word about ${other}`);
    others.set(other, queue);
    return queue;
  };
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as Frame;
    if (ABOUT_OTHERS.has(frame.type)) of(agentOf(frame)).put(frame);
    else dialogue.put(frame);
  });
  const closed = once(socket, 'close').then(([code]) => {
    for (const queue of [dialogue, ...others.values()]) queue.end(`the connection was closed with ${String(code)}`);
    return code as number;
  });
  await once(socket, 'open');
  // A closed connection is reported by `closed`, whether the network or the hub closed it.
  socket.on('error', () => undefined);

  const send = (frame: Readonly<Record<string, unknown>> | string | Buffer): void =>
    socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));

  return {
    agentId,
    token,
    send,
    async answers(count) {
      const frames: Frame[] = [];
      while (frames.length < count) frames.push(await dialogue.take());
      for (let fences = 0; fences < 2; fences += 1) {
        send(FENCE);
        for (let frame = await dialogue.take(); JSON.stringify(frame) !== FENCE_ANSWER; frame = await dialogue.take()) frames.push(frame);
      }
      return frames;
    },
    next: () => dialogue.take(),
    toldOf: (other) => of(other).take(),
    closed,
    async cut() {
      socket.terminate();
      await closed;
    },
  };
}

function agentOf(frame: Frame): string {
  const agent = frame['agent'] as { readonly agent_id?: unknown } | undefined;
  return String(frame['from'] ?? frame['agent_id'] ?? agent?.agent_id);
}

interface FrameQueue {
  put(frame: Frame): void;
  /** The next one; fails if it does not come in time, or cannot come any more. */
  take(): Promise<Frame>;
  end(why: string): void;
}

function frameQueue(what: string): FrameQueue {
  const frames: Frame[] = [];
  let waiting: { readonly resolve: (frame: Frame) => void; readonly fail: (why: string) => void } | null = null;
  let ended: string | null = null;
  return {
    put(frame) {
      if (waiting === null) frames.push(frame);
      else waiting.resolve(frame);
    },
    take: () =>
      new Promise((resolve, reject) => {
        const frame = frames.shift();
        if (frame !== undefined) return resolve(frame);
        const settle = (then: () => void): void => {
          clearTimeout(timer);
          waiting = null;
          then();
        };
        const fail = (why: string): void => settle(() => reject(new Error(`${what} did not come: ${why}`)));
        const timer = setTimeout(() => fail(`not within ${ANSWER_WITHIN_MS} ms`), ANSWER_WITHIN_MS);
        waiting = { resolve: (frame) => settle(() => resolve(frame)), fail };
        if (ended !== null) fail(ended);
      }),
    end(why) {
      ended = why;
      waiting?.fail(why);
    },
  };
}

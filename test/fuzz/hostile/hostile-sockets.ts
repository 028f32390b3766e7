/** Hostile peers on the wire: unknown peers from everywhere, and agents with tokens of their own that break every rule. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, type RawData } from 'ws';
import { WIRE_ERRORS, MESSAGE_FAILURES, V1_VERBS } from '../../../core/protocol/hub-frames.ts';
import { frameParser } from '../../../core/protocol/frame-parser.ts';
import { v1Schemas, v2Schemas, type SidecarFrame } from '../../../core/protocol/sidecar-frames.ts';
import { brokenFrames, brokenIdentifies, MARKS, wellMadeFrames } from './frame-texts.ts';
import type { Chooser } from './choose.ts';
import type { Tallying } from './tally.ts';

/** Invalid frames that an agent may send in a minute without being disconnected. */
const INVALID_TOLERATED = 9;
/** An agent that sent more rests for longer than it is blocked, one that sent some until they no longer count. */
const HELD_OFF_MS = 125_000;
const MINUTE_MS = 61_000;
const DEAF_MS = 2_000;
const BURST = 40;
const BURSTS = 15;

export interface Pools {
  readonly valid: Readonly<Record<1 | 2, readonly string[]>>;
  readonly invalid: Readonly<Record<1 | 2, readonly string[]>>;
  readonly identifies: readonly string[];
}

/** `size` texts of each kind, separated by what each version of the protocol accepts; what is sent varies them. */
export function framePools(seed: number, size: number): Pools {
  const texts = [...wellMadeFrames(size, seed), ...brokenFrames(size, seed + 1)];
  const sorted = (schemas: typeof v1Schemas | typeof v2Schemas) => {
    const parseFrame = frameParser<SidecarFrame>(schemas);
    const isValid = (text: string): boolean => {
      const frame = parseFrame(text);
      return frame.kind === 'frame' && frame.frame.type !== 'identify';
    };
    return { valid: texts.filter(isValid), invalid: texts.filter((text) => !isValid(text)) };
  };
  const [one, two] = [sorted(v1Schemas), sorted(v2Schemas)];
  return {
    valid: { 1: one.valid, 2: two.valid },
    invalid: { 1: one.invalid, 2: two.invalid },
    identifies: brokenIdentifies(Math.ceil(size / 4), seed + 2),
  };
}

export interface HostileAgent {
  readonly agentId: string;
  readonly token: string;
  /** Not before this time, by the monotonic clock. */
  restsUntilMs: number;
}

export interface Target {
  readonly id: string;
  readonly generation: number;
}

export interface Targets {
  /** Tasks of honest agents, with their generations. */
  others: readonly Target[];
  /** Those of the hostile agents. */
  hostile: readonly Target[];
}

export interface SocketDeps {
  readonly port: number;
  readonly pools: Pools;
  readonly choose: Chooser;
  readonly tally: Tallying;
  readonly targets: Targets;
  /** Whether enough was sent in total: peers that have begun send no more. */
  readonly isOver?: () => boolean;
}

const WORDS = new Set<string>([
  ...WIRE_ERRORS,
  ...MESSAGE_FAILURES.map((why) => `message_failed: ${why}`),
  ...V1_VERBS.flatMap((verb) =>
    ['stale_generation', 'not_assignee', 'invalid_state', 'unknown_task', 'validation_failed'].map(
      (code) => `task_${verb}_failed: ${code}`,
    ),
  ),
]);

export interface Peer {
  readonly socket: WebSocket;
  /** The latest assignment it received. */
  own: { readonly id: string; readonly generation: number } | null;
  /** Called with the type of each received frame. */
  onType: (type: string) => void;
  send(text: string): void;
  /** Waits until the hub has processed all that was sent; false if the connection is over. */
  settled(): Promise<boolean>;
  end(): Promise<void>;
}

export async function connect({ port, choose, tally }: SocketDeps, address: string): Promise<Peer | null> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, {
    localAddress: address,
    perMessageDeflate: choose.oneIn(4),
    skipUTF8Validation: true,
  });
  tally.socket();
  // Its close code shows what the hub does to it.
  socket.on('error', () => undefined);
  const closed = once(socket, 'close') as Promise<[number]>;
  closed.then(
    ([code]) => {
      tally.closed(code);
      if (code === 1011) tally.surprise('a socket was closed with 1011: a handler of the hub threw');
    },
    () => tally.surprise('a socket never closed'),
  );
  await Promise.allSettled([Promise.race([once(socket, 'open'), closed])]);
  if (socket.readyState !== WebSocket.OPEN) return null;
  const peer: Peer = {
    socket,
    own: null,
    onType: () => undefined,
    send(text) {
      tally.frame();
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    async settled() {
      if (socket.readyState !== WebSocket.OPEN) return false;
      const pong = once(socket, 'pong').then(() => true);
      socket.ping();
      return Promise.race([pong.catch(() => false), closed.then(() => false)]);
    },
    async end() {
      if (choose.oneIn(2)) socket.terminate();
      else socket.close();
      await closed;
    },
  };
  socket.on('message', (data: RawData) => note(peer, tally, (data as Buffer).toString()));
  return peer;
}

function note(peer: Peer, tally: Tallying, text: string): void {
  const frame = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const type = String(frame['type']);
  peer.onType(type);
  if (type === 'task_assign') peer.own = { id: String(frame['task_id']), generation: Number(frame['generation']) };
  if (type !== 'error') return tally.answered(type === 'task_nack' ? `task_nack ${String(frame['reason'])}` : type);
  tally.answered(`error ${String(frame['error'])}`);
  if (!WORDS.has(String(frame['error']))) tally.surprise(`an error that is not documented: ${text}`);
}

/** With real tasks in place of the placeholders: its own with the right or a wrong generation, others', and one that never existed. */
function aimed(text: string, peer: Peer, { choose, targets }: SocketDeps): string {
  if (!text.includes('"task-')) return text;
  const other = targets.others.length === 0 ? null : choose.of(targets.others);
  const own = peer.own;
  const generation = text.includes(MARKS.own) ? own?.generation : other?.generation;
  const named = text.replaceAll(MARKS.own, own?.id ?? MARKS.gone).replaceAll(MARKS.other, other?.id ?? MARKS.gone);
  if (generation === undefined || choose.oneIn(3)) return named;
  return named.replace(/"generation":\d+/, `"generation":${Math.max(0, generation - choose.below(2))}`);
}

/** Frames of the wire itself that no correct client sends. */
export const RAW_FRAMES: readonly Buffer[] = [
  Buffer.from([0x81, 0x83, 0, 0, 0, 0, 0xff, 0xfe, 0xfd]), // not UTF-8
  Buffer.from([0x82, 0x82, 0, 0, 0, 0, 0x7b, 0x7d]), // binary
  Buffer.from([0xc1, 0x80, 0, 0, 0, 0]), // compressed, not agreed on
  Buffer.from([0xf1, 0x80, 0, 0, 0, 0]), // reserved bits
  Buffer.from([0x85, 0x80, 0, 0, 0, 0]), // no such opcode
  Buffer.from([0x81, 0x02, 0x7b, 0x7d]), // no mask
  Buffer.from([0x80, 0x80, 0, 0, 0, 0]), // goes on with nothing
  Buffer.from([0x89, 0xfe, 0x00, 0x7e, 0, 0, 0, 0]), // a ping that is too long
  Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), // a length beyond all bounds
  Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]), // two gigabytes are announced
  Buffer.from([0x88, 0x81, 0, 0, 0, 0, 0x03]), // a close with half a code
  Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x00, 0x01]), // a close with a code that is none
];

/** A peer without a token, from a new address. Returns how many frames it sent. */
export async function stranger(deps: SocketDeps): Promise<void> {
  const { choose, pools, tally } = deps;
  const peer = await connect(deps, choose.address());
  if (peer === null) return;
  const { socket } = peer;
  const frames = 1 + choose.below(11);
  for (let n = 0; n < frames; n += 1) {
    const kind = choose.below(20);
    if (kind < 12) peer.send(choose.of(pools.invalid[2]));
    else if (kind < 15) peer.send(choose.of(pools.valid[2]));
    else if (kind < 19) peer.send(choose.of(pools.identifies));
    else if (choose.oneIn(3)) peer.send(`{"type":"ping","pad":"${'x'.repeat(65_000 + choose.below(2_000))}"}`);
    else {
      tally.frame();
      (socket as unknown as { readonly _socket: Socket })._socket.write(choose.of(RAW_FRAMES));
    }
  }
  await peer.settled();
  await peer.end();
}

/** Identifies, and waits for the answer; false if there is none. */
export async function identified(peer: Peer, frame: Readonly<Record<string, unknown>>): Promise<boolean> {
  const answer = new Promise<boolean>((resolve) => {
    peer.onType = (type) => resolve(type === 'identified');
    peer.socket.once('close', () => resolve(false));
  });
  peer.send(JSON.stringify({ type: 'identify', ...frame }));
  const isIn = await answer;
  peer.onType = () => undefined;
  return isIn;
}

/** An agent with a valid token: identifies, then sends anything, mostly frames that are valid and lies. */
export async function liar(deps: SocketDeps, agent: HostileAgent, version: 1 | 2 = deps.choose.oneIn(4) ? 1 : 2): Promise<void> {
  const { choose, pools, targets } = deps;
  const peer = await connect(deps, choose.address());
  if (peer === null) return;
  const held = targets.others.slice(0, 1 + choose.below(20)).map(({ id, generation }) => ({
    task_id: id,
    generation: choose.of([generation, generation + 1, generation + 2, 1_000_000, 2 ** 53 - 2, 2 ** 53 - 1]),
    status: choose.of(['working', 'accepted', 'reporting']),
    store_id: choose.oneIn(3) ? 'store-of-another-time' : undefined,
  }));
  const v2 = { protocol_version: 2, instance_id: `machine-of-${agent.agentId}`, held };
  const { agentId, token } = agent;
  const who = { agent_id: agentId, token, capabilities: ['code', 'hostile'], slots: 128, ...(version === 2 ? v2 : {}) };
  const isIn = await identified(peer, who);
  /** Number of invalid frames that it will send: none, as many as are tolerated, or more. */
  const invalidMax = choose.oneIn(3) ? (choose.oneIn(4) ? Infinity : INVALID_TOLERATED) : 0;
  let invalid = 0;
  for (let burst = 0; isIn && burst < BURSTS && deps.isOver?.() !== true; burst += 1) {
    for (let n = 0; n < BURST; n += 1) {
      const isInvalid = invalid < invalidMax && (invalidMax === Infinity || choose.oneIn(60));
      if (isInvalid) invalid += 1;
      peer.send(aimed(choose.of(isInvalid ? pools.invalid[version] : pools.valid[version]), peer, deps));
    }
    if (!(await peer.settled())) break;
  }
  if (invalid > 0) agent.restsUntilMs = performance.now() + (invalid > INVALID_TOLERATED ? HELD_OFF_MS : MINUTE_MS);
  await peer.end();
}

/** A peer that reads nothing: requests much and reads no answer, until the hub disconnects it or the time is over. */
export async function deaf(deps: SocketDeps, { agentId, token }: HostileAgent): Promise<void> {
  const { choose, pools } = deps;
  const peer = await connect(deps, choose.address());
  if (peer === null) return;
  const isIn = await identified(peer, { agent_id: agentId, token, protocol_version: 2, instance_id: `machine-of-${agentId}`, held: [] });
  peer.socket.pause();
  for (let n = 0; isIn && n < BURST * BURSTS; n += 1) peer.send(aimed(choose.of(pools.valid[2]), peer, deps));
  await sleep(DEAF_MS);
  peer.socket.terminate();
}

/** A peer that identifies and, before that is answered, sends everything else. */
export async function impatient(deps: SocketDeps, { agentId, token }: HostileAgent): Promise<void> {
  const { choose, pools } = deps;
  const peer = await connect(deps, choose.address());
  if (peer === null) return;
  peer.send(JSON.stringify({ type: 'identify', agent_id: agentId, token, protocol_version: 2, instance_id: `machine-of-${agentId}` }));
  for (let n = 0; n < BURST * 2; n += 1) peer.send(aimed(choose.of(pools.valid[2]), peer, deps));
  await peer.settled();
  await peer.end();
}

/** Hostile submitters, viewers and unauthenticated peers of a soak: each is a turn that its loop repeats. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Targets } from '../../fuzz/hostile/hostile-sockets.ts';
import type { Tallying } from '../../fuzz/hostile/tally.ts';
import { bareSocket, type Asker, type Sender } from './ask.ts';
import { DEEDS, DEPENDENTS, HOSTILE_CAPABILITY, REQUIREMENTS } from './neighbour-kinds.ts';

const LINES = 'application/x-ndjson';
/** Of a submit: nearly as large as allowed, and larger. */
const BIG = 240_000;
const TOO_BIG = 300_000;
/** So that its cancels are no more than a third of the honest ones. */
const CANCEL_EACH_MS = 100;
/** After ten assignments that were not accepted a task waits for an operator: so that it ends, it has a time limit for acceptance. */
const DOOMED_TTL_MS = 10_000;
/** Its last assignment is within its ttl; the hub waits for acceptance for 30 s, for 30 s more after a stall, and sweeps. */
const DEAD_WITHIN_MS = 90_000;
const LOOK_MS = 500;
const MAX_RETRIES = 2;
/** Longer than the hub waits for an identify. */
const HALF_OPEN_MS = 12_000;
const TRICKLE_EACH_MS = 1_000;
/** So many that the hub, which disconnects readers that take nothing for a minute, gets to do it. */
const STREAMS = 40;

const idsIn = (text: string): readonly string[] => text.match(/task-[0-9a-f]+/g) ?? [];

/** Tasks with requirements that no agent meets, and bodies at and over the limit; it cancels what was accepted. */
export async function oddSubmits({ ask }: Asker, turn: number, isOver: () => boolean): Promise<void> {
  const fresh = Array.from({ length: REQUIREMENTS }, (_, n) =>
    JSON.stringify({ description: 'odd', needed_capabilities: [`odd-${turn}-${n}`] }),
  );
  const [, taken] = await ask('POST', '/api/tasks/bulk', `${fresh.join('\n')}\n`, LINES);
  const sized = (size: number): string =>
    JSON.stringify({ description: 'big', needed_capabilities: ['odd'], metadata: { pad: 'x'.repeat(size) } });
  const [, big] = await ask('POST', '/api/tasks', sized(BIG));
  await ask('POST', '/api/tasks', sized(TOO_BIG));
  await cancelAll({ ask }, [...idsIn(taken), ...idsIn(big)], isOver);
}

/** Hundreds of tasks that depend on one, which is cancelled, and then they are, one after another. */
export async function manyDependents({ ask }: Asker, isOver: () => boolean): Promise<void> {
  const [, answer] = await ask('POST', '/api/tasks', JSON.stringify({ description: 'first', needed_capabilities: ['odd'] }));
  const [first] = idsIn(answer);
  if (first === undefined) return;
  const body = JSON.stringify({ description: 'dependent', needed_capabilities: ['odd'], depends_on: [first] });
  const [, taken] = await ask('POST', '/api/tasks/bulk', `${body}\n`.repeat(DEPENDENTS), LINES);
  await cancelAll({ ask }, [first, ...idsIn(taken)], isOver);
}

/** At the end without a pause in between. */
async function cancelAll({ ask }: Pick<Asker, 'ask'>, ids: readonly string[], isOver: () => boolean): Promise<void> {
  for (const id of new Set(ids)) {
    if (!isOver()) await sleep(CANCEL_EACH_MS);
    // What is refused for now is cancelled later: nothing of it may stay.
    while (![200, 404, 409].includes((await ask('POST', `/api/tasks/${id}/cancel`, '{}'))[0])) await sleep(LOOK_MS);
  }
}

/** A task for the crash-looping agent, watched until it has ended as a dead letter. */
export async function doomedTask({ ask }: Asker, tally: Tallying, isOver: () => boolean): Promise<void> {
  const body = { description: 'doomed', needed_capabilities: [HOSTILE_CAPABILITY], max_retries: MAX_RETRIES, ttl_ms: DOOMED_TTL_MS };
  const [status, answer] = await ask('POST', '/api/tasks', JSON.stringify(body));
  const [id] = idsIn(answer);
  if (id === undefined) return status === 201 ? tally.surprise(`a submit was answered with ${answer}`) : undefined;
  const untilMs = performance.now() + DEAD_WITHIN_MS;
  while (!isOver()) {
    await sleep(LOOK_MS);
    const [seen, text] = await ask('GET', `/api/tasks/${id}`);
    if (seen === 200 && (JSON.parse(text) as { readonly status: string }).status === 'dead_letter') return tally.answered(DEEDS.deadLetter);
    if (performance.now() > untilMs) return tally.surprise(`${id} is not a dead letter ${DEAD_WITHIN_MS} ms after its submit: ${text}`);
  }
}

export interface Sockets {
  /** Keeps it until it closes, or for this long. */
  keep(socket: Socket, forMs: number, ended: string): void;
  closeAll(): void;
}

export function openSockets(tally: Tallying): Sockets {
  const open = new Set<Socket>();
  return {
    keep(socket, forMs, ended) {
      open.add(socket);
      const timer = setTimeout(() => socket.destroy(), forMs);
      socket.once('close', () => {
        clearTimeout(timer);
        open.delete(socket);
        tally.answered(ended);
      });
    },
    closeAll: () => open.forEach((socket) => socket.destroy()),
  };
}

const UPGRADE =
  'GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
/** Before any authentication: no byte, half a header, a WebSocket that never identifies. */
const HALF_OPEN = ['', 'GET /api/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nAuth', UPGRADE];

export function halfOpen(sender: Omit<Sender, 'token'>, sockets: Sockets, turn: number): void {
  const socket = bareSocket(sender).resume();
  socket.write(HALF_OPEN[turn % HALF_OPEN.length] ?? '');
  sockets.keep(socket, HALF_OPEN_MS, DEEDS.halfOpen);
}

/** A body that comes byte by byte and does not end. */
export function slowBody(sender: Sender, sockets: Sockets): void {
  const socket = bareSocket(sender).resume();
  const head = `POST /api/tasks HTTP/1.1\r\nHost: 127.0.0.1:${sender.port}\r\nAuthorization: Bearer ${sender.token}\r\nContent-Type: application/json\r\nContent-Length: ${BIG}\r\n\r\n{`;
  socket.write(head);
  const trickle = setInterval(() => socket.writable && socket.write(' '), TRICKLE_EACH_MS);
  socket.once('close', () => clearInterval(trickle));
  sockets.keep(socket, HALF_OPEN_MS, DEEDS.slowBody);
}

/** Big lists at once, and whole histories; from the lists it learns what others have, and reports it to `targets`. */
export async function readMuch({ ask }: Asker, targets: Targets): Promise<void> {
  const lists = ['status=assigned', 'status=completed', 'status=cancelled', 'priority=normal'];
  const [assigned] = await Promise.all([
    ...lists.map((filter) => ask('GET', `/api/tasks?limit=500&${filter}`)),
    ask('GET', '/api/tasks/dead-letter?limit=500'),
    ask('GET', '/api/agents'),
    ...targets.others.slice(0, 3).map(({ id }) => ask('GET', `/api/tasks/${id}/events?limit=500`)),
  ]);
  if (assigned?.[0] !== 200) return;
  const { tasks } = JSON.parse(assigned[1]) as { readonly tasks: readonly { readonly id: string; readonly generation: number }[] };
  // Between two assignments there may be none: those seen last then stay targets, which the hub refuses as well.
  if (tasks.length > 0) targets.others = tasks.map(({ id, generation }) => ({ id, generation }));
}

/** Streams of all events, of which nothing is read once they have begun. */
export function deafStreams(sender: Sender): { open(): void; closeAll(): void } {
  const streams = new Set<Socket>();
  return {
    /** One more, in place of the oldest. */
    open() {
      const [oldest] = streams;
      if (streams.size >= STREAMS) oldest?.destroy();
      const socket = bareSocket(sender);
      streams.add(socket);
      socket.once('close', () => streams.delete(socket));
      socket.once('data', (chunk: Buffer) => {
        socket.pause();
        const status = Number(chunk.toString('latin1').slice(9, 12));
        sender.tally.status(status);
        if (status === 200) sender.tally.answered(DEEDS.deafStream);
        else socket.destroy();
      });
      socket.write(
        `GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:${sender.port}\r\nAuthorization: Bearer ${sender.token}\r\nLast-Event-ID: 0\r\n\r\n`,
      );
    },
    closeAll: () => streams.forEach((socket) => socket.destroy()),
  };
}

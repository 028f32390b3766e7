/** What every simulated machine of the fleet has, whatever version its sidecar speaks. */
import type { LinkEvents, LinkConnection } from '../../../core/ports/hub-link.ts';
import type { ResultInbox } from '../../../core/ports/result-inbox.ts';
import { mortal, type Life } from '../runner/world-life.ts';
import type { Surroundings } from './simulated-surroundings.ts';

/** Where a sidecar may die during an assignment, as the hub sees it. */
export const CRASH_STEPS = [
  'offered',
  'accepting',
  'offered',
  'accepted',
  'running',
  'woken',
  'reporting',
  'reported',
  'identified',
] as const;
export type CrashStep = (typeof CRASH_STEPS)[number];

export interface CrashLoop {
  readonly step: CrashStep;
  readonly downMs: number;
  /** How often it dies there before it recovers. */
  readonly times: number;
}

export interface Machine {
  readonly name: string;
  readonly agentId: string;
  readonly version: 1 | 2;
  readonly isRunning: boolean;
  start(): void;
  /** Like kill -9 of the sidecar; its agents live on. */
  kill(): void;
  /** The same in the middle of the n-th journal write from now on, or at once with 0; up again after a while. */
  killFor(downMs: number, atWrite: number): void;
  /** From now on it dies each time that it reaches this step, and returns after a while. */
  crashLoop(loop: CrashLoop): void;
  /** Like a power failure: its agents are gone too, and nothing is told. */
  reboot(): void;
  /** Like SIGTERM of the sidecar. */
  stop(): void;
  freeze(ms: number): void;
  jumpClock(ms: number): void;
  /** The n-th journal write from now on fails. */
  failJournal(nth: number): void;
  failPrepare(): void;
  /** One of its agents is killed. */
  killAgent(place: number): void;
  /**
   * Its end of the connection breaks; what it has sent is still in flight, and so are these frames: they arrive just
   * after the next identify.
   */
  resetLink(overtaken: readonly Readonly<Record<string, unknown>>[]): void;
  /** Sends a frame as if its sidecar had sent it, if that is connected. */
  say(frame: Readonly<Record<string, unknown>>): void;
  /** Its current connection, or the last one. */
  readonly connection: number;
  /** What is still pending here: a run, a slot or an unanswered report, described; null if nothing. */
  readonly busyWith: string | null;
  /** All faults of this machine end. */
  endFaults(storeMs: number): void;
}

/** A connection that a machine has given up, and what the hub has yet to receive on it. */
export interface Overtaken {
  readonly link: LinkConnection;
  readonly frames: readonly Readonly<Record<string, unknown>>[];
}

/** Between frames that a newer connection has overtaken, and until the end of their connection. */
const LATE_EACH_MS = 3;
const LATE_GONE_MS = 1_000;

/** What is still in flight there arrives from now on. */
export function letIn({ later }: Surroundings, { link, frames }: Overtaken): void {
  for (const [place, frame] of frames.entries())
    later(1 + place * LATE_EACH_MS, () => link.send(JSON.stringify({ ...frame, foreign: true })));
  later(LATE_GONE_MS, () => link.destroy());
}

/** What one sidecar process receives on its connection. */
export const mortalEvents = (events: LinkEvents, life: Life): LinkEvents => ({
  onOpen: () => life.arrive(() => events.onOpen()),
  onFrame: (text) => life.arrive(() => events.onFrame(text)),
  onTaken: () => life.arrive(() => events.onTaken()),
  onGone: (code, reason) => life.arrive(() => events.onGone(code, reason)),
});

/** The inbox as seen by one sidecar process: its events reach the process while it lives. */
export function mortalInbox(inbox: ResultInbox, life: Life): ResultInbox {
  return new Proxy(mortal(inbox, life), {
    get: (target, name, receiver): unknown =>
      name === 'open'
        ? (onEvent: Parameters<ResultInbox['open']>[0]) => target.open((event) => life.arrive(() => onEvent(event)))
        : (Reflect.get(target, name, receiver) as unknown),
  });
}

/** Connects and records the owner of the connection. */
export function connectFrom(
  world: Surroundings,
  machine: string,
  target: { readonly url: string; readonly frameBytesMax: number },
  events: LinkEvents,
): { readonly link: LinkConnection; readonly connection: number } {
  world.network.connecting(machine, new URL(target.url).hostname);
  const link = world.wire.link({ remoteAddress: world.addressOf(machine) }).connect(target, events);
  return { link, connection: world.lastConnection() };
}

/**
 * Upgrades that wait while as many connections as may be are unidentified. To refuse them instead would cost nearly as much as to serve
 * them: ten thousand sidecars that reconnect at once would be refused and try again several times each, and take three times as long.
 */
import { createPlaces, type Places } from '../../../../domain/place-shares.ts';
import type { Clock, Timer } from '../../../../ports/clock.ts';
import type { PendingUpgrade } from '../../../../ports/hub-transport.ts';
import type { UnidentifiedConnections } from '../unidentified.ts';

/** How many are opened in one turn of the event loop. */
const OPENED_PER_TURN = 64;
/**
 * How long one may wait, milliseconds. Less than the 10 s after which a sidecar gives up: when more arrive than can be served, those that
 * are served have waited for nearly that long.
 */
export const UPGRADE_WAIT_MS = 7_000;

export interface UpgradeQueueDeps {
  readonly clock: Pick<Clock, 'after'>;
  readonly unidentified: Pick<UnidentifiedConnections, 'hasRoom' | 'isFull' | 'free'>;
  /** How many may wait. One address group may have half of the places that the others leave free. */
  readonly max: number;
  readonly refuse: (upgrade: PendingUpgrade) => void;
}

interface Waiting {
  readonly group: string;
  readonly upgrade: PendingUpgrade;
  /** Gives its place back. */
  readonly release: () => void;
  readonly timer: Timer;
}

const gone = (): void => undefined;

export class UpgradeQueue {
  readonly #deps: UpgradeQueueDeps;
  readonly #places: Places;
  /** In order of arrival; the group whose turn is next comes first. */
  readonly #byGroup = new Map<string, Set<Waiting>>();
  #size = 0;
  #turn: Timer | null = null;

  constructor(deps: UpgradeQueueDeps) {
    this.#deps = deps;
    this.#places = createPlaces(deps.max);
  }

  get size(): number {
    return this.#size;
  }

  /** Opens it, keeps it or refuses it. Call the returned function if its peer is gone. */
  enter(group: string, upgrade: PendingUpgrade): () => void {
    const { clock, unidentified, refuse } = this.#deps;
    // While all places are taken, one of a group that has few displaces another and overtakes those that wait.
    const isNext = (this.#byGroup.size === 0 && this.#turn === null) || unidentified.isFull;
    if (isNext && unidentified.hasRoom(group)) {
      upgrade.open();
      return gone;
    }
    const release = this.#places.take(group);
    if (typeof release !== 'function') {
      refuse(upgrade);
      return gone;
    }
    const timer = clock.after(UPGRADE_WAIT_MS, () => {
      this.#leave(waiting);
      refuse(upgrade);
    });
    const waiting: Waiting = { group, upgrade, release, timer };
    const members = this.#byGroup.get(group) ?? new Set();
    this.#byGroup.set(group, members.add(waiting));
    this.#size += 1;
    return () => this.#leave(waiting);
  }

  /** A connection has identified or closed: opens as many as there is room for, from the next turn of the event loop on. */
  onRoom(): void {
    if (this.#byGroup.size > 0) this.#turn ??= this.#deps.clock.after(0, () => this.#openSome());
  }

  /** The hub stops: refuses all. */
  stop(): void {
    this.#turn?.cancel();
    this.#turn = null;
    for (const waiting of [...this.#byGroup.values()].flatMap((members) => [...members])) {
      this.#leave(waiting);
      waiting.upgrade.refuse('stopping');
    }
  }

  #openSome(): void {
    this.#turn = null;
    // Counted now, as they may take their places after this loop.
    const most = Math.min(OPENED_PER_TURN, this.#deps.unidentified.free, this.#size);
    // Until the next turn, none that arrives takes a place of theirs.
    if (most > 0) this.#turn = this.#deps.clock.after(0, () => this.#openSome());
    for (let left = most; left > 0; left -= 1) {
      const [first] = this.#byGroup.values();
      const [waiting] = first ?? [];
      if (waiting === undefined) return;
      this.#leave(waiting);
      this.#toTheEnd(waiting.group);
      waiting.upgrade.open();
    }
  }

  #toTheEnd(group: string): void {
    const members = this.#byGroup.get(group);
    if (members === undefined) return;
    this.#byGroup.delete(group);
    this.#byGroup.set(group, members);
  }

  /** Idempotent. */
  #leave(waiting: Waiting): void {
    const members = this.#byGroup.get(waiting.group);
    if (members?.delete(waiting) !== true) return;
    this.#size -= 1;
    if (members.size === 0) this.#byGroup.delete(waiting.group);
    waiting.timer.cancel();
    waiting.release();
  }
}

/**
 * Unidentified connections by address group. Their number is bounded. One group may take all places while no other needs any; when
 * they are all taken, a connection from a group with clearly fewer displaces the oldest silent one of the largest group.
 */
import type { HubSession } from './hub-session.ts';

/** Fewer by at most this part of the largest group is about as many. */
const ABOUT = 8;

export class UnidentifiedConnections {
  readonly #max: number;
  /** Each group in order of arrival. */
  readonly #byGroup = new Map<string, Map<number, HubSession>>();
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get isFull(): boolean {
    return this.free === 0;
  }

  /** Places that are not taken. */
  get free(): number {
    return Math.max(0, this.#max - this.#count);
  }

  /** Whether `makeRoom` would find room for this group. */
  hasRoom(group: string): boolean {
    return !this.isFull || this.#displaceable(group) !== null;
  }

  /**
   * Whether there is room for one more connection of this group; if so, call `add`. `displaced` has lost its place to it: it no
   * longer counts, and MUST be closed.
   */
  makeRoom(group: string): { readonly hasRoom: boolean; readonly displaced: HubSession | null } {
    if (!this.isFull) return { hasRoom: true, displaced: null };
    const displaced = this.#displaceable(group);
    if (displaced === null) return { hasRoom: false, displaced };
    this.remove(displaced.group, displaced.session.connection.id);
    return { hasRoom: true, displaced: displaced.session };
  }

  /** The connection that would lose its place to one of this group; null if none would. */
  #displaceable(group: string): { readonly group: string; readonly session: HubSession } | null {
    const own = this.#byGroup.get(group)?.size ?? 0;
    let [largest, size] = ['', 0];
    for (const [name, { size: its }] of this.#byGroup) if (its > size) [largest, size] = [name, its];
    // Not if they have about as many: sidecars that all reconnect at once would displace each other.
    if (size - own <= 1 + size / ABOUT) return null;
    // One that has sent hello or identify waits for the hub and keeps its place.
    for (const session of this.#byGroup.get(largest)?.values() ?? []) if (session.state === 'new') return { group: largest, session };
    return null;
  }

  add(group: string, session: HubSession): void {
    const members = this.#byGroup.get(group) ?? new Map<number, HubSession>();
    this.#byGroup.set(group, members);
    members.set(session.connection.id, session);
    this.#count += 1;
  }

  /** It has identified or closed. Idempotent. */
  remove(group: string, id: number): void {
    const members = this.#byGroup.get(group);
    if (members === undefined || !members.delete(id)) return;
    this.#count -= 1;
    if (members.size === 0) this.#byGroup.delete(group);
  }
}

/**
 * Unidentified connections by address group. Their number is bounded. One group may take all places while no other needs any; when
 * they are all taken, a connection from another group displaces the oldest silent one of the largest group.
 */
import type { HubSession } from './hub-session.ts';

export class UnidentifiedConnections {
  readonly #max: number;
  /** Each group in order of arrival. */
  readonly #byGroup = new Map<string, Map<number, HubSession>>();
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Whether there is room for one more connection of this group; if so, call `add`. `displaced` has lost its place to it: it no
   * longer counts, and MUST be closed.
   */
  makeRoom(group: string): { readonly hasRoom: boolean; readonly displaced: HubSession | null } {
    if (this.#count < this.#max) return { hasRoom: true, displaced: null };
    const own = this.#byGroup.get(group)?.size ?? 0;
    let [largest, size] = ['', 0];
    for (const [name, { size: its }] of this.#byGroup) if (its > size) [largest, size] = [name, its];
    // Not if this group would then have as many: the two would displace each other forever.
    if (size <= own + 1) return { hasRoom: false, displaced: null };
    for (const session of this.#byGroup.get(largest)?.values() ?? []) {
      // One that has sent hello or identify waits for the hub and keeps its place.
      if (session.state !== 'new') continue;
      this.remove(largest, session.connection.id);
      return { hasRoom: true, displaced: session };
    }
    return { hasRoom: false, displaced: null };
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

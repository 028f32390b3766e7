/**
 * The connections that have not identified, by the group of addresses that they come from. Their number is bounded. One
 * address may use all of it while nobody else wants any; a connection from another address then takes the place of the
 * oldest silent one of whoever has the most.
 */
import type { HubSession } from './hub-session.ts';

export class Strangers {
  readonly #most: number;
  /** In each group in the order in which they came. */
  readonly #byGroup = new Map<string, Map<number, HubSession>>();
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Whether one more of this group has a place; call `add` then. `displaced` is who loses theirs to it: they no longer
   * count, and MUST be closed.
   */
  makeRoom(group: string): { readonly hasRoom: boolean; readonly displaced: HubSession | null } {
    if (this.#count < this.#most) return { hasRoom: true, displaced: null };
    const own = this.#byGroup.get(group)?.size ?? 0;
    let [largest, size] = ['', 0];
    for (const [name, { size: its }] of this.#byGroup) if (its > size) [largest, size] = [name, its];
    // Not for one that would have as many as the other: they would take each other's places without end.
    if (size <= own + 1) return { hasRoom: false, displaced: null };
    for (const session of this.#byGroup.get(largest)?.values() ?? []) {
      // Who has said its name waits for the hub and keeps its place.
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

  /** It has identified or is gone; twice is fine. */
  remove(group: string, id: number): void {
    const members = this.#byGroup.get(group);
    if (members === undefined || !members.delete(id)) return;
    this.#count -= 1;
    if (members.size === 0) this.#byGroup.delete(group);
  }
}

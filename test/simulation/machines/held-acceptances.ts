/** Acceptances that wait for the end of a turn, on some machines: there a turn of the event loop may last for seconds. */
import type { Clock } from '../../../core/ports/clock.ts';
import type { Chance } from '../seeded-chance.ts';
import type { Surroundings } from './simulated-surroundings.ts';

/** The share of machines that have such turns, and how long the longest is. */
const MACHINES = 0.3;
const TURN_MS = 4_000;

export class HeldAcceptances {
  readonly #world: Surroundings;
  readonly #chance: Chance;
  readonly #areHeld: boolean;
  /** Those that were sent on this connection. */
  #accepted = new Set<string>();

  constructor(world: Surroundings, machine: string) {
    this.#world = world;
    this.#chance = world.chanceOf(`${machine} turns`);
    this.#areHeld = this.#chance.is(MACHINES);
  }

  /** The port of a sidecar with this clock. */
  afterTurn(clock: Clock): { readonly afterTurn?: (work: () => void) => void } {
    return this.#areHeld ? { afterTurn: (work) => void clock.after(this.#chance.between(0, TURN_MS), work) } : {};
  }

  /** A frame is sent. */
  sent(text: string): void {
    if (!this.#areHeld) return;
    const { type, task_id: id } = JSON.parse(text) as { readonly type: string; readonly task_id?: string };
    if (type === 'identify') this.#accepted = new Set();
    if (type === 'task_accepted') this.#accepted.add(String(id));
    if ((type === 'task_complete' || type === 'task_failed') && !this.#accepted.has(String(id)))
      this.#world.trace.rare('end without its acceptance');
  }
}

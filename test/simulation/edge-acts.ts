/** Plays the edge acts of a world; see edges.ts. */
import { placed } from './seeded-chance.ts';
import type { Clients } from './machines/clients.ts';
import type { EdgeAct } from './edges.ts';
import { CRASH_STEPS, type Machine } from './machines/simulated-machine.ts';
import { SidecarMachine } from './machines/sidecar-machine.ts';
import type { World } from './sim-world.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
/** Just over the smallest step that a hub notices. */
const SHAKE_MS = 6_000;
const SHAKES = 30;
/** The time between two steps, as a share of the time for which silence does not count after one. */
const SHAKE_EVERY = 0.6;
const CRASHES = [5, 80] as const;
const CRASHED_MS = [500, 60_000] as const;
const AWAY_MS = [20_000, 1_200_000] as const;
/** Shorter than the time after which a folder that cannot be read is given up. */
const REFUSING_MS = [200, 50_000] as const;
const STORMS = 3;
const STORM_EVERY_MS = 400;

const spanMs = (place: number, lowMs: number, highMs: number): number => Math.round(lowMs * (highMs / lowMs) ** place);

export function playEdge({ kind, n: [which, how, long] }: EdgeAct, world: World, clients: Clients, machine: Machine): void {
  const { hubs, hostiles, later } = world;
  switch (kind) {
    case 'hostile':
      return hostiles.length === 0 ? undefined : placed(hostiles, which).act(how);
    case 'clock_step':
      return placed(hubs, which).jump(how < 0.5 ? -spanMs(long, SECOND_MS, YEAR_MS) : spanMs(long, SECOND_MS, YEAR_MS));
    case 'clock_shake':
      return shake(world, machine);
    case 'crash_loop':
      return machine.crashLoop({
        step: placed(CRASH_STEPS, how),
        downMs: spanMs(long, ...CRASHED_MS),
        times: spanMs(which, ...CRASHES),
      });
    case 'clone':
      if (!(machine instanceof SidecarMachine)) return;
      return how < 0.6 ? world.addMachine(machine.cloned()) : world.pose(machine);
    case 'odd_tasks':
      return clients.odd(5 + Math.floor(how * 15));
    case 'fan_out':
      return clients.fanOut(1 + Math.floor(how * 4), 2 + Math.floor(long * 6));
    case 'storm':
      for (let time = 0; time < STORMS; time += 1) later(time * STORM_EVERY_MS, () => storm(world, which));
      return;
    case 'service_away':
      return world.loseService(spanMs(long, ...AWAY_MS));
    case 'folders_refuse':
      return machine instanceof SidecarMachine ? machine.trouble.refuse(spanMs(long, ...REFUSING_MS)) : undefined;
    case 'second_sidecar':
      return machine instanceof SidecarMachine ? machine.trouble.startSecond() : undefined;
    case 'rest':
      return;
  }
}

/** A machine is gone, and the hubs' clocks step a little each time before silence counts again: each step may restart that period. */
function shake({ hubs, plan: { timing }, later }: World, machine: Machine): void {
  const everyMs = Math.max(timing.quietAfterStartMs, timing.reconnectGraceMs) * SHAKE_EVERY;
  machine.killFor((SHAKES + 1) * everyMs, 0);
  for (let time = 1; time <= SHAKES; time += 1)
    later(time * everyMs, () => hubs.forEach((hub) => hub.jump(time % 2 === 0 ? -SHAKE_MS : SHAKE_MS)));
}

/** Many machines reconnect at the same moment, each to any hub, while the hubs sweep. */
function storm({ machines, hubs }: World, which: number): void {
  for (const [place, machine] of machines.entries()) if ((place + which) % 2 < 1.5) machine.resetLink([]);
  for (const hub of hubs) hub.sweepSoon();
}

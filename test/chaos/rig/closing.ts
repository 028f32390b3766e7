/** The end of a run: everything settles, is stopped as an operator would stop it, and is judged. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultLog, Kept, KeptSidecar } from './chaos-faults.ts';
import { judge, type Evidence, type Verdict } from './chaos-judge.ts';
import type { StreamReader, Submitter } from './observed.ts';
import type { ChaosWorld } from './chaos-world.ts';

const SETTLED_WITHIN_MS = 60_000;
const LOOK_MS = 200;

/**
 * Waits until no sidecar has a report left to deliver, no stop is unconfirmed and the stream has delivered all events, or until
 * time is up; the judge then reports what has not settled.
 */
export async function settle(world: ChaosWorld, stream: StreamReader, agents: readonly string[]): Promise<void> {
  const untilMs = performance.now() + SETTLED_WITHIN_MS;
  const isSettled = async (): Promise<boolean> => {
    if (agents.some((agent) => world.filesOf(agent, 'outbox').length > 0)) return false;
    const { stops, lastEventId } = await world.store.readRest();
    return stops === 0 && stream.ids.at(-1) === lastEventId;
  };
  while (!(await isSettled()) && performance.now() < untilMs) await sleep(LOOK_MS);
}

/** Stops everything as an operator would, and returns what did not go as it should. */
export async function stopAll(
  sidecars: readonly KeptSidecar[],
  ...hubs: readonly Pick<Kept, 'stop' | 'unasked'>[]
): Promise<readonly string[]> {
  const sidecarEnds = await Promise.all(sidecars.map(async (one) => [one.agentId, await one.stop()] as const));
  const hubEnds = await Promise.all(hubs.map(async (hub) => ['a hub', await hub.stop()] as const));
  const ends = [...sidecarEnds, ...hubEnds];
  const notStopped = ends.filter(([, end]) => end !== 0).map(([name, end]) => `${name} ended its SIGTERM with ${end}`);
  return [...notStopped, ...hubs.flatMap((hub) => hub.unasked), ...sidecars.flatMap((one) => one.unasked)];
}

/** Gathers the evidence of a stopped world, and judges it. */
export async function judgeWorld(
  world: ChaosWorld,
  run: {
    readonly told: Submitter;
    readonly stream: StreamReader;
    readonly log: Pick<FaultLog, 'killed' | 'absences'>;
    readonly reconnectGraceMs: number;
    readonly agents: readonly string[];
    readonly wanted: Evidence['wanted'];
  },
): Promise<Verdict> {
  await run.stream.stop();
  world.ledger.read();
  const refused = run.agents.flatMap((agent) =>
    world.filesOf(agent, 'refused').flatMap((name) => /^(.*\.g[0-9]+)\.json$/.exec(name)?.[1] ?? []),
  );
  return judge({
    answered: run.told.answered,
    ledger: world.ledger.lines,
    streamed: run.stream.ids,
    stored: await world.store.readStored(),
    refused: new Set(refused),
    unanswered: run.agents.flatMap((agent) => world.filesOf(agent, 'outbox').map((name) => `${agent}/${name}`)),
    killed: run.log.killed,
    absences: run.log.absences,
    reconnectGraceMs: run.reconnectGraceMs,
    wanted: run.wanted,
  });
}

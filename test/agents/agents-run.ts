/** Every case with every installable program, some in parallel; and the outcome. */
import { withEnds } from '../chaos/rig/chaos-figures.ts';
import { makeWorld, type World } from '../apps/app-world.ts';
import type { AgentProgram } from './real-program.ts';
import type { AgentCase } from './case-kit.ts';
import { fakeModel, type FakeModel } from './fake-model/fake-model.ts';
import type { Installed } from './install.ts';
import { openRoom, type RoomOptions } from './room.ts';

export type Outcome =
  | { readonly kind: 'green'; readonly seconds: number; readonly note?: string | undefined }
  | { readonly kind: 'red'; readonly why: string }
  | { readonly kind: 'unsupported'; readonly why: string };

export interface ReadyProgram {
  readonly program: AgentProgram;
  readonly installed: Extract<Installed, { kind: 'installed' }>;
}

export interface AgentsRun {
  readonly programs: readonly ReadyProgram[];
  readonly cases: readonly AgentCase[];
  /** Rooms in parallel. */
  readonly jobs: number;
  onOutcome(program: AgentProgram, tried: AgentCase, outcome: Outcome): void;
}

/** No sidecar is away for long by chance, however busy the machine is. */
const HUB_TIMING = { acceptMs: 60_000, leaseMs: 60_000, reconnectGraceMs: 60_000, quietAfterStartMs: 60_000, killGraceMs: 3_000 };
/** Time for a program to be made forgetful between two attempts. */
const BACKOFF = { firstMs: 2_000, maxMs: 2_000 };
const LOG_SHOWN = 2_000;

export const agentsRun = ({ programs, cases, jobs, onOutcome }: AgentsRun): Promise<void> =>
  withEnds(async (end) => {
    const model = await fakeModel();
    end.teardown(() => model.close());
    const world = await makeWorld(end, { hubTiming: { ...HUB_TIMING, backoff: BACKOFF } });
    await world.startHub();
    const waiting = programs.flatMap((ready) => cases.map((tried) => ({ ready, tried })));
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        onOutcome(next.ready.program, next.tried, await outcomeOf({ ...next, world, model }));
      }
    };
    await Promise.all(Array.from({ length: jobs }, worker));
  });

interface Tried {
  readonly world: World;
  readonly model: FakeModel;
  readonly ready: ReadyProgram;
  readonly tried: AgentCase;
}

async function outcomeOf({ world, model, ready: { program, installed }, tried }: Tried): Promise<Outcome> {
  const why = tried.unsupported?.(program) ?? null;
  if (why !== null) return { kind: 'unsupported', why };
  const { name, isKeyWrong = false } = tried;
  const beganMs = performance.now();
  const options: RoomOptions['options'] = (own, place) => tried.options?.(program, own, place) ?? {};
  const room = await openRoom({ world, model, program, installed, name, isKeyWrong, options });
  try {
    const note = await tried.run(room);
    return { kind: 'green', seconds: Math.round((performance.now() - beganMs) / 1_000), note };
  } catch (error) {
    const output = error instanceof Error ? error.message : String(error);
    const calls = room.calls().map(({ api, status, isAside }) => `${api} ${String(status)}${isAside ? ' aside' : ''}`);
    return {
      kind: 'red',
      why: [output, await room.histories(), `calls of its model: ${calls.join(', ')}`, room.log().slice(-LOG_SHOWN)].join('\n'),
    };
  } finally {
    await room.close();
  }
}

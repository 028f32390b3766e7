/**
 * What is done while something fails: short scenarios of one hub and its sidecars. Each says how its tasks must end
 * and why an attempt may be lost in it. A scenario continues whatever the answers are; unanswered requests are
 * repeated at the end.
 */
import type { Generation } from '../../core/domain/ids.ts';
import type { Wanted } from './rig/faults-judge.ts';
import type { World } from './rig/faults-world.ts';

export interface Scenario extends Wanted {
  readonly name: string;
  /** What in it can fail that others do not cover. */
  readonly fails: readonly ('store' | 'journal' | 'folders')[];
  /** Before the first call is counted. */
  prepare(world: World): Promise<void>;
  /** While calls are counted. */
  act(world: World): Promise<void>;
}

const oneSidecar =
  (slots = 2) =>
  async (world: World): Promise<void> =>
    void (await world.machine('a1', slots));
const nothing = (): Promise<void> => Promise.resolve();
/** A cut is not reported to either side: attempts may only be lost by it after the grace period. */
const BEYOND_GRACE_MS = 30_000;

/**
 * Folders that fail from the first wake on use up three attempts before the scenario is over: a task that also fails
 * once by itself needs more than the usual three.
 */
const SPARE_RETRIES = 6;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'submit, assign, accept, complete',
    fails: ['store', 'journal', 'folders'],
    prepare: oneSidecar(),
    async act(world) {
      await world.submit(['work 1000']);
      await world.pass(3_000);
    },
  },
  {
    name: 'a sidecar comes, works and stops',
    fails: ['store', 'journal', 'folders'],
    prepare: nothing,
    async act(world) {
      await world.submit(['work 1000']);
      const machine = await world.machine('a1');
      await world.pass(3_000);
      await machine.stop();
    },
  },
  {
    name: 'cancel, with its confirmation',
    fails: ['store', 'journal', 'folders'],
    ends: { hang: ['cancelled'], deaf: ['cancelled'], work: ['completed', 'cancelled'] },
    prepare: oneSidecar(3),
    async act(world) {
      const [hang, deaf, work] = await world.submit(['hang 0', 'deaf 0', 'work 2000']);
      await world.pass(1_000);
      for (const id of [hang, deaf, work]) if (id !== undefined) await world.cancel(id);
      await world.pass(8_000);
    },
  },
  {
    name: 'failures: again after its backoff, and out of the dead letter',
    fails: ['store', 'journal', 'folders'],
    prepare: oneSidecar(),
    async act(world) {
      const [, dead] = await world.submit(['fail-first 500', 'fail-once 500'], { maxRetries: SPARE_RETRIES });
      await world.pass(4_000);
      // Requested until it exists: at the latest when nothing fails any more.
      if (dead !== undefined) await world.retryOnceDead(dead);
      await world.pass(3_000);
    },
  },
  {
    name: 'a late result, and a drain and resume about it',
    fails: ['store', 'journal'],
    losses: ['disconnected'],
    prepare: oneSidecar(),
    async act(world) {
      const [machine] = world.machines;
      const [id] = await world.submit(['work 5000']);
      await world.pass(1_000);
      await world.setAvailability('a1', 'drain');
      machine?.cut();
      await world.pass(BEYOND_GRACE_MS);
      machine?.join();
      await world.pass(10_000);
      if (id !== undefined) await world.adopt(id, 1 as Generation);
      await world.setAvailability('a1', 'resume');
      await world.pass(5_000);
    },
  },
  {
    name: 'a result of a task that was cancelled meanwhile: refused and kept',
    fails: ['store', 'journal', 'folders'],
    ends: { work: ['cancelled', 'completed'] },
    prepare: oneSidecar(),
    async act(world) {
      const [machine] = world.machines;
      const [id] = await world.submit(['work 3000']);
      await world.pass(1_000);
      machine?.cut();
      if (id !== undefined) await world.cancel(id);
      await world.pass(6_000);
      machine?.join();
      await world.pass(8_000);
    },
  },
  {
    name: 'a sweep that reclaims, next to a working agent',
    fails: ['store'],
    losses: ['disconnected'],
    async prepare(world) {
      await world.machine('a1');
      await world.submit(['work 1000', 'work 40000']);
      await world.pass(2_000);
      await world.machine('a2');
      world.machines[0]?.cut();
    },
    async act(world) {
      await world.submit(['work 500', 'work 500']);
      await world.pass(BEYOND_GRACE_MS);
      world.machines[0]?.join();
      await world.pass(10_000);
    },
  },
  {
    name: 'bulk: all or none',
    fails: ['store'],
    prepare: oneSidecar(8),
    async act(world) {
      await world.submit(Array.from({ length: 5 }, (_, n) => `work ${300 + n}`));
      await world.submit(['work 300']);
      await world.pass(5_000);
    },
  },
  {
    name: 'dependents follow their dependencies',
    fails: ['store'],
    prepare: oneSidecar(4),
    async act(world) {
      const first = await world.submit(['work 500', 'work 700']);
      // A client that names a task must have received its id.
      await world.answered();
      const second = await world.submit(['work 500'], { dependsOn: first });
      await world.answered();
      await world.submit(['work 500', 'work 500'], { dependsOn: [...first, ...second] });
      await world.pass(6_000);
    },
  },
  {
    name: 'a hub that is started again amid work',
    fails: ['store'],
    async prepare(world) {
      await world.machine('a1', 4);
      await world.submit(['work 1000', 'work 8000', 'hang 0']);
      await world.pass(2_000);
    },
    ends: { hang: ['cancelled'] },
    async act(world) {
      await world.restartHub('kill');
      await world.pass(5_000);
      const [hang] = (await world.tasksOf('hang')).slice(0, 1);
      if (hang !== undefined) await world.cancel(hang);
      await world.restartHub('stop');
      await world.pass(8_000);
    },
  },
  {
    name: 'a sidecar that starts with a full journal',
    fails: ['store', 'journal', 'folders'],
    async prepare(world) {
      const machine = await world.machine('a1', 4);
      await world.submit(['work 1000', 'work 3000', 'work 12000', 'hang 0', 'work 500']);
      await world.pass(2_000);
      machine.cut();
      await world.pass(2_000);
      machine.kill();
      await world.pass(1_000);
    },
    ends: { hang: ['cancelled'] },
    async act(world) {
      const [machine] = world.machines;
      machine?.join();
      await machine?.start();
      await world.pass(6_000);
      const [hang] = (await world.tasksOf('hang')).slice(0, 1);
      if (hang !== undefined) await world.cancel(hang);
      await world.pass(8_000);
    },
  },
];

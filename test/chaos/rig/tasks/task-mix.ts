/** Tasks of every kind for each of some agents, as many at a time as keep it busy: finished, failed and cancelled ones. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RandomBits } from '../../../product/twins/ids-seeded/seeded-random.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { TestEnd } from '../../../apps/app-world.ts';
import type { Evidence } from '../chaos-judge.ts';
import { mayPass, readStream, submitter, type StreamReader, type Submitter } from '../observed.ts';
import type { ChaosWorld } from '../chaos-world.ts';

export interface TaskMix {
  readonly told: Submitter;
  readonly stream: StreamReader;
  readonly wanted: Evidence['wanted'];
  ended(): number;
  /** Waits; fails if it takes too long. */
  until(holds: () => boolean): Promise<void>;
  /** Submits nothing more and waits for the end of all tasks; returns those that do not end. */
  finish(): Promise<readonly string[]>;
}

/**
 * A cancel targets a run that would not end by itself, so it meets a running one; except for `soon`, which may end at
 * the very moment in which it is cancelled.
 */
const KINDS = ['ok 0.3', 'fail 0.1', 'deaf 600', 'ok 0.8', 'soon 0.2'] as const;
/** So that no task ends as a dead letter unintentionally, however often its sidecar dies. */
const MAX_RETRIES = 100;
/** After its acceptance, in milliseconds: before, in or after its wake. */
const CANCEL_AFTER_MS = 800;
const LOOK_MS = 25;
const WITHIN_MS = 120_000;
const TERMINAL = new Set(['completed', 'cancelled', 'dead_lettered']);

export function mixOfTasks(
  t: TestEnd,
  world: ChaosWorld,
  { agents, atOnce, random }: { readonly agents: readonly string[]; readonly atOnce: number; readonly random: RandomBits },
): TaskMix {
  const ending = new AbortController();
  const told = submitter(world.api, ending.signal);
  const open = new Map<string, string>();
  const ends = new Set<string>();
  let isFeeding = true;
  let submitted = 0;
  const cancelling: Promise<void>[] = [];

  const stream = readStream(world.api, ({ event, taskId }) => {
    const text = told.answered.get(taskId) ?? '';
    if (event === 'accepted' && isToCancel(text)) cancelling.push(cancelSoon(taskId, random() % CANCEL_AFTER_MS));
    if (!TERMINAL.has(event)) return;
    ends.add(taskId);
    open.delete(taskId);
  });

  /** Until it is answered: done, or refused because the task has ended. */
  async function cancelSoon(taskId: string, afterMs: number): Promise<void> {
    await sleep(afterMs);
    while (!ending.signal.aborted) {
      try {
        await world.api.tasks.cancel(taskId);
        return;
      } catch (thrown) {
        if (AgentcomError.is(thrown, 'AC_API') && thrown.details?.['status'] === 409) return;
        if (!mayPass(thrown)) throw thrown;
        await sleep(LOOK_MS);
      }
    }
  }

  async function feed(agent: string): Promise<void> {
    while (isFeeding) {
      const has = [...open.values()].filter((of) => of === agent).length;
      if (has >= atOnce) {
        await sleep(LOOK_MS);
        continue;
      }
      const kind = KINDS[(submitted += 1) % KINDS.length] ?? KINDS[0];
      const retries = / ?fail /.test(` ${kind}`) ? 0 : MAX_RETRIES;
      const body = { description: `mix-${submitted} ${kind}`, assign_to: agent, max_retries: retries };
      const taskId = await told.submit(`mix-${submitted}`, body);
      if (!ends.has(taskId)) open.set(taskId, agent);
    }
  }

  const feeding = Promise.all(agents.map(feed));
  t.teardown(async () => {
    isFeeding = false;
    ending.abort();
    await Promise.allSettled([feeding, ...cancelling, stream.stop()]);
  });

  const until = async (holds: () => boolean): Promise<void> => {
    const untilMs = performance.now() + WITHIN_MS;
    while (!holds()) {
      if (performance.now() > untilMs) throw new Error(`waited ${WITHIN_MS} ms, with ${ends.size} tasks ended and ${open.size} open`);
      await sleep(LOOK_MS);
    }
  };

  return {
    told,
    stream,
    wanted: (text) => (/ fail /.test(text) ? 'dead_letter' : / deaf /.test(text) ? 'cancelled' : / soon /.test(text) ? 'any' : 'completed'),
    ended: () => ends.size,
    until,
    async finish() {
      isFeeding = false;
      await feeding;
      const untilMs = performance.now() + WITHIN_MS;
      while (open.size > 0 && performance.now() < untilMs) await sleep(LOOK_MS);
      await Promise.all(cancelling);
      return [...open.keys()].map((taskId) => `${taskId} (${told.answered.get(taskId)}) did not end within ${WITHIN_MS} ms`);
    },
  };
}

const isToCancel = (text: string): boolean => / (deaf|soon) /.test(text);

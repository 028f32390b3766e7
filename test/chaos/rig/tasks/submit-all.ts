/** Tasks with a duration each, submitted by several clients at once and never far ahead of what the sidecars have done. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RandomBits } from '../../../product/twins/ids-seeded/seeded-random.ts';
import type { Submitter } from '../observed.ts';

/** The most tasks submitted and not ended: enough to keep every slot busy. */
const AHEAD_PER_SIDECAR = 6;
/** A run lasts up to this, in seconds. */
const WORK_SECONDS = 1.5;
/** So that no task ends as a dead letter, however often its agent is killed. */
const MAX_RETRIES = 50;
const LOOK_MS = 20;

export interface Submitting {
  readonly tasks: number;
  readonly sidecars: number;
  /** How many clients submit in parallel. */
  readonly submitters: number;
  readonly random: RandomBits;
  readonly ended: () => number;
  /** Whether more tasks are wanted than requested; default never. */
  readonly goesOn?: () => boolean;
}

/** Returns how many were submitted. */
export async function submitAll(submits: Submitter, submitting: Submitting): Promise<number> {
  const { tasks, sidecars, submitters, random, ended, goesOn = () => false } = submitting;
  let next = 0;
  const submitSome = async (): Promise<void> => {
    while (next < tasks || goesOn()) {
      if (next - ended() >= sidecars * AHEAD_PER_SIDECAR) {
        await sleep(LOOK_MS);
        continue;
      }
      const key = `task-${(next += 1)}`;
      const seconds = ((random() % 1_000) / 1_000) * WORK_SECONDS;
      await submits.submit(key, {
        description: `${key} ok ${seconds.toFixed(2)}`,
        needed_capabilities: ['code'],
        max_retries: MAX_RETRIES,
      });
    }
  };
  await Promise.all(Array.from({ length: submitters }, submitSome));
  return next;
}

/**
 * The process that makes the load: controlled by the measuring process (`rig/load-process.ts`), one command at a time,
 * answering with the outcome and its own CPU time.
 */
import { echo, type Echo } from './echo.ts';
import { openReaders, type Readers, type ReadersPlan } from './event-readers.ts';
import { firstAssignment } from './first-assignment.ts';
import { live } from './lifecycle-load.ts';
import { httpTrips, postgresCommits, socketTrips, sqliteCommits, syncs } from './limits-load.ts';
import { read } from './reads.ts';
import { assignAll, type Steps, type StepsPlan } from './steps.ts';
import { openSubmitter, type Submitted, type SubmitPlan } from './submit-load.ts';

let echoing: Echo | null = null;
let stepping: Steps | null = null;
let reading: Readers | null = null;

async function submit({ count, ...plan }: SubmitPlan & { readonly count: number }): Promise<Submitted> {
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  const submitter = await openSubmitter(plan, fail);
  try {
    return await Promise.race([submitter.all(0, count), failure]);
  } finally {
    submitter.end();
  }
}

/** All its commands. */
const WORK = {
  live,
  submit,
  read,
  firstAssignment,
  syncs,
  sqliteCommits,
  postgresCommits,
  socketTrips,
  httpTrips,
  echo: async ({ transport }: { readonly transport: string }) => (echoing = await echo(transport)).port,
  assignAll: async (plan: StepsPlan) => {
    const { seconds, steps } = await assignAll(plan);
    stepping = steps;
    return seconds;
  },
  acceptAll: async (_: undefined) => stepping?.accept() ?? 0,
  completeAll: async (_: undefined) => stepping?.complete() ?? 0,
  openReaders: async (plan: ReadersPlan) => void (reading = await openReaders(plan)),
  /** Returns what all readers have read, in bytes. */
  endReaders: async (_: undefined) => {
    reading?.close();
    return reading?.bytes() ?? 0;
  },
  endEcho: async (_: undefined) => echoing?.close(),
};

export type Work = typeof WORK;

export interface WorkRequest {
  readonly work: keyof Work;
  readonly plan: unknown;
}

export type WorkResponse =
  | { readonly kind: 'done'; readonly value: unknown; readonly cpuMs: number; readonly rssBytes: number }
  | { readonly kind: 'failed'; readonly error: string };

process.on('message', (message) => void answer(message as WorkRequest));
process.once('disconnect', () => process.exit(0));

async function answer({ work, plan }: WorkRequest): Promise<void> {
  const before = process.cpuUsage();
  const response: WorkResponse = await (WORK[work] as (plan: unknown) => Promise<unknown>)(plan).then(
    (value) => {
      const { user, system } = process.cpuUsage(before);
      return { kind: 'done', value, cpuMs: (user + system) / 1_000, rssBytes: process.memoryUsage.rss() };
    },
    (thrown: unknown) => ({ kind: 'failed', error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) }),
  );
  process.send?.(response);
}

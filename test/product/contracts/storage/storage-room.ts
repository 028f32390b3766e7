/** What the storage contracts need from an adapter, and how their tests open it. */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import type { StoredEvent } from '../../../../core/domain/task/event.ts';
import { AgentcomError } from '../../../../core/errors/agentcom-error.ts';
import type { ErrorCode } from '../../../../core/errors/codes.ts';
import type { Clock } from '../../../../core/ports/clock.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { Changes, StoreCapabilities } from '../../../../core/ports/task-store.ts';
import type { Removal, Removed } from '../../../../core/domain/task/removal.ts';
import type { Teardown } from '../contract-case.ts';
import { A_MOMENT_MS } from '../fixtures.ts';

/** One database, and the storages of successive hubs over it. */
export interface StoragePlace {
  /** A storage that was not opened yet, over this machine's `clock`. It and its resources are released in `t.teardown`. */
  storage(clock: Clock): Storage | Promise<Storage>;
  /** Makes the closed database look as a later version would leave it. Required for a `durable` storage. */
  makeNewer?: (() => Promise<void>) | undefined;
}

/** A storage that cannot be opened, and what its message must name. */
export interface Unopenable {
  readonly why: string;
  readonly storage: Storage;
  readonly names: readonly string[];
}

/** A storage under test. */
export interface StorageSubject {
  /** The capabilities declared by the adapter. They determine which cases there are, and one case holds the adapter to them. */
  readonly capabilities: StoreCapabilities;
  /** An empty place; it releases its resources in `t.teardown`. */
  place(t: Teardown): Promise<StoragePlace>;
  /**
   * Storages that cannot be opened, because of another file or a missing server for example: at least one. Required
   * for a `durable` storage.
   */
  unopenable?: ((t: Teardown) => Promise<readonly Unopenable[]>) | undefined;
}

/** A storage over an empty database, not opened yet. */
export const storageIn = async (t: Teardown, subject: StorageSubject): Promise<Storage> => (await subject.place(t)).storage(systemClock());

/** An open storage over an empty database, closed after the test. */
export async function openedIn(t: Teardown, subject: StorageSubject): Promise<Storage> {
  const storage = await storageIn(t, subject);
  await storage.open();
  return storage;
}

/** Commits these changes in their own batch. */
export const commit = (storage: Storage, changes: Changes): Promise<readonly StoredEvent[]> =>
  storage.tasks.transact(`batch-${randomUUID()}`, (unit) => unit.save(changes, true));

/** Removes everything that ended at or before the moment. */
export const remove = (storage: Storage, over: Partial<Removal> = {}): Promise<Removed> =>
  storage.tasks.transact('remove', (unit) =>
    unit.remove({
      nowMs: A_MOMENT_MS,
      endedBeforeMs: A_MOMENT_MS,
      deadBeforeMs: A_MOMENT_MS,
      tombstonesBeforeMs: A_MOMENT_MS - 1,
      keysBeforeMs: A_MOMENT_MS - 1,
      limit: 100,
      ...over,
    }),
  );

/** Asserts that `work` fails with `code`, and returns the error. */
export async function failsWith(
  t: { equal(found: unknown, wanted: unknown, message: string): unknown },
  work: Promise<unknown>,
  code: ErrorCode,
  message: string,
): Promise<AgentcomError | undefined> {
  const thrown: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  t.equal(AgentcomError.is(thrown) ? thrown.code : thrown, code, message);
  return AgentcomError.is(thrown) ? thrown : undefined;
}

/** Text that has broken programs: each must come back unchanged. */
export const HOSTILE_TEXTS = [
  '',
  ' ',
  "'; DROP TABLE tasks; --",
  '"quoted" \\ back\\slash \\u0041 \\n',
  '$(rm -rf /) `id` ${TASK_ID} ?1 :name @x $y %s',
  'line\nline\r\n\ttab \u0000 nul \u0001 \u001b[31m \u007f',
  'grüße 日本語 👩‍👩‍👧‍👦 \u202e right-to-left \u2028 \u2029 \ufeff \uffff',
  '../../etc/passwd',
  '{"__proto__":{"admin":true},"constructor":null}',
  'null',
  '😀'.repeat(5_000),
] as const;

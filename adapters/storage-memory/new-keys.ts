/** Idempotency keys that were not looked up, although they were used before. */
import type { TaskId } from '../../core/domain/ids.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Changes, IdempotencyRecord } from '../../core/ports/task-store.ts';
import type { Layer } from './layer.ts';
import { keyOf } from './memory-database.ts';

interface Stored {
  readonly tasks: Pick<Layer<TaskId, unknown>, 'get'>;
  readonly tombstones: Pick<Layer<TaskId, unknown>, 'get'>;
  readonly keys: Pick<Layer<string, IdempotencyRecord>, 'get'>;
}

/** Fails with `AC_STORE_RETRY` if a key belongs to other tasks, or names a new task although it was used before. */
export function requireNewKeys(changes: Changes, { tasks, tombstones, keys }: Stored): void {
  const isOther = (record: IdempotencyRecord): boolean =>
    (keys.get(keyOf(record))?.taskIds ?? record.taskIds).join() !== record.taskIds.join();
  const isUsed = ({ task: { id, submittedBy } }: Changes['inserted'][number]): boolean =>
    tasks.get(id) !== undefined || tombstones.get(id) !== undefined || keys.get(keyOf({ owner: submittedBy, key: id })) !== undefined;
  if (changes.keys.some(isOther) || (changes.hasNamed === true && changes.inserted.some(isUsed)))
    throw new AgentcomError('AC_STORE_RETRY', 'Cannot save a batch: one of its idempotency keys was used before. Look them up first.');
}

/** Every step of the schema, oldest first. A released one is never changed: fix it with another. */
import { tasksAgentsEvents } from './first-schema/0001-tasks-agents-events.ts';
import { tombstones } from './0002-tombstones.ts';
import { hubs } from './0003-hubs.ts';
import { usage } from './0004-usage.ts';
import { smallerCommits } from './0005-smaller-commits.ts';
import { boundedHistory } from './0006-bounded-history.ts';
import { storeClock } from './0007-store-clock.ts';
import { readIndexes } from './0009-read-indexes.ts';
import { tokenUse } from './0010-token-use.ts';
import { taskOutput } from './0011-task-output.ts';
import { auditLog } from './0012-audit-log.ts';
import { tokenRotation } from './0013-token-rotation.ts';
import { rejectedApart } from './0014-rejected-apart.ts';
import { listsWithoutAssigned } from './0015-lists-without-assigned.ts';
import { fewerBatches } from './0016-fewer-batches.ts';
import { lighterSaves } from './0017-lighter-saves.ts';
import { shorterListIndexes } from './0018-shorter-list-indexes.ts';
import { commitLog } from './0019-commit-log.ts';
import { noIndexByAge } from './0020-no-index-by-age.ts';
import { rotatedSubmitters } from './0021-rotated-submitters.ts';
import type { Migration } from '../rows/migration.ts';

export const ALL_MIGRATIONS: readonly Migration[] = [
  tasksAgentsEvents,
  tombstones,
  hubs,
  usage,
  smallerCommits,
  boundedHistory,
  storeClock,
  readIndexes,
  tokenUse,
  taskOutput,
  auditLog,
  tokenRotation,
  rejectedApart,
  listsWithoutAssigned,
  fewerBatches,
  lighterSaves,
  shorterListIndexes,
  commitLog,
  noIndexByAge,
  rotatedSubmitters,
];

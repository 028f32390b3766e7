/**
 * The process that tests kill: saves 1, 2, 3, … with a report each, large tasks and a list of ended assignments, and prints each number
 * after it was saved.
 */
import { writeSync } from 'node:fs';
import type { Generation, TaskId } from '../../../core/domain/ids.ts';
import { journalIn, largeSlots } from './journal-file-place.ts';

/** The last thousand, each so long that the list file is rewritten now and then. */
const endedAt = (n: number): readonly string[] =>
  Array.from({ length: Math.min(n, 1_000) }, (_, back) => `${n - back}`.padStart(200, '0')).toReversed();

const journal = journalIn(process.argv[2] as string);
const before = (await journal.open()).state as { readonly n: number } | undefined;
for (let n = (before?.n ?? 0) + 1; ; n += 1) {
  const name = { taskId: `task-${'a'.repeat(16)}` as TaskId, generation: n as Generation };
  await journal.writeReport(name, `report ${n}`);
  await journal.save({ n, filler: 'x'.repeat(20_000), slots: largeSlots(n), ended: endedAt(n) });
  writeSync(1, `${n}\n`);
}

/** A storage on SQLite with statements that fail when a test wants it. */
import path from 'node:path';
import type { Test } from 'tap';
import { closedAfter, emptyFolder, sqliteStorage } from '../../adapters/storage-places/sqlite-storage-place.ts';
import { statementFaults } from './statement-faults.ts';

/** An open storage, each of whose statements can be made to fail. */
export async function faultyStorage(t: Test) {
  const statements = statementFaults();
  t.teardown(() => statements.remove());
  const storage = closedAfter(t, sqliteStorage(path.join(await emptyFolder(t), 'agentcom.db')));
  await storage.open();
  return { statements, storage };
}

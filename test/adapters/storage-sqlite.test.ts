/** SQLite keeps the contracts of storage on real files. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { agentStoreContract } from '../contracts/agent-store.contract.ts';
import { eventFeedContract } from '../contracts/event-feed.contract.ts';
import { storageContract } from '../contracts/storage.contract.ts';
import { storeQueueContract } from '../contracts/store-queue.contract.ts';
import { storeUnitContract } from '../contracts/store-unit.contract.ts';
import { taskListContract } from '../contracts/task-list.contract.ts';
import { taskStoreContract } from '../contracts/task-store.contract.ts';
import { closedAfter, emptyFolder, outside, sqliteStorage, sqliteSubject } from './sqlite-place.ts';

const subject = sqliteSubject(async (t) => {
  const folder = await emptyFolder(t);
  const place = (...names: readonly string[]) => path.join(folder, ...names);
  await writeFile(place('a file'), '');
  await mkdir(place('folder.db'));
  await writeFile(place('text.db'), 'x'.repeat(5_000), { mode: 0o600 });
  await writeFile(place('other.db'), '', { mode: 0o600 });
  await outside(place('other.db'), 'CREATE TABLE accounts (id)');
  const cases = [
    { why: 'a file is where the folder should be', file: place('a file', 'x.db'), names: ['storage.file', place('a file')] },
    { why: 'a folder is where the file should be', file: place('folder.db'), names: ['folder.db', 'not a regular file'] },
    { why: 'something else is in the file', file: place('text.db'), names: ['text.db', 'not a database'] },
    { why: 'it is the database of another program', file: place('other.db'), names: ['other.db', 'another program'] },
  ];
  return cases.map(({ why, file, names }) => ({
    why,
    names: ['Cannot open storage "sqlite"', ...names],
    storage: closedAfter(t, sqliteStorage(file)),
  }));
});

storageContract('sqlite', subject);
taskStoreContract('sqlite', subject);
taskListContract('sqlite', subject);
storeUnitContract('sqlite', subject);
storeQueueContract('sqlite', subject);
agentStoreContract('sqlite', subject);
eventFeedContract('sqlite', subject);

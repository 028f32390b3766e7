/** A process that opens the database named on its command line, commits one task, reports it, and runs until it is killed. */
import { aTask, inserting } from '../../product/contracts/fixtures.ts';
import { commit } from '../../product/contracts/storage/storage-room.ts';
import { sqliteStorage } from './sqlite-storage-place.ts';

const storage = sqliteStorage(process.argv[2] ?? '');
await storage.open();
await commit(storage, inserting(aTask()));
process.stdout.write('committed\n');
// Standard input stays open as long as the test runs, so this process does not outlive it.
process.stdin.on('end', () => process.exit(0)).resume();

/** A process that takes the write lock of the database named on its command line, reports it, and releases it when its input ends. */
import { testedDriver } from '../../adapters/storage-places/sqlite-storage-place.ts';

const { connection, close } = await testedDriver.open(process.argv[2] ?? '', 'write');
await connection.change('BEGIN IMMEDIATE');
process.stdout.write('held');
process.stdin.on('end', () => void connection.change('ROLLBACK').then(close)).resume();

/** What two SQLite files contain, read by plain SQL: none of the code that moves a store is involved. */
import { createHash } from 'node:crypto';
import { otherProgram } from '../adapters/storage-places/sqlite-storage-place.ts';

/** Tables of the engine or of the process that writes, not contents of the store. */
const NOT_SAID = new Set(['migrations', 'migrations_lock', 'batches', 'commit_log']);

/** For each table, the number of rows and a digest of them, ordered by their values. */
export async function plainDump(file: string): Promise<Readonly<Record<string, string>>> {
  const program = await otherProgram(file);
  try {
    const tables = await program.all("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
    const dump: Record<string, string> = {};
    for (const name of tables.map((row) => String(row['name']))) {
      if (NOT_SAID.has(name)) continue;
      const columns = (await program.all(`PRAGMA table_info(${name})`)).map((row) => String(row['name']));
      const hash = createHash('sha256');
      // Knex keeps its own numbers there.
      const where = name === 'sqlite_sequence' ? "WHERE name = 'task_events'" : '';
      const rows = await program.all(`SELECT * FROM ${name} ${where} ORDER BY ${columns.join(', ')}`);
      for (const row of rows) hash.update(`${JSON.stringify(columns.map((column) => row[column]))}\n`);
      dump[name] = `${rows.length} rows ${hash.digest('hex')}`;
    }
    return dump;
  } finally {
    await program.close();
  }
}

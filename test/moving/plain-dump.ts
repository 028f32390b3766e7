/** What two SQLite files hold, read by SQL alone: none of what moves a store has a part in it. */
import { createHash } from 'node:crypto';
import { otherProgram } from '../adapters/storage-places/sqlite-storage-place.ts';

/** Of the engine, or of whoever writes: not what the store says. */
const NOT_SAID = new Set(['migrations', 'migrations_lock', 'batches']);

/** For each table how many rows it has and a digest of them, in an order of the values themselves. */
export async function plainDump(file: string): Promise<Readonly<Record<string, string>>> {
  const program = await otherProgram(file);
  try {
    const tables = await program.all("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
    const dump: Record<string, string> = {};
    for (const name of tables.map((row) => String(row['name']))) {
      if (NOT_SAID.has(name)) continue;
      const columns = (await program.all(`PRAGMA table_info(${name})`)).map((row) => String(row['name']));
      const hash = createHash('sha256');
      // Knex has numbers of its own there.
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

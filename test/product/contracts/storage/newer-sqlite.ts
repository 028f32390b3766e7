/** For tests of storages that keep an SQLite file, or decorate one that does. */
import sqlite3 from 'sqlite3';

/** Makes an SQLite file of AgentCom, which nobody has open, look as a later version of it would leave it. */
export async function makeSqliteNewer(file: string): Promise<void> {
  const database = await new Promise<sqlite3.Database>((resolve, reject) => {
    const made = new sqlite3.Database(file, sqlite3.OPEN_READWRITE, (error) => (error === null ? resolve(made) : reject(error)));
  });
  await new Promise<void>((resolve, reject) => {
    database.exec("INSERT INTO migrations (name, batch) VALUES ('9999-from-the-future', 2)", (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  await new Promise<void>((resolve, reject) => database.close((error) => (error === null ? resolve() : reject(error))));
}

/** What the stores over SQL stand on, whichever database it is. */
import t from 'tap';
import { POSTGRES_STATEMENTS } from '../../../adapters/storage-knex/postgres/statements.ts';
import { SQLITE_STATEMENTS } from '../../../adapters/storage-knex/sqlite/statements.ts';
import { isWrite, type ClusterStatementName, type StatementName } from '../../../adapters/storage-knex/statements.ts';

t.test('each statement is said to write where its text does', async (t) => {
  for (const [database, texts] of Object.entries({ SQLite: SQLITE_STATEMENTS, Postgres: POSTGRES_STATEMENTS })) {
    for (const [name, text] of Object.entries(texts) as [StatementName | ClusterStatementName, string][])
      t.equal(isWrite(name), /\b(INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b/.test(text), `${database}: ${name}`);
  }
});

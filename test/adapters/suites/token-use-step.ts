/** Migrates a store from before tokens expired or were rotated: its tokens do not expire, and their last use is unknown. */
import type { Test } from 'tap';
import { tokenUse } from '../../../adapters/storage-knex/migrations/0010-token-use.ts';
import { tokenRotation } from '../../../adapters/storage-knex/migrations/0013-token-rotation.ts';
import { rotatedSubmitters } from '../../../adapters/storage-knex/migrations/0021-rotated-submitters.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import { A_MOMENT_MS, aToken } from '../../product/contracts/fixtures.ts';

/** `ask` runs a statement outside the storage, which is closed then. */
export async function tokenUseStep(
  t: Test,
  { storage, ask }: { readonly storage: () => Storage; readonly ask: (sql: string) => Promise<unknown> },
): Promise<void> {
  const before = storage();
  await before.open();
  await before.agents.addToken(aToken());
  await before.close();
  for (const column of ['expires_at', 'last_used_at', 'replaced_by', 'submits_as']) await ask(`ALTER TABLE tokens DROP COLUMN ${column}`);
  for (const { name } of [tokenUse, tokenRotation, rotatedSubmitters]) await ask(`DELETE FROM migrations WHERE name = '${name}'`);
  const after = storage();
  await after.open();
  t.strictSame(await after.agents.findToken(aToken().hash), aToken());
  await after.agents.noteTokensUsed([{ id: aToken().id, atMs: A_MOMENT_MS }]);
  await after.close();
  const again = storage();
  await again.open();
  t.strictSame(await again.agents.listTokens({ limit: 10 }), [aToken({ lastUsedAtMs: A_MOMENT_MS })]);
  await again.close();
}

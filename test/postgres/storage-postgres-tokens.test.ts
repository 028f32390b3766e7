/** What two hubs on one Postgres do to the tokens of an agent at the same time. */
import t from 'tap';
import type { AuditDraft } from '../../core/domain/audit/audit-entry.ts';
import { closedBefore, emptySchema, postgresStorage } from '../adapters/storage-places/postgres-storage-place.ts';
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { A_MOMENT_MS, anAgentId, aToken } from '../product/contracts/fixtures.ts';

const server = await postgresServer();
t.teardown(() => server.end());

const ROTATION: AuditDraft = {
  atMs: A_MOMENT_MS,
  actor: { id: 'admin', name: 'admin', role: 'admin' },
  address: null,
  act: 'token.rotate',
  object: 'tok-1',
  outcome: 'done',
  details: {},
};

/** Resolves once this many connections of hubs wait for a lock. */
const waiting = (count: number): Promise<void> =>
  server.until(
    `SELECT count(*) = ${count} AS answer FROM pg_stat_activity WHERE application_name = 'agentcom hub' AND wait_event_type = 'Lock'`,
  );

t.test('all tokens of an agent are revoked, also one that a rotation at the same time puts in the place of another', async (t) => {
  // The revocation read the tokens before the rotation was committed, and left the new one valid.
  const schema = emptySchema(t, server);
  const options = { url: server.url, schema };
  const [one, other] = [postgresStorage(options), postgresStorage(options)] as const;
  for (const storage of [one, other]) await closedBefore(t, storage).open();
  const [old, successor] = [aToken({ id: 'tok-1' }), aToken({ id: 'tok-2', hash: 'b'.repeat(64) })];
  await one.agents.addToken(old);
  const session = await server.session();
  const auditLog = `hashtextextended('${schema} audit log', 0)`;
  await session.ask(`SELECT pg_advisory_lock(${auditLog})`);
  const rotating = one.agents.rotateToken(old.id, successor, A_MOMENT_MS + 60_000, ROTATION);
  await waiting(1);
  const revoking = other.agents.revokeTokens({ agentId: anAgentId() }, A_MOMENT_MS);
  await waiting(2);
  await session.end();
  t.match(await rotating, { id: old.id, replacedBy: successor.id });
  t.strictSame(new Set((await revoking).map(({ id }) => id)), new Set([old.id, successor.id]));
  t.equal(await one.agents.findToken(successor.hash), undefined, 'the new token is not valid');
});

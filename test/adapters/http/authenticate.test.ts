/** Whom a bearer token belongs to: hashed once while it is valid, and looked up again once any token is revoked. */
import t from 'tap';
import { authenticator } from '../../../adapters/http/authenticate.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import type { TokenRecord } from '../../../core/ports/agent-store.ts';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';

const ADMIN = 'admin-token';
const TOKEN = 'a-token';

function authOf() {
  const { sha256, ...others } = systemDigest();
  const clock = { ...virtualClock(), wallMs: () => 0 };
  const tokens = new Map([[sha256(TOKEN), { id: 'tok-1', name: 'one', role: 'submitter', agentId: null, expiresAtMs: null }]]);
  let hashed = 0;
  const auth = authenticator({
    agents: { findToken: (hash: string) => Promise.resolve(tokens.get(hash) as TokenRecord | undefined) } as never,
    digest: { sha256: (text) => ((hashed += 1), sha256(text)), ...others },
    clock,
    adminTokenHash: sha256(ADMIN),
    tokenUse: { note: () => undefined } as never,
  });
  const ask = async (token: string) => {
    const before = hashed;
    const known = await auth.authenticate(`Bearer ${token}`, '10.0.0.1');
    return { id: known.kind === 'read' ? known.value.id : known.reply.status, hashed: hashed - before };
  };
  return { auth, ask, tokens };
}

t.test('a valid token is not hashed again, an invalid one always is', async (t) => {
  const { ask } = authOf();
  t.strictSame(await ask(ADMIN), { id: 'admin', hashed: 1 });
  t.strictSame(await ask(ADMIN), { id: 'admin', hashed: 0 });
  t.equal((await ask(TOKEN)).id, 'tok-1');
  t.strictSame(await ask(TOKEN), { id: 'tok-1', hashed: 1 });
  t.strictSame(await ask(TOKEN), { id: 'tok-1', hashed: 0 });
  t.strictSame(await ask('wrong'), { id: 401, hashed: 1 });
  t.strictSame(await ask('wrong'), { id: 401, hashed: 1 });
});

t.test('a revoked token is refused even if its hash is cached', async (t) => {
  const { auth, ask, tokens } = authOf();
  for (let n = 0; n < 3; n += 1) await ask(TOKEN);
  tokens.clear();
  auth.invalidate();
  t.strictSame(await ask(TOKEN), { id: 401, hashed: 1 });
  t.strictSame(await ask(TOKEN), { id: 401, hashed: 1 });
});

/** What every `AgentStore` must do. Each MUST of core/ports/agent-store.ts is a test here. */
import { newAgent } from '../../../../core/domain/agent/agent.ts';
import type { AgentId } from '../../../../core/domain/ids.ts';
import { inSuite, type TestRunner } from '../contract-case.ts';
import { A_MOMENT_MS, aStop, aTaskId, aToken, anAgent, anAgentId, anAssignedTask, changes, inserting } from '../fixtures.ts';
import { commit, failsWith, HOSTILE_TEXTS, openedIn, type StorageSubject } from './storage-room.ts';

const tokenNo = (n: number, over: Parameters<typeof aToken>[0] = {}) =>
  aToken({ id: `tok-${n}`, hash: String(n).padStart(64, '0'), agentId: anAgentId(`a${n}`), createdAtMs: A_MOMENT_MS + n, ...over });

export function agentStoreCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`AgentStore contract, ${name}`, runner, (test) => {
    test('adds a token and, if new, its agent', async (t) => {
      const { agents } = await openedIn(t, subject);
      t.equal(await agents.addToken(aToken({ name: 'Agent One' })), 'added');
      t.strictSame(await agents.findToken(aToken().hash), aToken({ name: 'Agent One' }));
      t.strictSame(await agents.getAgent(anAgentId()), {
        agent: newAgent(anAgentId(), 'Agent One', A_MOMENT_MS),
        live: [],
        pendingStops: 0,
      });
    });

    test('leaves an existing agent unchanged', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, changes({ agents: [anAgent({ sessionNumber: 7 })] }));
      await storage.agents.addToken(aToken({ name: 'other' }));
      t.strictSame((await storage.agents.getAgent(anAgentId()))?.agent, anAgent({ sessionNumber: 7 }));
    });

    test('finds a token by a prefix of its hash, unless it is revoked or the prefix is ambiguous', async (t) => {
      const { agents } = await openedIn(t, subject);
      const hashes = [
        '0123456789abcdef'.padEnd(64, '0'),
        '0123456789abcdef'.padEnd(64, 'f'),
        '0123456789abcdf0'.padEnd(64, '0'),
        'f'.repeat(64),
      ];
      const tokens = hashes.map((hash, n) => tokenNo(n, { hash }));
      for (const token of tokens) await agents.addToken(token);
      const find = (hint: string) => agents.findTokenByHint(hint);
      t.strictSame(
        await Promise.all([...hashes.map((hash) => find(hash.slice(0, 16))), find('f'.repeat(15) + 'e'), find('0'.repeat(16))]),
        [undefined, undefined, tokens[2], tokens[3], undefined, undefined],
      );
      await agents.revokeTokens({ id: 'tok-1' }, A_MOMENT_MS);
      t.strictSame(await find('0123456789abcdef'), tokens[0], 'a revoked one does not count');
      await agents.revokeTokens({ id: 'tok-0' }, A_MOMENT_MS);
      t.equal(await find('0123456789abcdef'), undefined);
    });

    test('adds no agent for any other role', async (t) => {
      const { agents } = await openedIn(t, subject);
      const token = aToken({ role: 'operator', agentId: null, capabilities: ['a'], maxSlots: 4, revokedAtMs: null });
      await agents.addToken(token, { unlessTaken: true });
      t.strictSame(await agents.findToken(token.hash), token);
      t.strictSame(await agents.listAgents({ limit: 10 }), []);
    });

    test('answers taken, and changes nothing, while the agent has an unrevoked token', async (t) => {
      const { agents } = await openedIn(t, subject);
      await agents.addToken(tokenNo(1, { agentId: anAgentId() }));
      const second = tokenNo(2, { agentId: anAgentId() });
      t.equal(await agents.addToken(second, { unlessTaken: true }), 'taken');
      t.equal(await agents.findToken(second.hash), undefined);
      t.equal(await agents.addToken(second), 'added', 'without the condition it may have two');
      await agents.revokeTokens({ agentId: anAgentId() }, 5);
      const third = tokenNo(3, { agentId: anAgentId() });
      t.equal(await agents.addToken(third, { unlessTaken: true }), 'added', 'revoked ones do not count');
    });

    test('answers taken while a token of no agent has the name and role; expired, revoked and other roles do not count', async (t) => {
      const { agents } = await openedIn(t, subject);
      const named = (n: number, over: Parameters<typeof aToken>[0] = {}) =>
        tokenNo(n, { agentId: null, role: 'submitter', name: "ci'", ...over });
      const add = (token: ReturnType<typeof aToken>) => agents.addToken(token, { unlessTaken: true });
      t.equal(await add(named(1)), 'added');
      t.equal(await add(named(2)), 'taken');
      t.equal(await agents.findToken(named(2).hash), undefined);
      t.equal(await add(named(3, { role: 'viewer', expiresAtMs: A_MOMENT_MS + 50 })), 'added', 'another role');
      t.equal(await add(named(4, { name: 'ci' })), 'added', 'another name');
      t.equal(await add(tokenNo(5, { name: "ci'", role: 'submitter' })), 'added', 'the name of an agent does not count');
      t.equal(await agents.addToken(named(6)), 'added', 'without the condition there may be two');
      await agents.revokeTokens({ id: 'tok-1' }, 5);
      await agents.revokeTokens({ id: 'tok-6' }, 5);
      t.equal(await add(named(7)), 'added', 'revoked ones do not count');
      t.equal(await add(named(8, { role: 'viewer', createdAtMs: A_MOMENT_MS + 49 })), 'taken');
      t.equal(await add(named(9, { role: 'viewer', createdAtMs: A_MOMENT_MS + 50 })), 'added', 'expired ones do not count');
      await agents.addToken(tokenNo(10, { agentId: anAgentId('b'), expiresAtMs: A_MOMENT_MS + 20 }));
      t.equal(await add(tokenNo(11, { agentId: anAgentId('b') })), 'taken');
      t.equal(await add(tokenNo(20, { agentId: anAgentId('b') })), 'added', 'nor those of an agent');
    });

    test('of many concurrent requests for a name, one gets it', async (t) => {
      const { agents } = await openedIn(t, subject);
      const wanting = Array.from({ length: 8 }, (_, n) =>
        agents.addToken(tokenNo(n, { agentId: null, role: 'viewer', name: 'one' }), { unlessTaken: true }),
      );
      t.equal((await Promise.all(wanting)).filter((answer) => answer === 'added').length, 1);
      t.equal((await agents.listTokens({ limit: 10 })).length, 1);
    });

    test('stores the expiry and the latest use of tokens', async (t) => {
      const { agents } = await openedIn(t, subject);
      await agents.addToken(tokenNo(1, { expiresAtMs: A_MOMENT_MS + 100 }));
      await agents.addToken(tokenNo(2));
      await agents.addToken(tokenNo(3));
      t.strictSame(await agents.findToken(tokenNo(1).hash), tokenNo(1, { expiresAtMs: A_MOMENT_MS + 100 }), 'the caller compares');
      const used = async () => (await agents.listTokens({ limit: 10 })).map(({ lastUsedAtMs }) => lastUsedAtMs);
      t.strictSame(await used(), [null, null, null]);
      await agents.noteTokensUsed([]);
      await agents.noteTokensUsed([
        { id: 'tok-2', atMs: A_MOMENT_MS + 20 },
        { id: 'tok-1', atMs: A_MOMENT_MS + 10 },
        { id: "' OR 1=1 --", atMs: 1 },
      ]);
      t.strictSame(await used(), [null, A_MOMENT_MS + 20, A_MOMENT_MS + 10]);
      await Promise.all([
        agents.noteTokensUsed([{ id: 'tok-1', atMs: A_MOMENT_MS + 30 }, { id: 'tok-2', atMs: A_MOMENT_MS + 30 }]), // prettier-ignore
        agents.noteTokensUsed([{ id: 'tok-2', atMs: A_MOMENT_MS + 25 }, { id: 'tok-1', atMs: A_MOMENT_MS + 25 }]), // prettier-ignore
      ]);
      t.strictSame(await used(), [null, A_MOMENT_MS + 30, A_MOMENT_MS + 30], 'the latest of all uses');
      const many = Array.from({ length: 2_500 }, (_, n) => ({ id: n === 2_400 ? 'tok-3' : `unknown-${n}`, atMs: A_MOMENT_MS }));
      await agents.noteTokensUsed(many);
      t.equal((await used())[0], A_MOMENT_MS, 'even one far down a long list');
    });

    test('reports which agents have no token left', async (t) => {
      const { agents } = await openedIn(t, subject);
      const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(anAgentId) as [AgentId, AgentId, AgentId, AgentId];
      await agents.addToken(tokenNo(1, { agentId: a }));
      await agents.addToken(tokenNo(2, { agentId: a }));
      await agents.addToken(tokenNo(3, { agentId: b, expiresAtMs: A_MOMENT_MS + 50 }));
      await agents.addToken(tokenNo(4, { agentId: c, expiresAtMs: A_MOMENT_MS + 50 }));
      await agents.addToken(tokenNo(5, { agentId: c }));
      const requested = (nowMs: number) => agents.lockedOutAmong([d, c, b, a], nowMs);
      t.strictSame(await requested(A_MOMENT_MS + 49), new Map());
      t.strictSame(await requested(A_MOMENT_MS + 50), new Map([[b, 'expired']]));
      await agents.revokeTokens({ id: 'tok-1' }, 5);
      t.strictSame(await requested(A_MOMENT_MS), new Map(), 'it has another token');
      await agents.revokeTokens({ id: 'tok-2' }, 5);
      t.strictSame(await requested(A_MOMENT_MS), new Map([[a, 'revoked']]));
      t.strictSame(await agents.lockedOutAmong([], A_MOMENT_MS), new Map());
    });

    test('of many concurrent requests for an agent, one gets it', async (t) => {
      const { agents } = await openedIn(t, subject);
      const wanting = Array.from({ length: 8 }, (_, n) => agents.addToken(tokenNo(n, { agentId: anAgentId() }), { unlessTaken: true }));
      const answers = await Promise.all(wanting);
      t.equal(answers.filter((answer) => answer === 'added').length, 1);
      t.equal((await agents.listTokens({ limit: 10 })).length, 1);
    });

    test('answers many concurrent lookups, each with its own token', async (t) => {
      const { agents } = await openedIn(t, subject);
      for (const n of [1, 2, 3]) await agents.addToken(tokenNo(n));
      await agents.revokeTokens({ id: 'tok-2' }, 5);
      const found = await Promise.all([3, 1, 2, 4, 1].map((n) => agents.findToken(tokenNo(n).hash)));
      t.strictSame(
        found.map((token) => token?.id),
        ['tok-3', 'tok-1', undefined, undefined, 'tok-1'],
      );
    });

    test('finds tokens by hash only, and no revoked ones', async (t) => {
      const { agents } = await openedIn(t, subject);
      await agents.addToken(aToken());
      t.equal(await agents.findToken('2'.repeat(64)), undefined);
      t.equal(await agents.findToken("' OR '1'='1"), undefined);
      await agents.revokeTokens({ id: aToken().id }, 5);
      t.equal(await agents.findToken(aToken().hash), undefined);
    });

    test('lists tokens newest first, page by page, including revoked ones', async (t) => {
      const { agents } = await openedIn(t, subject);
      for (const n of [3, 1, 4, 2]) await agents.addToken(tokenNo(n, n > 2 ? { createdAtMs: A_MOMENT_MS + 9 } : {}));
      await agents.revokeTokens({ id: 'tok-3' }, A_MOMENT_MS);
      const all = await agents.listTokens({ limit: 10 });
      t.strictSame(all.map(({ id }) => id), ['tok-4', 'tok-3', 'tok-2', 'tok-1']); // prettier-ignore
      t.strictSame(all[1], tokenNo(3, { createdAtMs: A_MOMENT_MS + 9, revokedAtMs: A_MOMENT_MS }));
      t.strictSame(await agents.listTokens({ limit: 2 }), all.slice(0, 2));
      t.strictSame(await agents.listTokens({ after: 'tok-3', limit: 10 }), all.slice(2));
      t.strictSame(await agents.listTokens({ after: 'tok-1', limit: 10 }), []);
      t.strictSame(await agents.listTokens({ after: 'unknown', limit: 10 }), []);
    });

    test('revokes by token or by agent, once, and reports which', async (t) => {
      const { agents } = await openedIn(t, subject);
      await agents.addToken(tokenNo(1));
      await agents.addToken(tokenNo(2, { agentId: anAgentId('a3') }));
      await agents.addToken(tokenNo(3));
      t.strictSame(await agents.revokeTokens({ id: 'tok-1' }, 5), [tokenNo(1, { revokedAtMs: 5 })]);
      t.strictSame(await agents.revokeTokens({ id: 'tok-1' }, 6), [], 'nothing left to revoke');
      const both = await agents.revokeTokens({ agentId: anAgentId('a3') }, 7);
      t.strictSame(both, [tokenNo(3, { revokedAtMs: 7 }), tokenNo(2, { agentId: anAgentId('a3'), revokedAtMs: 7 })]);
      t.strictSame(await agents.revokeTokens({ id: 'unknown' }, 8), []);
      t.strictSame((await agents.listTokens({ limit: 10 })).map(({ revokedAtMs }) => revokedAtMs), [7, 7, 5]); // prettier-ignore
    });

    test('reports which of many tokens are revoked or expire, and when', async (t) => {
      const { agents } = await openedIn(t, subject);
      for (const n of [1, 2, 3, 4]) await agents.addToken(tokenNo(n));
      const requested = ['tok-5', 'tok-4', 'tok-1', 'tok-2', 'tok-2', 'tok-9', "' OR 1=1 --"];
      t.strictSame(await agents.endsAmong(requested), []);
      await agents.addToken(tokenNo(5, { expiresAtMs: 7 }));
      await agents.revokeTokens({ id: 'tok-2' }, 5);
      await agents.revokeTokens({ agentId: anAgentId('a3') }, 5);
      await agents.revokeTokens({ agentId: anAgentId('a4') }, 6);
      const ends = await agents.endsAmong(requested);
      t.strictSame(
        ends.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        [
          { id: 'tok-2', revokedAtMs: 5, expiresAtMs: null },
          { id: 'tok-4', revokedAtMs: 6, expiresAtMs: null },
          { id: 'tok-5', revokedAtMs: null, expiresAtMs: 7 },
        ],
      );
      t.strictSame(await agents.endsAmong([]), []);
      t.strictSame(await agents.getToken('tok-2'), tokenNo(2, { revokedAtMs: 5 }), 'even a revoked one');
      t.equal(await agents.getToken('tok-none'), undefined);
    });

    test('rotates a live token: the new one is added, the old one expires, never later than before', async (t) => {
      const { agents } = await openedIn(t, subject);
      const nowMs = A_MOMENT_MS + 100;
      const successor = (n: number) => tokenNo(n, { createdAtMs: nowMs, submitsAs: `tok-${n - 10}` });
      await agents.addToken(tokenNo(1));
      await agents.addToken(tokenNo(2, { expiresAtMs: nowMs + 50 }));
      const first = tokenNo(1, { replacedBy: 'tok-11', expiresAtMs: nowMs + 60 });
      t.strictSame(await agents.rotateToken('tok-1', successor(11), nowMs + 60), first);
      t.strictSame(await agents.findToken(first.hash), first, 'it still works');
      t.strictSame(await agents.findToken(successor(11).hash), successor(11));
      const second = tokenNo(2, { replacedBy: 'tok-12', expiresAtMs: nowMs + 50 });
      t.strictSame(await agents.rotateToken('tok-2', successor(12), nowMs + 60), second);
    });

    test('rotates no token that is unknown, revoked, expired or replaced, and each only once', async (t) => {
      const { agents } = await openedIn(t, subject);
      await agents.addToken(tokenNo(1));
      await agents.addToken(tokenNo(2));
      await agents.addToken(tokenNo(3, { expiresAtMs: A_MOMENT_MS + 100 }));
      await agents.revokeTokens({ id: 'tok-2' }, A_MOMENT_MS);
      const rotate = (id: string, n: number) => agents.rotateToken(id, tokenNo(n, { createdAtMs: A_MOMENT_MS + 100 }), A_MOMENT_MS + 200);
      const several = await Promise.all([11, 12, 13, 14].map((n) => rotate('tok-1', n)));
      t.equal(several.filter((rotated) => rotated !== undefined).length, 1);
      for (const id of ['tok-1', 'tok-2', 'tok-3', 'tok-9']) t.equal(await rotate(id, 20), undefined, id);
      t.equal((await agents.listTokens({ limit: 10 })).length, 4, 'and adds none');
    });

    test('an enrollment secret can be used exactly once', async (t) => {
      const { agents } = await openedIn(t, subject);
      await agents.addEnrolSecret('secret', A_MOMENT_MS);
      t.equal(await agents.takeEnrolSecret('other', A_MOMENT_MS), false);
      const takers = await Promise.all(Array.from({ length: 8 }, () => agents.takeEnrolSecret('secret', A_MOMENT_MS)));
      t.equal(takers.filter(Boolean).length, 1);
      t.equal(await agents.takeEnrolSecret('secret', 0), false);
    });

    test('finds an enrollment secret by a prefix of its hash, unless it is expired, used or ambiguous', async (t) => {
      const { agents } = await openedIn(t, subject);
      const begins = '0123456789abcdef';
      const [low, high, near] = [begins.padEnd(64, '0'), begins.padEnd(64, 'f'), '0123456789abcdf0'.padEnd(64, '0')] as const;
      await agents.addEnrolSecret(low, A_MOMENT_MS);
      await agents.addEnrolSecret(high, A_MOMENT_MS + 5);
      await agents.addEnrolSecret(near, A_MOMENT_MS + 5);
      const find = (hint: string, nowMs = A_MOMENT_MS) => agents.findEnrolSecret(hint, nowMs);
      t.equal(await find(begins), undefined, 'two have this prefix');
      t.equal(await find(begins, A_MOMENT_MS + 1), high, 'one of them has expired');
      t.equal(await find(near.slice(0, 16)), near);
      t.equal(await find(near.slice(0, 16), A_MOMENT_MS + 6), undefined);
      t.equal(await find('f'.repeat(16)), undefined);
      t.equal(await agents.takeEnrolSecret(near, A_MOMENT_MS), true, 'finding it does not use it up');
      t.equal(await find(near.slice(0, 16)), undefined);
    });

    test('an enrollment secret cannot be used after it expires', async (t) => {
      const { agents } = await openedIn(t, subject);
      await agents.addEnrolSecret('late', A_MOMENT_MS);
      await agents.addEnrolSecret('in time', A_MOMENT_MS);
      t.equal(await agents.takeEnrolSecret('late', A_MOMENT_MS + 1), false);
      t.equal(await agents.takeEnrolSecret('late', A_MOMENT_MS), false, 'not even when the clock goes backwards');
      t.equal(await agents.takeEnrolSecret('in time', A_MOMENT_MS), true);
    });

    test('lists agents by id, page by page, with their assignments and stops', async (t) => {
      const storage = await openedIn(t, subject);
      const ids = ['a10', 'a2', 'b.x', 'a-1'].map(anAgentId);
      const live = [anAssignedTask(anAgentId('a2'), { id: aTaskId(1) }), anAssignedTask(anAgentId('a2'), { id: aTaskId(2) })];
      await commit(storage, {
        ...inserting(...live, anAssignedTask(anAgentId('b.x'), { id: aTaskId(3), status: 'completed' })),
        agents: ids.map((id) => anAgent({ id })),
        stopsSet: [aStop({ agentId: anAgentId('b.x') }), aStop({ agentId: anAgentId('b.x'), generation: 2 })],
      });
      const rows = await storage.agents.listAgents({ limit: 10 });
      t.strictSame(rows.map((row) => [row.agent.id, row.live, row.pendingStops]), [['a-1', [], 0], ['a10', [], 0], ['a2', live, 0], ['b.x', [], 2]]); // prettier-ignore
      t.strictSame(await storage.agents.listAgents({ limit: 2 }), rows.slice(0, 2));
      t.strictSame(await storage.agents.listAgents({ after: anAgentId('a10'), limit: 10 }), rows.slice(2));
      t.strictSame(await storage.agents.getAgent(anAgentId('a2')), rows[2]);
      t.equal(await storage.agents.getAgent(anAgentId('nobody')), undefined);
    });

    test('stores hostile names byte for byte', async (t) => {
      const { agents } = await openedIn(t, subject);
      for (const [n, text] of HOSTILE_TEXTS.entries()) {
        const token = tokenNo(n, { name: text, prefix: text, capabilities: [text] });
        await agents.addToken(token);
        t.strictSame(await agents.findToken(token.hash), token, JSON.stringify(text.slice(0, 20)));
      }
    });

    test('its writes share a single order with all others', async (t) => {
      const storage = await openedIn(t, subject);
      const order: string[] = [];
      const batch = storage.tasks.transact('batch', async (unit) => {
        await unit.load({ tasks: [aTaskId(1)], agents: [], keys: [] });
        order.push('batch');
      });
      await Promise.all([batch, storage.agents.addToken(aToken()).then(() => order.push('token'))]);
      t.strictSame(order, ['batch', 'token']);
      await failsWith(t, storage.close().then(() => storage.agents.addToken(aToken())), 'AC_STORE_CLOSED', 'after close'); // prettier-ignore
    });
  });
}

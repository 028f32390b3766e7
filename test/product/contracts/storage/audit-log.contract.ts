/** What every `AuditLog` must do: in particular, actions and their entries are committed together. */
import { systemClock } from '../../../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../../../adapters/ids-system/system-digest.ts';
import { breakAt } from '../../../../core/domain/audit/audit-chain.ts';
import {
  AUDIT_DETAILS_MAX,
  AUDIT_START,
  AUDIT_TEXT_MAX,
  boundedDraft,
  type AuditDraft,
} from '../../../../core/domain/audit/audit-entry.ts';
import type { Storage } from '../../../../core/ports/storage.ts';
import type { Changes } from '../../../../core/ports/task-store.ts';
import { inSuite, type ContractCase, type TestRunner } from '../contract-case.ts';
import { A_MOMENT_MS, aTask, aToken, anAgent, anAgentId, changes, inserting } from '../fixtures.ts';
import { commit, HOSTILE_TEXTS, openedIn, type StorageSubject } from './storage-room.ts';

const { sha256 } = systemDigest();
/** Longer than any two clocks of these tests differ. */
const AGES_MS = 1e13;

const aDraft = (over: Partial<AuditDraft> = {}): AuditDraft => ({
  atMs: A_MOMENT_MS,
  actor: { id: 'tok-1', name: 'ops', role: 'operator' },
  address: '10.0.0.1',
  act: 'task.cancel',
  object: 'task-1',
  outcome: 'done',
  details: {},
  ...over,
});
const numbered = (n: number): AuditDraft => aDraft({ object: `task-${n}`, atMs: A_MOMENT_MS + n });
const objects = async (storage: Storage, after = 0): Promise<readonly (string | null)[]> =>
  (await storage.audit.read({ after, limit: 1_000 })).entries.map(({ object }) => object);

/** Asserts that the retained entries are one chain from the anchor to the head. */
async function isWhole(t: ContractCase, storage: Storage): Promise<void> {
  const { entries, anchor, head } = await storage.audit.read({ after: 0, limit: 1_000 });
  let before = anchor;
  for (const entry of entries) {
    t.equal(breakAt(before, entry, sha256), null, `entry ${entry.seq}`);
    before = { seq: entry.seq, hash: entry.hash };
  }
  t.strictSame(before, head, 'it ends at the head');
}

export function auditLogCases(name: string, subject: StorageSubject, runner: TestRunner): void {
  inSuite(`AuditLog contract, ${name}`, runner, (test) => {
    test('appends a chain of unmodified entries, and reads them from a given number', async (t) => {
      const storage = await openedIn(t, subject);
      t.strictSame(await storage.audit.read({ after: 0, limit: 10 }), { entries: [], anchor: AUDIT_START, head: AUDIT_START });
      await storage.audit.append([]);
      const given = [
        aDraft({ details: { z: 'last', a: 1, flag: true, none: null, big: 1_800_000_000_000 } }),
        aDraft({ actor: { id: null, name: null, role: 'none' }, address: null, object: null, outcome: 'refused', act: 'session.refuse' }),
      ];
      await storage.audit.append(given);
      await storage.audit.append([numbered(3)]);
      const { entries, anchor, head } = await storage.audit.read({ after: 0, limit: 10 });
      t.strictSame(
        entries.map(({ hash, previous, seq, ...entry }) => entry),
        [...given, numbered(3)],
      );
      t.strictSame(
        entries.map(({ seq }) => seq),
        [1, 2, 3],
      );
      t.strictSame([anchor, head], [AUDIT_START, { seq: 3, hash: entries[2]?.hash }]);
      await isWhole(t, storage);
      t.strictSame(await objects(storage, 2), ['task-3']);
      t.strictSame(await objects(storage, 3), []);
      t.equal((await storage.audit.read({ after: 0, limit: 2 })).entries.length, 2);
    });

    test('stores any text within its limits so that its hash still matches', async (t) => {
      const storage = await openedIn(t, subject);
      const texts = [...HOSTILE_TEXTS, '\ud800', 'x'.repeat(AUDIT_TEXT_MAX + 1)];
      const drafts = texts.map((text) =>
        aDraft({ actor: { id: text, name: text, role: 'viewer' }, address: text, object: text, details: { [text]: text } }),
      );
      const many = aDraft({ details: Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`d${n}`, n])) });
      await storage.audit.append([...drafts, many]);
      await isWhole(t, storage);
      const { entries } = await storage.audit.read({ after: 0, limit: 100 });
      for (const [at, draft] of drafts.entries()) t.strictSame(entries[at]?.details, boundedDraft(draft).details);
      t.equal(Object.keys(entries.at(-1)?.details ?? {}).length, AUDIT_DETAILS_MAX);
      t.equal([...(entries.at(-2)?.object ?? '')].length, AUDIT_TEXT_MAX);
    });

    test('commits changes and their entries together or not at all', async (t) => {
      const storage = await openedIn(t, subject);
      await commit(storage, { ...inserting(aTask()), audit: [numbered(1), numbered(2)] });
      await commit(storage, changes({ agents: [anAgent()] }));
      await commit(storage, changes({ audit: [numbered(3)] } as Partial<Changes>));
      t.strictSame(await objects(storage), ['task-1', 'task-2', 'task-3']);
      const failing = storage.tasks.transact('fails', async (unit) => {
        await unit.save({ ...changes({ agents: [anAgent({ id: anAgentId('a2') })] }), audit: [numbered(4)] });
        throw new Error('no');
      });
      await Promise.allSettled([failing]);
      t.strictSame(await objects(storage), ['task-1', 'task-2', 'task-3']);
      t.equal(await storage.agents.getAgent(anAgentId('a2')), undefined);
      await storage.audit.append([numbered(5)]);
      await isWhole(t, storage);
    });

    test('records tokens, enrollment secrets and agent removals with the change, and nothing if nothing changes', async (t) => {
      const { agents, audit } = await (async () => openedIn(t, subject))();
      const token = aToken({ id: 'tok-9', name: 'nine', role: 'viewer', agentId: null });
      const options = { unlessTaken: true, audit: aDraft({ object: 'made' }) };
      t.equal(await agents.addToken(token, options), 'added');
      t.equal(await agents.addToken({ ...token, id: 'tok-10', hash: 'f'.repeat(64) }, options), 'taken');
      const rotation = aDraft({ object: 'rotated' });
      const successor = { ...token, id: 'tok-11', hash: 'e'.repeat(64) };
      t.match(await agents.rotateToken('tok-9', successor, A_MOMENT_MS + 9, rotation), { replacedBy: 'tok-11' });
      t.equal(await agents.rotateToken('tok-9', { ...successor, id: 'tok-12', hash: 'd'.repeat(64) }, A_MOMENT_MS, rotation), undefined);
      const of = (revoked: { readonly id: string }): AuditDraft => aDraft({ object: `revoked ${revoked.id}` });
      t.equal((await agents.revokeTokens({ id: 'tok-9' }, A_MOMENT_MS, of)).length, 1);
      t.equal((await agents.revokeTokens({ id: 'tok-9' }, A_MOMENT_MS, of)).length, 0);
      await agents.addEnrolSecret('a'.repeat(64), A_MOMENT_MS, aDraft({ object: 'secret' }));
      t.equal(await agents.takeEnrolSecret('a'.repeat(64), A_MOMENT_MS, aDraft({ object: 'used' })), true);
      t.equal(await agents.takeEnrolSecret('a'.repeat(64), A_MOMENT_MS, aDraft({ object: 'used twice' })), false);
      const id = anAgentId('a7');
      const removal = aDraft({ object: 'removed' });
      t.equal(await agents.removeAgent(id, A_MOMENT_MS, removal), 'unknown');
      await agents.addToken(aToken({ id: 'tok-7', agentId: id, hash: '7'.repeat(64) }));
      t.equal(await agents.removeAgent(id, A_MOMENT_MS, removal), 'needed');
      await agents.revokeTokens({ id: 'tok-7' }, A_MOMENT_MS);
      t.equal(await agents.removeAgent(id, A_MOMENT_MS, removal), 'removed');
      const { entries } = await audit.read({ after: 0, limit: 10 });
      t.strictSame(
        entries.map(({ object }) => object),
        ['made', 'rotated', 'revoked tok-9', 'secret', 'used', 'removed'],
      );
    });

    test('concurrent appends form one chain', async (t) => {
      const place = await subject.place(t);
      const storages = [await place.storage(systemClock())];
      if (subject.capabilities.shared) storages.push(await place.storage(systemClock()));
      for (const one of storages) await one.open();
      const works = Array.from({ length: 24 }, async (_, n) => {
        const storage = storages[n % storages.length] as Storage;
        if (n % 3 === 0) await storage.audit.append([numbered(n)]);
        else if (n % 3 === 1) await storage.agents.addEnrolSecret(`${n}`.padStart(64, '0'), A_MOMENT_MS, numbered(n));
        else await commit(storage, { ...changes({ agents: [anAgent({ id: anAgentId(`a${n}`) })] }), audit: [numbered(n)] });
      });
      await Promise.all(works);
      for (const storage of storages) {
        t.equal((await objects(storage)).length, 24);
        await isWhole(t, storage);
        await storage.close();
      }
    });

    test('removes the oldest entries beyond age and number, and retains the hash that the rest builds on', async (t) => {
      const storage = await openedIn(t, subject);
      const nowMs = storage.tasks.nowMs();
      const ages = [-300, -200, -100, 0, 0, 0].map((age, n) => aDraft({ object: `e${n + 1}`, atMs: nowMs + age * 1_000 }));
      await storage.audit.append(ages);
      const rest = { keptMs: AGES_MS, entriesMax: 1_000, limit: 100 };
      t.equal(await storage.audit.remove(rest), 0);
      t.equal(await storage.audit.remove({ ...rest, keptMs: 150_000 }), 2, 'by age');
      t.strictSame(await objects(storage), ['e3', 'e4', 'e5', 'e6']);
      const { anchor, entries } = await storage.audit.read({ after: 0, limit: 1 });
      t.strictSame([anchor.seq, anchor.hash], [2, entries[0]?.previous]);
      await isWhole(t, storage);
      t.equal(await storage.audit.remove({ ...rest, entriesMax: 1, limit: 2 }), 2, 'by number, in steps');
      t.strictSame(await objects(storage), ['e5', 'e6']);
      t.equal(await storage.audit.remove({ ...rest, keptMs: -1_000_000 }), 2, 'all');
      await isWhole(t, storage);
      await storage.audit.append([numbered(7)]);
      const last = await storage.audit.read({ after: 0, limit: 10 });
      t.strictSame([last.entries.map(({ seq }) => seq), last.anchor.seq], [[7], 6], 'numbers continue');
      await isWhole(t, storage);
    });
  });
}

/** The hash chain of the audit log: a break is found at its place. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { breakAt, type AuditBreak } from '../../../core/domain/audit/audit-chain.ts';
import {
  AUDIT_ACTS,
  AUDIT_START,
  boundedDraft,
  canonicalEntry,
  entriesAfter,
  type AuditDraft,
  type AuditEntry,
} from '../../../core/domain/audit/audit-entry.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const draft = (over: Partial<AuditDraft> = {}): AuditDraft => ({
  atMs: 1_800_000_000_000,
  actor: { id: 'tok-1', name: 'ops', role: 'operator' },
  address: '10.0.0.1',
  act: 'task.cancel',
  object: 'task-1',
  outcome: 'done',
  details: { b: 1, a: 'x' },
  ...over,
});
const chain = entriesAfter(AUDIT_START, AUDIT_ACTS.slice(0, 5).map((act) => draft({ act })), sha256); // prettier-ignore

function firstBreak(entries: readonly AuditEntry[]): AuditBreak | null {
  let before: { readonly seq: number; readonly hash: string } = AUDIT_START;
  for (const entry of entries) {
    const found = breakAt(before, entry, sha256);
    if (found !== null) return found;
    before = entry;
  }
  return null;
}

t.test('an intact chain has no break, from its start or from any entry', async (t) => {
  t.equal(firstBreak(chain), null);
  for (const entry of chain) t.equal(breakAt(null, entry, sha256), null);
});

t.test('changing any field of any entry breaks the chain there', async (t) => {
  const changes: Readonly<Record<keyof AuditEntry, unknown>> = {
    seq: 99,
    atMs: 1,
    actor: { id: 'tok-2', name: 'ops', role: 'operator' },
    address: null,
    act: 'task.retry',
    object: 'task-2',
    outcome: 'refused',
    details: { b: 2, a: 'x' },
    previous: 'f'.repeat(64),
    hash: 'f'.repeat(64),
  };
  for (const [field, value] of Object.entries(changes)) {
    const forged = chain.map((entry, at) => (at === 2 ? { ...entry, [field]: value } : entry));
    t.equal(firstBreak(forged)?.fault, 'changed', field);
  }
  for (const [part, value] of [
    ['id', null],
    ['name', 'eve'],
    ['role', 'admin'],
  ] as const)
    // prettier-ignore
    t.equal(firstBreak(chain.map((entry) => ({ ...entry, actor: { ...entry.actor, [part]: value } })))?.seq, 1, part);
});

t.test('removing, replacing or inserting an entry breaks the chain there', async (t) => {
  t.strictSame(firstBreak(chain.filter(({ seq }) => seq !== 3)), { seq: 4, fault: 'missing' });
  t.strictSame(firstBreak(chain.slice(1)), { seq: 2, fault: 'missing' });
  const before = chain[1] ?? AUDIT_START;
  const other = entriesAfter(before, [draft({ object: 'task-9' })], sha256);
  t.strictSame(
    firstBreak([...chain.slice(0, 2), ...other, ...chain.slice(3)]),
    { seq: 4, fault: 'unlinked' },
    'replaced with a recomputed hash',
  );
  t.strictSame(firstBreak([...chain.slice(0, 3), ...chain.slice(2)])?.fault, 'missing', 'twice');
});

t.test('the hash covers the content, not the order of details, and no field passes for another', async (t) => {
  const [entry] = chain as [AuditEntry];
  t.equal(canonicalEntry({ ...entry, details: { a: 'x', b: 1 } }), canonicalEntry(entry));
  t.not(canonicalEntry({ ...entry, address: 'task-1', object: '10.0.0.1' }), canonicalEntry(entry));
  t.not(canonicalEntry({ ...entry, details: { a: 'x', b: '1' } }), canonicalEntry(entry));
});

t.test('recorded text is bounded, and every database stores it unchanged', async (t) => {
  const long = boundedDraft(
    draft({ object: '😀'.repeat(300), details: Object.fromEntries(Array.from({ length: 99 }, (_, n) => [n, 'x'.repeat(999)])) }),
  );
  t.equal([...(long.object ?? '')].length, 256);
  t.strictSame([Object.keys(long.details).length, String(long.details['0']).length], [16, 256]);
  t.equal(boundedDraft(draft({ object: 'a\u0000b\ud800c' })).object, 'a\ufffdb\ufffdc');
});

/** What is signed of a task, and how a sidecar evaluates it. */
import t from 'tap';
import type { AgentId } from '../../../core/domain/ids.ts';
import {
  claimsFor,
  claimsRefusal,
  contentText,
  readClaims,
  SIGNATURE_LIFE_MS_MAX,
  type SignedContent,
  type SignedTerms,
} from '../../../core/protocol/signed/task-claims.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const SHA = 'ab'.repeat(32);
const TASK: SignedContent = {
  description: 'fix it',
  metadata: { b: 1, a: { d: 2, c: [3, 'é'] } },
  repo: 'https://example.org/acme/site',
  file_hints: [{ path: 'b.ts', at: 1 }, 'a.ts'],
  accept: { empty: true, refused: false },
};
const signing = { nowMs: NOW_MS, expiresInMs: 60_000, audience: [], nonce: 'n'.repeat(22), contentSha256: SHA };
const SELF = { agentId: 'worker-1' as AgentId, capabilities: ['code', 'gpu'], audiences: ['fleet-a'] };

t.test('equal tasks have the same text, regardless of member order and empty fields', (t) => {
  const again: SignedContent = {
    branch: null,
    repo: 'https://example.org/acme/site',
    file_hints: [{ at: 1, path: 'b.ts' }, 'a.ts'],
    success_criteria: [],
    metadata: { a: { c: [3, 'é'], d: 2 }, b: 1 },
    accept: { empty: true },
    description: 'fix it',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    signature: 'x.y.z',
  };
  t.equal(contentText(again), contentText(TASK));
  t.equal(contentText({ description: 'x', metadata: {} }), contentText({ description: 'x' }));
  t.equal(
    contentText(TASK),
    '{"accept":{"empty":true},"description":"fix it","file_hints":[{"at":1,"path":"b.ts"},"a.ts"],"metadata":{"a":{"c":[3,"é"],"d":2},"b":1},"repo":"https://example.org/acme/site"}',
  );
  t.end();
});

t.test('every part of a task is in its text', (t) => {
  const changes: readonly Partial<SignedContent>[] = [
    { description: 'fix it ' },
    { metadata: { b: 1, a: { d: 2, c: ['é', 3] } } },
    { metadata: { b: '1', a: { d: 2, c: [3, 'é'] } } },
    { repo: 'https://example.org/acme/other' },
    { branch: 'main' },
    { file_hints: ['a.ts', { path: 'b.ts', at: 1 }] },
    { success_criteria: ['it works'] },
    { verification_steps: [{ type: 'run', command: 'rm -rf /' }] },
    { accept: { empty: true, refused: true } },
  ];
  for (const change of changes) t.not(contentText({ ...TASK, ...change }), contentText(TASK), JSON.stringify(change));
  t.end();
});

t.test('a sidecar runs only what was signed, for the signed agent and time', (t) => {
  const offer = { contentSha256: SHA, runMaxMs: 3_600_000, completeByMs: null };
  const cases: readonly (readonly [
    name: string,
    task: SignedTerms,
    over: Partial<typeof signing> & { readonly offer?: object; readonly nowMs?: number; readonly at?: number },
    reason: RegExp | null,
  ])[] = [
    ['as signed', {}, {}, null],
    ['another text', {}, { offer: { contentSha256: 'cd'.repeat(32) } }, /was changed/],
    ['a capability that it has', { needed_capabilities: ['gpu'] }, {}, null],
    ['a capability that it lacks', { needed_capabilities: ['gpu', 'root'] }, {}, /the capability "root"/],
    ['for it', { assign_to: 'worker-1' }, {}, null],
    ['for another agent', { assign_to: 'worker-2' }, {}, /for agent worker-2 alone/],
    ['its fleet', {}, { audience: ['fleet-b', 'fleet-a'] as never }, null],
    ['its agent id as audience', {}, { audience: ['worker-1'] as never }, null],
    ['another fleet', {}, { audience: ['fleet-b'] as never }, /other audiences/],
    ['a shorter run than signed', { run_max_ms: 3_600_001 }, {}, null],
    ['a longer run than signed', { run_max_ms: 3_599_999 }, {}, /may run for 3599999 ms by its signature, and the hub says 3600000/],
    ['no limit at all', { run_max_ms: 1_000 }, { offer: { runMaxMs: null } }, /without limit/],
    ['a deadline as signed', { complete_by: NOW_MS + 5 }, { offer: { completeByMs: NOW_MS + 5 } }, null],
    ['a deadline that was moved', { complete_by: NOW_MS + 5 }, { offer: { completeByMs: NOW_MS + 6 } }, /another complete_by/],
    ['a deadline that was added', {}, { offer: { completeByMs: NOW_MS + 6 } }, /another complete_by/],
    ['a deadline that has passed', { complete_by: NOW_MS }, { offer: { completeByMs: NOW_MS } }, /has passed/],
    ['signed in the future', {}, { at: NOW_MS - 61_000 }, /in the future/],
    ['a clock that is a little behind', {}, { at: NOW_MS - 59_000 }, null],
    ['valid for too long', {}, { expiresInMs: SIGNATURE_LIFE_MS_MAX + 1_000 }, /more than 31 days/],
    ['to be run in two months, for a month', { run_at: NOW_MS + 60 * 86_400_000 }, { expiresInMs: SIGNATURE_LIFE_MS_MAX }, null],
  ];
  for (const [name, task, { offer: changed, at = NOW_MS, ...over }, reason] of cases) {
    const found = claimsRefusal(claimsFor(task, { ...signing, ...over }), { ...offer, ...changed }, SELF, at);
    if (reason === null) t.equal(found, null, name);
    else t.match(found, reason, name);
  }
  t.end();
});

t.test('claims of any other form are refused, since an unknown claim may forbid the run', (t) => {
  const claims = claimsFor({ needed_capabilities: ['b', 'a', 'b'], run_at: NOW_MS + 1_000 }, signing);
  t.strictSame(readClaims(claims), claims);
  t.strictSame(claims.needed_capabilities, ['a', 'b']);
  t.match(claims, { nbf: NOW_MS / 1_000 + 1, exp: NOW_MS / 1_000 + 61 });
  const { jti: _, ...withoutNonce } = claims;
  for (const wrong of [{ ...claims, only_on: 'Mondays' }, withoutNonce, { ...claims, iat: '1' }, { ...claims, jti: 'a b' }, null, 'x'])
    t.equal(readClaims(wrong), null);
  t.end();
});

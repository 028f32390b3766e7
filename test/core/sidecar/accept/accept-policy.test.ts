/** What a sidecar accepts, and how it answers everything else. */
import t from 'tap';
import { policyRefusal, type AcceptPolicy, type OfferedTask } from '../../../../core/domain/assignment/accept-policy.ts';
import { assignFrame, named, online, sent, TASK, words } from '../rig/stage.ts';

const ANY: AcceptPolicy = { submitters: null, repos: null, maxRuntimeMs: null };
const OFFER: OfferedTask = { submittedBy: 'token-1', repo: 'https://example.org/acme/site', runMaxMs: 60_000 };

t.test('every configured condition must hold', async (t) => {
  const cases: readonly (readonly [name: string, policy: Partial<AcceptPolicy>, offer: Partial<OfferedTask>, reason: RegExp | null])[] = [
    ['no condition', {}, { submittedBy: null, repo: null, runMaxMs: null }, null],
    ['a submitter that is listed', { submitters: ['admin', 'token-1'] }, {}, null],
    ['another submitter', { submitters: ['admin'] }, {}, /submitted by "token-1"/],
    [
      'a hub that does not say who submitted it',
      { submitters: ['admin'] },
      { submittedBy: null },
      /does not say who submitted it; update the hub/,
    ],
    ['a repository that is listed', { repos: ['https://example.org/acme/site'] }, {}, null],
    ['a repository below one that is listed', { repos: ['https://example.org/acme/*'] }, {}, null],
    ['another repository', { repos: ['https://example.org/other/*'] }, {}, /repository "https:\/\/example\.org\/acme\/site"/],
    ['the prefix itself', { repos: ['https://example.org/acme/*'] }, { repo: 'https://example.org/acme/' }, /repository/],
    ['a path that escapes it', { repos: ['https://example.org/acme/*'] }, { repo: 'https://example.org/acme/../evil/x' }, /repository/],
    [
      'an encoded path that escapes it',
      { repos: ['https://example.org/acme/*'] },
      { repo: 'https://example.org/acme/%2e%2e/evil' },
      /repository/,
    ],
    ['no repository', { repos: ['https://example.org/acme/*'] }, { repo: null }, /names none/],
    ['a short run', { maxRuntimeMs: 60_000 }, {}, null],
    ['a long run', { maxRuntimeMs: 59_999 }, {}, /a run limit of 60000 ms/],
    ['a run without limit', { maxRuntimeMs: 60_000 }, { runMaxMs: null }, /no run limit/],
    ['the second condition', { submitters: ['token-1'], maxRuntimeMs: 1 }, {}, /accept\.maxRuntimeMs/],
  ];
  for (const [name, policy, offer, reason] of cases) {
    const found = policyRefusal({ ...ANY, ...policy }, { ...OFFER, ...offer });
    if (reason === null) t.equal(found, null, name);
    else t.match(found, reason, name);
  }
});

t.test('a task that violates the policy is rejected with the reason, before anything is written or woken', async (t) => {
  const sidecar = online({ acceptPolicy: { ...ANY, submitters: ['admin'] } });
  const before = sidecar.state.journal;
  const effects = sidecar.frame(assignFrame(named(), { submitted_by: 'token-1' }));
  t.same(words(effects), ['send task_rejected']);
  t.same(sent(effects), [
    {
      type: 'task_rejected',
      task_id: TASK,
      generation: 1,
      reason: 'does not accept tasks submitted by "token-1" (accept.submitters)',
      cause: 'policy',
    },
  ]);
  t.equal(sidecar.state.journal, before, 'nothing is journaled');
  t.same(
    words(sidecar.frame(assignFrame(named(2), { submitted_by: 'admin' }))),
    ['persist', 'send task_accepted', 'prepare'],
    'others are accepted',
  );
});

t.test('an assignment accepted earlier stays accepted under a stricter policy', async (t) => {
  const sidecar = online();
  sidecar.frame(assignFrame());
  const strict = online({ acceptPolicy: { ...ANY, submitters: ['admin'] } });
  strict.state = { ...strict.state, journal: sidecar.state.journal };
  t.equal(words(strict.frame(assignFrame()))[0], 'send task_accepted');
});

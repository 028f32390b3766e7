/** Each threat of SECURITY.md is stopped by existing tests. */
import t from 'tap';
import { missingTest } from './named-tests.ts';
import { THREATS } from './threats.ts';

const PEER = 'security/network-peer.test.ts';

t.test('every threat names existing tests that show what stops it', (t) => {
  for (const { who, stoppedBy, tests } of THREATS) {
    t.ok(tests.length > 0, `${who}: ${stoppedBy}`);
    for (const test of tests) t.equal(missingTest(test), null, `${who}: ${stoppedBy}`);
  }
  t.match(missingTest([PEER, 'a test that does not exist']), /has no test/, 'and a missing test is detected');
  t.match(missingTest(['security/nowhere.test.ts', 'x']), /there is no/);
  t.end();
});

/** Answers that no hub should give, and connections that end when they should not: each is an error of the call that got it. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { hubClient } from '../../../apps/client/index.ts';
import { runningHub } from '../running-hub.ts';

t.test('a hub that refuses a large body before it is sent, and closes, does not end the process', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  const { tasks } = hubClient({ url: hub.url, token: hub.adminToken, retryWithinMs: 0 });
  const large = { description: 'x'.repeat(20_000_000) };
  for (let n = 0; n < 5; n += 1) await t.rejects(tasks.submit(large), { code: 'AC_API', details: { status: 413 } });
  // The connections break after their answers: an error that nobody listens for fails this test.
  await sleep(200);
});

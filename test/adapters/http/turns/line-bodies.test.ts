/** The budget of bodies that are read in chunks. */
import t from 'tap';
import { bodyBudget } from '../../../../adapters/http/body-budget.ts';
import { readBody, type BodyRules } from '../../../../adapters/http/body.ts';
import { parseTurns } from '../../../../adapters/http/turns/parse-turns.ts';
import type { HttpRequest } from '../../../../core/ports/http.ts';
import { virtualClock } from '../../../product/twins/clock-virtual/virtual-clock.ts';

t.test('R20: a reader that throws leaves no bytes in the budget and reads no further', async (t) => {
  const clock = virtualClock();
  const budget = bodyBudget({ bytesMax: 10, ownerBytesMax: 10, grantedBytes: 0 });
  const rules: BodyRules = { bytesMax: 100, budget, turns: parseTurns(), owner: 'tok-1', clock };
  let isCancelled = false;
  const request: HttpRequest = {
    method: 'POST',
    path: '/',
    query: '',
    remoteAddress: '127.0.0.1',
    header: () => undefined,
    body: {
      next: () => Promise.resolve(new Uint8Array(6)),
      whole: () => new Uint8Array(6),
      cancel: () => (isCancelled = true),
    },
  };
  await t.rejects(
    readBody(request, rules, () => {
      throw new Error('out of memory');
    }),
    { message: 'out of memory' },
  );
  t.ok(isCancelled);
  t.equal(budget.reserve('tok-1', 10), 'reserved');
});

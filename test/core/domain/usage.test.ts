/** The usage of a task: the sum over its attempts, although reports may be repeated, lost, late or out of order. */
import fc from 'fast-check';
import t from 'tap';
import {
  ATTEMPTS_KEPT,
  maxUsage,
  isIncomplete,
  MODELS_MAX,
  NO_USAGE,
  NOTHING_USED,
  sumOf,
  totalOf,
  usageFields,
  withAttempt,
  withEnded,
  type TaskUsage,
  type Usage,
} from '../../../core/domain/usage.ts';
import { aGeneration, anAgentId } from '../../product/contracts/fixtures.ts';

const withReport = (usage: TaskUsage, generation: number, tokensUsed: number | null, costUsd: number | null = null): TaskUsage =>
  withAttempt(usage, { generation: aGeneration(generation), agentId: anAgentId('a1') }, { tokensUsed, costUsd });

t.test('J8: usage of an attempt counts once when reports are repeated, lost or late', async () => {
  const words = fc.array(fc.tuple(fc.integer({ min: 1, max: ATTEMPTS_KEPT }), fc.integer({ min: 0, max: 1_000_000 })), { maxLength: 60 });
  fc.assert(
    fc.property(words, fc.infiniteStream(fc.nat()), (reports, chance) => {
      const ends = new Map<number, number>();
      for (const [attempt, tokens] of reports) ends.set(attempt, Math.max(ends.get(attempt) ?? 0, tokens));
      // In any order, any of them twice.
      const shuffled = [...reports, ...reports].sort(() => (Number(chance.next().value) % 3) - 1);
      const usage = shuffled.reduce((known, [attempt, tokens]) => withReport(known, attempt, tokens), NOTHING_USED);
      const sum = [...ends.values()].reduce((all, tokens) => all + tokens, 0);
      return (totalOf(usage).tokensUsed ?? 0) === sum;
    }),
    { numRuns: 300 },
  );
});

t.test('attempts no longer stored individually stay in the sum, and late reports of them are dropped', async (t) => {
  let usage = NOTHING_USED;
  for (let attempt = 1; attempt <= ATTEMPTS_KEPT + 5; attempt += 1) usage = withReport(usage, attempt, 10, 0.1);
  t.equal(usage.attempts.length, ATTEMPTS_KEPT);
  t.equal(usage.attempts[0]?.generation, 6);
  t.same(totalOf(usage), { tokensUsed: 10 * (ATTEMPTS_KEPT + 5), costUsd: 2.1 });
  t.equal(withReport(usage, 3, 10, 0.1), usage, 'it is already in the sum');
  t.equal(totalOf(withReport(usage, 6, 15)).tokensUsed, 10 * (ATTEMPTS_KEPT + 5) + 5);
});

t.test('a report without usage changes nothing, and a lower one subtracts nothing', async (t) => {
  t.equal(withReport(NOTHING_USED, 1, null), NOTHING_USED);
  const once = withReport(NOTHING_USED, 1, 100, 0.5);
  t.same(totalOf(withReport(once, 1, 40)), { tokensUsed: 100, costUsd: 0.5 });
  t.same(totalOf(withReport(once, 2, null, 0.25)), { tokensUsed: 100, costUsd: 0.75 });
});

t.test('J8: an attempt that reports no usage leaves the sums incomplete until it does', async (t) => {
  const ended = (usage: TaskUsage, generation: number): TaskUsage => withEnded(usage, aGeneration(generation));
  t.notOk(isIncomplete(ended(NOTHING_USED, 1)), 'there is no sum yet');
  const later = withReport(ended(NOTHING_USED, 1), 2, 100, 0.5);
  t.ok(isIncomplete(later), 'the first reported nothing');
  t.equal(ended(later, 2), later, 'this one reported');
  const late = withReport(later, 1, 30);
  t.notOk(isIncomplete(late), 'a late report of it');
  t.ok(isIncomplete(ended(late, 3)));
  let many = later;
  for (let attempt = 3; attempt <= ATTEMPTS_KEPT * 3; attempt += 1) many = ended(many, attempt);
  t.equal(many.untold?.length, ATTEMPTS_KEPT);
  t.ok(isIncomplete(many));
});

t.test('J8: the cost of a task is reported only if all attempts reported theirs, never a partial sum', async (t) => {
  const known = withReport(NOTHING_USED, 1, 100, 0.5);
  const killed = withReport(known, 2, 80);
  t.same(totalOf(killed), { tokensUsed: 180, costUsd: null });
  t.same(totalOf(withReport(killed, 3, 20, 0.1)), { tokensUsed: 200, costUsd: null });
  t.same(totalOf(withReport(killed, 2, 90, 0.25)), { tokensUsed: 190, costUsd: 0.75 }, 'it was reported later');
  t.same(totalOf(withReport(known, 2, 0)), { tokensUsed: 100, costUsd: 0.5 }, 'nothing was used');
  let many = killed;
  for (let attempt = 3; attempt <= 2 * ATTEMPTS_KEPT; attempt += 1) many = withReport(many, attempt, 10, 0.1);
  t.equal(totalOf(many).costUsd, null, 'also for an attempt no longer stored individually');
  const large = (costUsd: number | null): Usage => ({
    ...NO_USAGE,
    models: [{ model: 'large', inputTokens: 5, cachedInputTokens: null, outputTokens: 1, costUsd }],
  });
  t.match(sumOf(large(0.1), large(null)).models, [{ inputTokens: 10, costUsd: null }]);
});

t.test('usage is summed by model, within a bound', async (t) => {
  const of = (model: string, inputTokens: number | null, costUsd: number | null = null): Usage => ({
    ...NO_USAGE,
    models: [{ model, inputTokens, cachedInputTokens: null, outputTokens: 1, costUsd }],
  });
  t.same(usageFields(sumOf(sumOf(of('large', 5, 0.1), of('small', null)), of('large', 7, 0.2))), {
    models: [
      { model: 'large', input_tokens: 12, output_tokens: 2, cost_usd: 0.3 },
      { model: 'small', output_tokens: 1 },
    ],
  });
  t.match(maxUsage(of('large', 5), of('large', 4)).models, [{ inputTokens: 5, outputTokens: 1 }]);
  let many: Usage = NO_USAGE;
  for (let n = 0; n < 3 * MODELS_MAX; n += 1) many = sumOf(many, of(`model-${n}`, 1));
  t.equal(many.models?.length, MODELS_MAX);
});

t.test('counts stay exact integers', async (t) => {
  const huge = withReport(withReport(NOTHING_USED, 1, Number.MAX_SAFE_INTEGER), 2, Number.MAX_SAFE_INTEGER);
  t.equal(totalOf(huge).tokensUsed, Number.MAX_SAFE_INTEGER);
});

/** A short run of durability.ts, and a test that its judge detects faults. */
import t from 'tap';
import { durabilityRun, judge } from './durability-run.ts';
import { makeWorld } from '../apps/app-world.ts';

t.test('R1: an acknowledged task exists exactly once after kill -9, and a repeated submit finds it', async (t) => {
  const world = await makeWorld(t);
  const outcome = await durabilityRun({ world, kills: 8, seed: 'eight kills' });
  t.strictSame([outcome.missing, outcome.duplicated, outcome.changed], [[], [], []]);
  t.equal(outcome.found, outcome.answered);
  t.ok(outcome.answered > 32, `${outcome.answered} tasks acknowledged`);
  t.ok(outcome.repeated > 0, `${outcome.repeated} submits were cut off and repeated`);
  t.ok(outcome.askedAgain > 0, `${outcome.askedAgain} acknowledged ones were submitted again`);
});

t.test('the judge detects a missing, a mixed up and a duplicate task', (t) => {
  const single = { key: 'a', descriptions: ['a0'], taskIds: ['task-1'] };
  const bulk = { key: 'b', descriptions: ['b0', 'b1'], taskIds: ['task-2', 'task-3'] };
  const all = [
    { id: 'task-1', description: 'a0' },
    { id: 'task-2', description: 'b0' },
    { id: 'task-3', description: 'b1' },
  ];
  t.strictSame(judge([single, bulk], all), { answered: 3, found: 3, missing: [], duplicated: [] });
  t.strictSame(judge([single, bulk], all.slice(0, 2)).missing, ['task-3']);
  t.strictSame(judge([single, { ...bulk, taskIds: ['task-3', 'task-2'] }], all).missing, ['task-3', 'task-2']);
  t.strictSame(judge([{ ...bulk, taskIds: ['task-2'] }], all).missing, ['no id for b1']);
  t.strictSame(judge([single], [...all, { id: 'task-4', description: 'a0' }]).duplicated, ['a0']);
  t.end();
});

/**
 * An upgrade as docs/service.md has it: stop the hub, install the next version, start it. Submitters and agents
 * continue.
 *
 *   AGENTCOM_OLDER_BIN=/older/node_modules/agentcom/apps/cli/bin.mjs npm test -- test/chaos/upgrade.test.ts
 *
 * upgrades an installed older version; without it, the older version is this build under another name.
 */
import t from 'tap';
import { invariantsOf } from './rig/chaos-judge.ts';
import { builtTree } from '../rig/built-tree.ts';
import { upgradeRun } from './upgrade/upgrade-run.ts';

/** The documented maximum duration of a stop, on a busy machine. */
const STOP_WITHIN_MS = 10_000;

t.setTimeout(180_000);

t.test('R1, R4, R8: a hub upgraded under 200 submits/s runs each task once, in its first attempt', async (t) => {
  const options = { tasksPerSecond: 200, beforeMs: 1_500, afterMs: 1_500, agents: 20 };
  const outcome = await upgradeRun(t, {
    ...options,
    tree: builtTree(),
    olderBin: process.env['AGENTCOM_OLDER_BIN'],
    version: '0.2.0-upgraded',
  });
  const { submitted, stored, runs } = outcome;
  const figures = [
    `${submitted.size} tasks`,
    `stop ${Math.round(outcome.stopMs)} ms`,
    `start ${Math.round(outcome.startMs)} ms`,
    `slowest submit ${Math.round(outcome.slowestSubmitMs)} ms`,
  ];
  t.comment(figures.join(', '));
  t.comment(outcome.retried.join('\n'));

  t.notSame(outcome.versions[0], '0.2.0-upgraded');
  t.equal(outcome.versions[1], '0.2.0-upgraded', 'the new build is running');
  t.equal(outcome.stopEnd, 0, 'the old hub stopped by itself');
  t.ok(outcome.stopMs < STOP_WITHIN_MS, `its stop took ${outcome.stopMs} ms`);
  t.ok(outcome.submittedMeanwhile > 0, 'tasks were submitted while no hub ran');
  t.ok(submitted.size >= 600, `${submitted.size} tasks were submitted`);
  t.strictSame(outcome.failed, [], 'no submit failed');

  t.equal(stored.tasks.size, submitted.size, 'no task was lost or stored twice');
  const attempt = (name: string): string => `${name} 1`;
  const wanted = ['submitted', 'eligible', 'assigned', 'accepted', 'completed'];
  const otherwise = [...submitted].flatMap(([id, description]) => {
    const found = stored.tasks.get(id);
    const events = found?.events.map(({ event }) => event).filter((event) => event !== 'woken' && event !== 'progress') ?? [];
    const isOnce = runs.get(attempt(id))?.join() === 'began,ended' && events.join() === wanted.join() && found?.task.generation === 1;
    return isOnce && found.description === description
      ? []
      : [`${id}: ${events.join(' ')}; runs ${runs.get(attempt(id))?.join() ?? 'none'}`];
  });
  t.strictSame(otherwise, [], 'each was assigned, run and completed once');
  t.equal(runs.size, submitted.size, 'nothing else ran');
  t.equal(stored.integrity, 'ok');
  t.strictSame(invariantsOf(stored), []);
});

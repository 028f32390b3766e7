import t from 'tap';
import type { HubFrame } from '../../../core/protocol/hub-frames.ts';
import { keyOf, named, OTHER, TASK } from './rig/stage.ts';
import { obliging, offer, openRoom, room, welcome, worker, type Room } from './rig/sidecar-room.ts';

t.test('a task runs from its offer to its acknowledged report', async (t) => {
  const here = await openRoom({ script: worker({ status: 'success', output: 'forty-two', tokens_used: 7 }), hub: obliging });
  await here.sidecar.ready;
  here.say(offer());
  await here.pass(2_000);
  t.same(here.types(), ['identify', 'task_accepted', 'wake_result', 'task_complete']);
  t.match(here.messages.at(-1), { task_id: TASK, generation: 1, result: { output: 'forty-two' }, tokens_used: 7 });
  t.same(here.runner.living(), []);
  t.same(here.results.paths(), [], 'its files are removed');
  t.equal(await here.journal.readReport(named()), null);
  await here.sidecar.stop();
  await here.pass(1);
  t.equal(here.clock.pending, 0, 'no timer is left');
});

t.test('R5 R9: a report is resent until the hub acknowledges it', async (t) => {
  let isAnswering = false;
  const here = await openRoom({ hub: (frame, say) => (isAnswering ? obliging : welcome)(frame, say) });
  here.say(offer());
  await here.pass(21_000);
  const completions = () => here.types().filter((type) => type === 'task_complete').length;
  t.equal(completions(), 3, 'at once, after 5 s and after 15 s');
  isAnswering = true;
  here.cut();
  await here.pass(2_000);
  t.equal(completions(), 4);
  await here.pass(600_000);
  t.equal(completions(), 4);
  await here.sidecar.stop();
});

t.test('J4: a run outlives its sidecar and is adopted', async (t) => {
  const here = await openRoom({ script: worker({ status: 'success' }, 60_000), hub: obliging });
  here.say(offer());
  await here.pass(1_000);
  here.crash();
  await here.pass(5_000);
  await here.sidecar.start();
  await here.pass(10_000);
  t.match(
    here.messages.findLast((frame) => frame['type'] === 'identify'),
    { held: [{ task_id: TASK, generation: 1, status: 'working' }] },
  );
  t.equal(here.runner.started.length, 1);
  await here.pass(60_000);
  t.equal(here.types().filter((type) => type === 'task_complete').length, 1);
  t.equal(here.runner.started.length, 1, 'never woken twice');
  await here.sidecar.stop();
});

t.test('R4: a result written while no sidecar runs is found', async (t) => {
  const here = await openRoom({ script: worker({ status: 'success', output: 'late' }, 2_000), hub: obliging });
  here.say(offer());
  await here.pass(1_000);
  here.crash();
  await here.pass(10_000);
  t.same(here.runner.living(), []);
  await here.sidecar.start();
  await here.pass(1_000);
  t.match(here.messages.at(-1), { type: 'task_complete', result: { output: 'late' } });
  await here.sidecar.stop();
});

t.test('R4: a results folder that is unreadable for a while is not treated as empty', async (t) => {
  // Before, the result was there, but the agent was reported to have ended without one, and the folder was removed with
  // it.
  const here = await openRoom({ script: worker({ status: 'success', output: 'there' }, 60_000), hub: obliging });
  here.say(offer());
  await here.pass(1_000);
  here.crash();
  await here.pass(100_000);
  const scan = here.results.scan.bind(here.results);
  here.results.scan = () => Promise.reject(new Error('EMFILE: too many open files, planted'));
  // There is no watcher either: only listing the folder finds the result.
  here.results.watch = () => undefined;
  await here.sidecar.start();
  await here.pass(20_000);
  t.notOk(here.types().includes('task_failed'), 'nothing is concluded');
  here.crash();
  here.results.scan = scan;
  await here.sidecar.start();
  await here.pass(6_000);
  t.match(here.messages.at(-1), { type: 'task_complete', result: { output: 'there' } });
  await here.sidecar.stop();
});

t.test('R4: a permanently unreadable results folder ends its task, and its result is kept', async (t) => {
  const here = await openRoom({ script: () => ({ steps: [{ afterMs: 10, event: { type: 'started' } }] }), hub: obliging });
  here.results.scan = () => Promise.reject(new Error('EIO: i/o error, planted'));
  here.results.watch = () => undefined;
  here.say(offer());
  await here.pass(1_000);
  const result = `results/${TASK}.g1/${TASK}.json`;
  here.results.write(result, '{"status":"success"}');
  here.runner.end(here.runner.living()[0] ?? '');
  await here.pass(50_000);
  t.notOk(here.types().includes('task_failed'), 'it is retried for a minute');
  await here.pass(10_000);
  t.match(here.messages.at(-1), { type: 'task_failed', kind: 'result_invalid' });
  t.ok(here.results.read(result));
  await here.sidecar.stop();
});

t.test('an agent that dies while no sidecar runs is lost', async (t) => {
  const here = await openRoom({ script: worker({ status: 'success' }, 60_000), hub: obliging });
  here.say(offer());
  await here.pass(1_000);
  here.crash();
  here.runner.end(here.runner.living()[0] ?? '');
  await here.sidecar.start();
  await here.pass(1_000);
  t.match(here.messages.at(-1), { type: 'task_failed', kind: 'lost' });
  await here.sidecar.stop();
});

t.test('R11: a cancel ends the agent with the grace period set by the hub', async (t) => {
  const here = await openRoom({
    script: (request, room) => ({ ...worker({ status: 'success' }, 60_000)(request, room), endsWithinMs: Infinity, survivors: [99] }),
    hub: obliging,
  });
  here.say(offer());
  await here.pass(1_000);
  here.say({ type: 'task_cancelled', task_id: TASK, generation: 1, reason: 'cancelled', grace_ms: 400 });
  await here.pass(300);
  t.equal(here.runner.living().length, 1, 'its grace period has not passed');
  await here.pass(200);
  t.same(here.runner.living(), []);
  t.match(here.messages.at(-1), { type: 'task_cancel_ack', outcome: 'killed', survivors: [99] });
  await here.sidecar.stop();
});

t.test('R3: a failing journal rejects tasks, and accepts them again once it recovers', async (t) => {
  const here = await openRoom({ hub: obliging });
  here.journal.failWrite(1);
  here.say(offer());
  await here.pass(100);
  t.match(here.messages.slice(1), [{ type: 'draining' }, { type: 'task_rejected', reason: 'journal_unwritable' }]);
  await here.pass(5_000);
  here.say(offer(2));
  await here.pass(2_000);
  t.match(here.messages.at(-1), { type: 'task_complete', generation: 2 });
  await here.sidecar.stop();
});

t.test('R4: any failed write delays the report and loses nothing', async (t) => {
  for (let nth = 1; ; nth += 1) {
    const here = await openRoom({ script: worker({ status: 'success', output: 'kept' }, 30_000), hub: obliging });
    here.say(offer());
    here.journal.failWrite(nth);
    await here.pass(100_000);
    const ended = here.types().filter((type) => type === 'task_complete' || type === 'task_rejected');
    t.equal(ended.length, 1, `write ${nth}`);
    t.equal(here.runner.started.length, ended[0] === 'task_complete' ? 1 : 0);
    const hasFailed = here.log.lines.some((line) => /cannot write the journal/.test(line.message));
    await here.sidecar.stop();
    if (!hasFailed) return t.ok(nth > 5, `${nth - 1} writes failed in turn`);
  }
});

t.test('R3 R10 J4: killed at any write, the sidecar continues from the stored state', async (t) => {
  for (const keepUnsynced of [false, true]) {
    for (let nth = 1; nth <= 9; nth += 1) {
      const here = await room({ script: worker({ status: 'success' }, 3_000), hub: reoffering });
      const hasCrashed = crashAtWrite(here, nth, keepUnsynced);
      await here.sidecar.start();
      await here.pass(5_000);
      t.ok(hasCrashed(), `write ${nth} came`);
      await here.sidecar.start();
      await here.pass(30_000);
      const ends = here.types().filter((type) => type === 'task_complete' || type === 'task_failed');
      t.ok(ends.length >= 1, `write ${nth}, ${keepUnsynced ? 'kept' : 'lost'}: it ended`);
      t.ok(here.runner.started.length <= 1, 'it ran at most once');
      await here.sidecar.stop();
    }
  }
});

t.test('self-start: published, claimed by a rename, run and removed', async (t) => {
  const here = await openRoom({ selfStart: true, hub: obliging });
  here.say(offer());
  await here.pass(1_000);
  const published = `tasks/${keyOf(named())}.json`;
  const task = JSON.parse(here.results.read(published) ?? 'null') as { results_dir: string; generation: number };
  t.equal(task.generation, 1);
  t.ok(here.results.move(published, `results/${keyOf(named())}/task.json`));
  here.results.write(`results/${keyOf(named())}/${TASK}.started`, '');
  here.results.write(`results/${keyOf(named())}/${TASK}.json`, '{"status":"success"}');
  await here.pass(1_000);
  t.match(here.messages.at(-1), { type: 'task_complete' });
  t.same(here.results.paths(), []);
  await here.sidecar.stop();
});

t.test('stop leaves agents running, and the next process adopts them', async (t) => {
  const here = await openRoom({ script: worker({ status: 'success' }, 60_000), hub: obliging });
  here.say(offer());
  await here.pass(1_000);
  await here.sidecar.stop();
  await here.sidecar.finished;
  t.equal(here.runner.living().length, 1);
  here.crash();
  await here.sidecar.start();
  await here.pass(70_000);
  t.match(here.messages.at(-1), { type: 'task_complete' });
  await here.sidecar.stop();
});

t.test('stop waits for a report to be acknowledged, for at most 10 s', async (t) => {
  const here = await openRoom({ script: worker({ status: 'success' }) });
  here.say(offer());
  await here.pass(2_000);
  let isStopped = false;
  const stopping = here.sidecar.stop().then(() => (isStopped = true));
  await here.pass(7_000);
  t.notOk(isStopped);
  await here.pass(3_000);
  t.ok(isStopped);
  await stopping;
});

t.test('stop before start, stop twice, and start twice', async (t) => {
  const unstarted = await room();
  await Promise.all([unstarted.sidecar.stop(), unstarted.sidecar.stop()]);
  await t.rejects(unstarted.sidecar.start(), { code: 'AC_INTERNAL' });
  const here = await room();
  t.equal(here.sidecar.start(), here.sidecar.start());
  await here.sidecar.stop();
});

t.test('R22: a failed start releases its folder', async (t) => {
  const here = await room();
  await here.journal.open();
  await here.journal.save({ version: 99 });
  await here.journal.close();
  await t.rejects(here.sidecar.start(), { code: 'AC_SCHEMA_UNKNOWN' });
  const next = here.journal.reopen();
  await next.open();
  await next.close();
  await here.sidecar.stop();
});

t.test('invalid frames are logged once each and change nothing', async (t) => {
  const here = await openRoom({ hub: (frame, say) => (frame['type'] === 'identify' ? sendInvalidFrames(say) : undefined) });
  await here.pass(100);
  const warned = here.log.lines.filter((line) => line.level === 'warn');
  t.match(
    warned.map((line) => line.fields),
    [{ reason: 'unknown_message_type' }, { reason: 'validation_failed', message_type: 'task_assign' }],
  );
  await here.sidecar.stop();
  function sendInvalidFrames(say: (frame: never) => void): void {
    welcome({ type: 'identify' }, say as never);
    say({ type: 'dance' } as never);
    say({ type: 'task_assign', task_id: '../../etc' } as never);
  }
});

/** The process dies inside its nth write of the state; a new one is ready. */
function crashAtWrite(here: Room, nth: number, keepUnsynced: boolean): () => boolean {
  let writes = 0;
  const { journal } = here;
  const save = journal.save.bind(journal);
  journal.save = (state) => {
    const saving = save(state);
    writes += 1;
    if (writes === nth) {
      journal.crash({ keepUnsynced });
      here.crash();
    }
    return saving;
  };
  return () => writes >= nth;
}

/** A cooperative hub that again offers what a returning sidecar does not hold. */
function reoffering(frame: Readonly<Record<string, unknown>>, say: Parameters<typeof obliging>[1]): void {
  obliging(frame, say);
  if (frame['type'] === 'identify' && (frame['held'] as unknown[]).length === 0) say(offer());
}

t.test('R10: runs of a copied journal are neither continued nor reported as lost', async (t) => {
  const here = await openRoom({ script: worker({ status: 'success' }, 60_000), hub: obliging });
  here.say(offer());
  await here.pass(1_000);
  here.crash();
  const open = here.journal.open.bind(here.journal);
  here.journal.open = async () => ({ ...(await open()), instanceId: 'another-instance', isCopy: true });
  const before = here.messages.length;
  await here.sidecar.start();
  await here.pass(10_000);
  t.match(here.messages[before], { type: 'identify', instance_id: 'another-instance', held: [] });
  await here.pass(100_000);
  t.same(
    here
      .types()
      .slice(before)
      .filter((type) => type !== 'identify' && type !== 'ping'),
    [],
  );
  t.equal(here.runner.started.length, 1);
  await here.sidecar.stop();
});

t.test("R16: slow removal of an agent's files does not block the other slot, and stop does not wait forever", async (t) => {
  const here = await openRoom({ slots: 2, hub: obliging });
  here.results.remove = () => new Promise<never>(() => undefined);
  here.say(offer());
  await here.pass(2_000);
  here.say({ ...offer(), task_id: OTHER } as HubFrame);
  await here.pass(2_000);
  t.match(
    here.messages.filter((frame) => frame['type'] === 'task_complete').map((frame) => frame['task_id']),
    [TASK, OTHER],
  );
  let isStopped = false;
  void here.sidecar.stop().then(() => (isStopped = true));
  await here.pass(9_000);
  t.notOk(isStopped, 'it has its grace period');
  await here.pass(1_000);
  t.ok(isStopped);
});

t.test('a scan and a removal that fail after the stop are not tried again', async (t) => {
  // Each left a timer that kept the process alive, and used the closed folders when it fired.
  for (const work of ['scan', 'remove'] as const) {
    const here = await openRoom({ script: () => ({ steps: [{ afterMs: 10, event: { type: 'started' } }] }), hub: obliging });
    let fail: ((why: Error) => void) | undefined;
    here.results[work] = () => new Promise<void>((_, reject) => (fail = reject));
    here.say(offer());
    await here.pass(1_000);
    here.runner.end(here.runner.living()[0] ?? '');
    await here.pass(1_000);
    t.type(fail, 'function', work);
    void here.sidecar.stop();
    await here.pass(10_000);
    t.equal(here.clock.pending, 0, 'stopped');
    fail?.(new Error('EIO: i/o error, planted'));
    await here.pass(1);
    t.equal(here.clock.pending, 0, `no ${work} is due`);
  }
});

/** Live output on its way to the store: collected, written together, bounded, and never delaying a stop. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { OutputWriter, OUTPUT_WAITING_BYTES } from '../../../core/application/hub/upkeep/output-writer.ts';
import type { OutputChunk, OutputStore } from '../../../core/ports/output-store.ts';
import { virtualClock, type VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { A_MOMENT_MS, aGeneration, aTaskId, anAgentId } from '../../product/contracts/fixtures.ts';

const aChunk = (text: string, task = 1): OutputChunk => ({
  taskId: aTaskId(task),
  generation: aGeneration(1),
  agentId: anAgentId('a1'),
  atMs: A_MOMENT_MS,
  stream: 'stdout',
  text,
  seq: 0,
  dropped: 0,
});

/** Advances time, and lets resulting work take its steps. */
const later = (clock: VirtualClock, ms: number): Promise<void> => clock.walk(ms, () => setImmediate());

function writerRig(over: Partial<OutputStore> = {}, bytesPerAssignment = 1_000) {
  const clock = virtualClock({ wallMs: A_MOMENT_MS });
  const log = memoryLog();
  const written: string[][] = [];
  const store: OutputStore = {
    append: (chunks) => Promise.resolve(void written.push(chunks.map(({ text }) => text))),
    read: () => Promise.reject(new Error('not read here')),
    removeBefore: () => Promise.resolve(0),
    ...over,
  };
  const writer = new OutputWriter({ store, clock, log, storageFailed: () => undefined, bytesPerAssignment, keptMs: 60_000 });
  return { clock, log, written, writer };
}

t.test('chunks of 200 ms are written together, and listeners of their tasks are notified afterwards', async (t) => {
  const { clock, written, writer } = writerRig();
  const notified: string[] = [];
  const unsubscribe = writer.onOutput(aTaskId(1), () => notified.push(`1 after ${written.length}`));
  writer.onOutput(aTaskId(2), () => notified.push('2'));
  writer.add(aChunk('a'));
  await later(clock, 150);
  writer.add(aChunk('b'));
  t.strictSame(written, []);
  await later(clock, 50);
  t.strictSame({ written, notified }, { written: [['a', 'b']], notified: ['1 after 1'] });
  unsubscribe();
  writer.add(aChunk('c'));
  await writer.flush();
  t.strictSame({ written, notified }, { written: [['a', 'b'], ['c']], notified: ['1 after 1'] });
  await later(clock, 1_000);
  t.equal(written.length, 2, 'nothing is written twice');
});

t.test('output beyond the buffer limit is dropped, and logged once', async (t) => {
  const { clock, log, written, writer } = writerRig();
  const large = 'x'.repeat(65_536);
  for (let n = 0; n < 200; n += 1) writer.add(aChunk(large));
  await later(clock, 200);
  const bytes = written.flat().reduce((sum, text) => sum + text.length, 0);
  t.ok(bytes <= OUTPUT_WAITING_BYTES && bytes > OUTPUT_WAITING_BYTES * 0.98, `${bytes} bytes were written`);
  t.match(log.lines.filter(({ level }) => level === 'warn'), [{ fields: { chunks: 200 - written.flat().length } }]); // prettier-ignore
  writer.add(aChunk('room again'));
  await later(clock, 200);
  t.strictSame(written.at(-1), ['room again']);
});

t.test('a failing store loses only that write; a hanging one does not keep the hub from stopping', async (t) => {
  let fails = true;
  const written: string[] = [];
  const append: OutputStore['append'] = async (chunks) => {
    if (fails) throw new Error('planted');
    written.push(...chunks.map(({ text }) => text));
  };
  const { clock, log, writer } = writerRig({ append });
  writer.add(aChunk('lost'));
  await later(clock, 200);
  fails = false;
  writer.add(aChunk('kept'));
  await writer.stop();
  t.strictSame(written, ['kept'], 'a stop writes the rest');
  t.match(log.lines, [{ level: 'warn', fields: { error: 'planted' } }]);
  writer.add(aChunk('too late'));
  await later(clock, 1_000);
  t.strictSame(written, ['kept']);

  const hanging = writerRig({ append: () => new Promise(() => undefined) });
  hanging.writer.add(aChunk('a'));
  const stopped = hanging.writer.stop();
  await later(hanging.clock, 1_000);
  await stopped;
  t.match(hanging.log.lines, [{ level: 'warn', fields: { within_ms: 1_000 } }]);
});

t.test('with 0 bytes nothing is stored; old output is removed, one full round at a time', async (t) => {
  const off = writerRig({}, 0);
  off.writer.add(aChunk('a'));
  await later(off.clock, 1_000);
  t.strictSame(off.written, []);

  const removals: number[] = [];
  let old = 2_500;
  const removeBefore: OutputStore['removeBefore'] = async (beforeMs, limit) => {
    removals.push(A_MOMENT_MS - beforeMs);
    const some = Math.min(old, limit);
    old -= some;
    return some;
  };
  const { clock, writer } = writerRig({ removeBefore });
  writer.start();
  await later(clock, 60_000);
  t.strictSame(removals, [0], 'removal starts at the retention limit');
  await later(clock, 400);
  t.equal(old, 0, 'and the rest soon after');
  await later(clock, 60_000);
  t.equal(removals.length, 4);
  await writer.stop();
});

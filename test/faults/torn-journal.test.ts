/**
 * A journal that is torn or flipped at every byte: the last good copy is read, or it is refused; never an empty one,
 * never another state.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { EMPTY_JOURNAL } from '../../core/application/sidecar/state/journal-state.ts';
import { emptyFolder, journalIn } from '../adapters/files/journal-file-place.ts';
import { statementFaults } from './rig/statement-faults.ts';
import { World } from './rig/faults-world.ts';

t.setTimeout(120_000);

const OLDER = { ...EMPTY_JOURNAL, ended: ['older'] };
const NEWER = { ...EMPTY_JOURNAL, ended: ['newer'] };

/** What is read from a folder with these copies; a code if it is refused. */
async function readFrom(dataDir: string, newest: Buffer, previous: Buffer): Promise<unknown> {
  await writeFile(join(dataDir, 'queue.json'), newest);
  await writeFile(join(dataDir, 'queue.json.1'), previous);
  const journal = journalIn(dataDir);
  try {
    return (await journal.open()).state;
  } catch (thrown) {
    return AgentcomError.is(thrown) ? thrown.code : thrown;
  } finally {
    await journal.close();
  }
}

async function twoCopies(t: Test): Promise<{ readonly dataDir: string; readonly newest: Buffer; readonly previous: Buffer }> {
  const dataDir = await emptyFolder(t);
  const journal = journalIn(dataDir);
  await journal.open();
  await journal.save(OLDER);
  await journal.save(NEWER);
  await journal.close();
  const [newest, previous] = [await readFile(join(dataDir, 'queue.json')), await readFile(join(dataDir, 'queue.json.1'))];
  return { dataDir, newest, previous };
}

const DAMAGES = 4;
/** One damage of each kind at this byte. */
const damagesAt = (bytes: Buffer, at: number): readonly Buffer[] => [
  bytes.subarray(0, at),
  flipped(bytes, at),
  Buffer.concat([bytes.subarray(0, at), Buffer.from([0]), bytes.subarray(at)]),
  Buffer.concat([bytes.subarray(0, at), Buffer.alloc(bytes.length - at)]),
];

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 0x01;
  return copy;
}

t.test('R22: with the newest copy damaged at any byte the previous one is read; with both damaged it is refused', async (t) => {
  const { dataDir, newest, previous } = await twoCopies(t);
  const wrong: string[] = [];
  let tried = 0;
  for (let at = 0; at < newest.length; at += 1) {
    // Each byte is damaged, in one way after the other.
    for (const [kind, damaged] of damagesAt(newest, at).entries()) {
      if (kind !== at % DAMAGES) continue;
      tried += 1;
      const found = await readFrom(dataDir, damaged, previous);
      // An unknown version might be a newer program's: that is for an operator to decide.
      if (JSON.stringify(found) !== JSON.stringify(OLDER) && found !== 'AC_SCHEMA_UNKNOWN')
        wrong.push(`byte ${at}, kind ${kind}: ${JSON.stringify(found)}`);
    }
    const both = await readFrom(dataDir, flipped(newest, at), previous.subarray(0, at));
    if (both !== 'AC_JOURNAL_CORRUPT' && both !== 'AC_SCHEMA_UNKNOWN') wrong.push(`both at byte ${at}: ${JSON.stringify(both)}`);
  }
  t.strictSame(wrong, []);
  t.equal(tried, newest.length);
});

t.test('R22, R10: a sidecar with a torn journal never tells the hub that it holds nothing', async (t) => {
  const statements = statementFaults();
  t.teardown(() => statements.remove());
  const world = await World.make(statements, null);
  t.teardown(() => world.end());
  const machine = await world.machine('a1');
  const [id] = await world.submit(['work 60000']);
  await world.pass(2_000);
  machine.kill();
  const [queue, aside] = [join(machine.dataDir, 'queue.json'), join(machine.dataDir, 'aside')];
  await mkdir(aside);
  for (const name of ['queue.json', 'queue.json.1']) await copyFile(join(machine.dataDir, name), join(aside, name));

  const whole = await readFile(queue);
  await writeFile(queue, whole.subarray(0, whole.length / 2));
  await machine.start();
  await world.pass(3_000);
  t.ok(machine.isRunning, 'with one copy torn it continues from the other');
  machine.kill();

  for (const name of ['queue.json', 'queue.json.1']) await writeFile(join(machine.dataDir, name), '');
  await machine.start();
  await world.pass(3_000);
  t.notOk(machine.isRunning, 'with both torn it does not start');
  for (const name of ['queue.json', 'queue.json.1']) await copyFile(join(aside, name), join(machine.dataDir, name));
  await machine.start();
  await world.pass(70_000);
  const task = (await world.stored()).tasks.get(id ?? '');
  t.equal(task?.task.status, 'completed');
  // The older copy did not know yet that the wake had been reported.
  t.strictSame(
    [...new Set(task?.events.map(({ event }) => event))],
    ['submitted', 'eligible', 'assigned', 'accepted', 'woken', 'completed'],
    'restored, it continues its run as if nothing had happened',
  );
  t.strictSame(world.evidence.violations, []);
});

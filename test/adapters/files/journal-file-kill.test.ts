/** The journal on disk under `kill -9` of real processes. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import t from 'tap';
import { emptyFolder, journalIn, largeSlots, reportName, startSaver, stateIn } from './journal-file-place.ts';

// Thirty processes are started and killed; a busy machine is slow.
t.setTimeout(120_000);

t.test('R3: acknowledged saves survive kill -9 at 30 random moments', async (t) => {
  const dataDir = await emptyFolder(t);
  for (let round = 1, last = 0; round <= 30; round += 1) {
    const child = startSaver(t, dataDir);
    const exited = once(child, 'exit');
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const killAfterMs = Math.random() * 30;
    lines.once('line', () => setTimeout(() => child.kill('SIGKILL'), killAfterMs));
    for await (const line of lines) last = Number(line);
    await exited;

    const journal = journalIn(dataDir);
    const opened = await journal.open();
    const { n: found, ended, slots } = opened.state as { readonly n: number; readonly ended: readonly string[]; readonly slots: unknown };
    if (JSON.stringify(slots) !== JSON.stringify(largeSlots(found))) t.fail('its tasks come from the same save, and are whole');
    t.equal(Number(ended.at(-1)), found, 'its list comes from the same save');
    t.equal(ended.length, Math.min(found, 1_000), 'and whole');
    t.ok(
      found === last || found === last + 1,
      `round ${round}, killed after ${killAfterMs.toFixed(1)} ms: acknowledged ${last}, found ${found}`,
    );
    t.equal(opened.damage, null);
    t.equal(await journal.readReport(reportName(found)), `report ${found}`, 'every report named in the state exists');
    await journal.close();
    last = found;
  }
});

t.test('a second process is refused with the PID of the first, and takes over once the first is killed', async (t) => {
  const dataDir = await emptyFolder(t);
  const child = startSaver(t, dataDir);
  const exited = once(child, 'exit');
  await once(createInterface({ input: child.stdout as NodeJS.ReadableStream }), 'line');
  await t.rejects(journalIn(dataDir).open(), { code: 'AC_JOURNAL_LOCKED', message: new RegExp(`process ${child.pid}\\b`) });
  child.kill('SIGKILL');
  await exited;
  t.ok(await stateIn(dataDir));
});

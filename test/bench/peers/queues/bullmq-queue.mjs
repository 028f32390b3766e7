/** BullMQ on Redis, with its defaults: completed jobs stay in the store. */
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const NAME = 'bench';

export async function open({ port, concurrency }, payloadOf) {
  const connect = () => new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: null });
  const connection = connect();
  const queue = new Queue(NAME, { connection });
  await queue.waitUntilReady();
  return {
    submit: (n) => queue.add('noop', payloadOf(n)),
    submitMany: (first, count) => queue.addBulk(Array.from({ length: count }, (_, k) => ({ name: 'noop', data: payloadOf(first + k) }))),
    async worker(onCompleted) {
      const own = connect();
      const worker = new Worker(NAME, async () => undefined, { connection: own, concurrency, autorun: false });
      await worker.waitUntilReady();
      // Emitted when the script that moves the job among the completed ones has answered.
      worker.on('completed', (job) => onCompleted(job.data.i));
      worker.on('failed', fail);
      worker.on('error', fail);
      return {
        run: () => void worker.run().catch(fail),
        async stop() {
          await worker.close();
          own.disconnect();
        },
      };
    },
    async counts() {
      const { completed, ...others } = await queue.getJobCounts();
      return { unfinished: Object.values(others).reduce((sum, each) => sum + each, 0), completed };
    },
    async close() {
      await queue.close();
      connection.disconnect();
    },
  };
}

function fail(...thrown) {
  throw thrown.find((each) => each instanceof Error);
}

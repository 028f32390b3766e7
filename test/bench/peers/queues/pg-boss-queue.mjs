/** pg-boss, consumed by `work()`, which polls. */
import PgBoss from 'pg-boss';
import pg from 'pg';

const NAME = 'bench';
/** `offWork` does not wait for the round in progress. */
const LAST_ROUND_MS = 300;

export async function open({ url, pool: max, loops, batchSize, pollingIntervalSeconds }, payloadOf) {
  const pool = new pg.Pool({ connectionString: url, max });
  pool.on('error', fail);
  const numbers = new Map();
  let onDone = () => undefined;
  // A custom database object, an option of its API, sees when the statement that completes jobs is acknowledged.
  const db = {
    async executeSql(text, values) {
      const answer = await pool.query(text, values);
      if (/state\s*=\s*'completed'/.test(text) && Array.isArray(values?.[1])) for (const id of values[1]) onDone(id);
      return answer;
    },
  };
  const boss = new PgBoss({ db, schedule: false });
  boss.on('error', fail);
  await boss.start();
  await boss.createQueue(NAME);
  return {
    submit: (n) => boss.send(NAME, payloadOf(n)),
    submitMany: (first, count) => boss.insert(Array.from({ length: count }, (_, k) => ({ name: NAME, data: payloadOf(first + k) }))),
    async worker(onCompleted) {
      onDone = (id) => {
        if (numbers.has(id)) onCompleted(numbers.get(id));
        numbers.delete(id);
      };
      const take = async (jobs) => {
        for (const { id, data } of jobs) numbers.set(id, data.i);
      };
      const ids = [];
      return {
        async run() {
          for (let loop = 0; loop < loops; loop += 1) ids.push(await boss.work(NAME, { batchSize, pollingIntervalSeconds }, take));
        },
        async stop() {
          for (const id of ids) await boss.offWork({ id });
          await new Promise((resolve) => setTimeout(resolve, LAST_ROUND_MS));
        },
      };
    },
    async counts() {
      const { rows } = await pool.query('select state, count(*)::int as number from pgboss.job where name = $1 group by state', [NAME]);
      const numberOf = (isAsked) => rows.filter(({ state }) => isAsked(state)).reduce((sum, { number }) => sum + number, 0);
      return { unfinished: numberOf((state) => state !== 'completed'), completed: numberOf((state) => state === 'completed') };
    },
    async close() {
      await boss.stop({ graceful: false, wait: false });
      await pool.end();
    },
  };
}

function fail(error) {
  throw error;
}

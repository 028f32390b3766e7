/** The yardstick: submits made while a request is in flight are sent together, as in AgentCom's client. Several hubs take turns. */
import { httpLine, type HttpLine } from '../../load/http-line.ts';
import { STATUS } from '../../bare/bare-store.ts';
import { bareWorker, type BareSettings } from '../../bare/bare-worker.ts';
import type { Payload, Queue } from './queue.ts';

/** As in `apps/client/submit-batcher.ts`. */
const BATCH_MAX = 256;
const AGE_MAX_MS = 1;

interface Waiting {
  readonly key: string;
  readonly text: string;
  done(): void;
}

interface Hub {
  submit(key: string, text: string): Promise<void>;
  request(head: string, body: string, wanted: number): Promise<string>;
  close(): void;
}

export async function open(settings: BareSettings, payloadOf: (n: number) => Payload): Promise<Queue> {
  const run = `${process.pid.toString(36)}-${Date.now().toString(36)}`;
  const hubs = settings.ports.map((port) => hubAt(port, settings.isSingly === true));
  let turn = 0;
  const next = (): Hub => hubs[turn++ % hubs.length] as Hub;
  return {
    submit: (n) => next().submit(`${run}-${n}`, JSON.stringify(payloadOf(n))),
    async submitMany(first, count) {
      let body = '';
      for (let n = first; n < first + count; n += 1) body += `${n === first ? '' : '\n'}["${run}-${n}",${JSON.stringify(payloadOf(n))}]`;
      await next().request('POST /tasks/batch HTTP/1.1', body, 201);
    },
    worker: async (onCompleted) => bareWorker(settings, onCompleted),
    async counts() {
      // Of the whole store.
      const counts = JSON.parse(await next().request('GET /counts HTTP/1.1', '', 200)) as Readonly<Record<string, number>>;
      const completed = counts[STATUS.completed] ?? 0;
      return { unfinished: Object.values(counts).reduce((sum, each) => sum + each, 0) - completed, completed };
    },
    async close() {
      for (const hub of hubs) hub.close();
    },
  };
}

function hubAt(port: number, isSingly: boolean): Hub {
  const fail = (error: Error): never => {
    throw error;
  };
  const lines = new Set<HttpLine>();
  const free: HttpLine[] = [];
  const request = async (head: string, body: string, wanted: number): Promise<string> => {
    const line = free.pop() ?? (await httpLine(port, fail));
    lines.add(line);
    return new Promise((resolve, reject) => {
      const text = `${head}\r\nHost: 127.0.0.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
      line.send(text, (status, answer) => {
        free.push(line);
        if (status === wanted) resolve(answer);
        else reject(new Error(`${head} was answered with ${status}: ${answer}`));
      });
    });
  };
  let waiting: Waiting[] = [];
  let onTheWay = 0;
  let isScheduled = false;
  let timer: NodeJS.Timeout | undefined;
  const send = async (batch: readonly Waiting[]): Promise<void> => {
    const [first] = batch;
    if (first === undefined) return;
    if (batch.length === 1) await request(`POST /tasks HTTP/1.1\r\nIdempotency-Key: ${first.key}`, first.text, 201);
    else await request('POST /tasks/batch HTTP/1.1', batch.map(({ key, text }) => `["${key}",${text}]`).join('\n'), 201);
    for (const { done } of batch) done();
  };
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(flush);
  };
  const flush = (): void => {
    isScheduled = false;
    clearTimeout(timer);
    timer = undefined;
    if (waiting.length === 0) return;
    const batch = waiting;
    waiting = [];
    onTheWay += 1;
    void send(batch)
      .catch(fail)
      .finally(() => {
        onTheWay -= 1;
        schedule();
      });
  };
  return {
    submit: (key, text) =>
      new Promise((done) => {
        if (isSingly) return void send([{ key, text, done }]).catch(fail);
        waiting.push({ key, text, done });
        if (waiting.length >= BATCH_MAX) flush();
        else if (onTheWay > 0) timer ??= setTimeout(flush, AGE_MAX_MS);
        else schedule();
      }),
    request,
    close() {
      for (const line of lines) line.end();
    },
  };
}

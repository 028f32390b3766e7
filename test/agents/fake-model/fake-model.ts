/** Model APIs on loopback that agent programs take for the real ones. The task tells the model what to do: see script.ts. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { anthropicMessages } from './anthropic-messages.ts';
import { geminiContent } from './gemini-content.ts';
import { CALL_USAGE, objectOf, type Failure, type ModelApi, type ModelObject, type StreamEvent } from './model-api.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiResponses } from './openai-responses.ts';
import { actFor } from './script.ts';

const APIS: readonly ModelApi[] = [anthropicMessages, openaiResponses, openaiChat, geminiContent];

/** A key with this prefix is refused, whatever is asked. */
export const WRONG_KEY = 'wrong-key';

/** A text that is in no task: a call that contains it has it from a file. */
export const FILE_SECRET = 'a text that is only in a file';

/** One call that a program made. */
export interface ModelCall {
  readonly api: string;
  readonly key: string;
  readonly model: string;
  /** Null: it hangs; `cut`: its answer broke off. */
  readonly status: number | 'cut' | null;
  /** A call apart from the work, for a title for example: it has no tools. */
  readonly isAside: boolean;
  /** Input and output; 0 unless it was answered. */
  readonly tokens: number;
  /** Whether `FILE_SECRET` is in it. */
  readonly hasSecret: boolean;
}

export interface FakeModel {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The calls with this key, in order. */
  calls(key: string): readonly ModelCall[];
  close(): Promise<void>;
}

export async function fakeModel(): Promise<FakeModel> {
  const calls: ModelCall[] = [];
  const server = createServer((request, response) => {
    // A program that was stopped reads no answer.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    void bodyOf(request).then((body) => {
      answer({ request, response, body, calls });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    calls: (key) => calls.filter((call) => call.key === key),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** An empty object for text that is not JSON, or was truncated. */
async function bodyOf(request: IncomingMessage): Promise<ModelObject> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    return objectOf(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  } catch {
    return {}; // A question without a body, which is not a call.
  }
}

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: ModelObject;
  /** So far; this one is added to them. */
  readonly calls: ModelCall[];
}

function answer({ request, response, body, calls }: Asked): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const api = request.method === 'POST' ? APIS.find((one) => one.isCall(pathname)) : undefined;
  if (api === undefined) {
    sendJson(response, pathname === '/' || request.method === 'HEAD' ? 200 : 404, {});
    return;
  }
  const key = keyOf(request, searchParams);
  const model = modelOf(pathname, body);
  const tools = api.tools(body);
  const hasSecret = JSON.stringify(body).includes(FILE_SECRET);
  const call = { api: api.name, key, model, isAside: tools.length === 0, status: 200, tokens: 0, hasSecret } as const;
  const failedBefore = calls.filter((one) => one.key === key && !one.isAside && one.status !== 200).length;
  const act = key.startsWith(WRONG_KEY) ? ({ kind: 'fail', what: 401 } as const) : actFor(api.turns(body), tools, failedBefore);
  const isStreamed = api.isStreamed(pathname, body);
  if (act.kind === 'hang') {
    calls.push({ ...call, status: null });
    return;
  }
  if (act.kind === 'fail') {
    const failure = api.failure(act.what, model);
    calls.push({ ...call, status: failure.status });
    sendFailure(response, failure, { isStreamed, isSoonOver: act.what === 429 });
    return;
  }
  const reply = { id: `fake${String(calls.length)}`, model, answer: act.answer };
  if (act.kind === 'cut') {
    calls.push({ ...call, status: 'cut' });
    const text = isStreamed ? inStream(api.stream(reply)) : JSON.stringify(api.whole(reply));
    response.writeHead(200, { 'content-type': isStreamed ? EVENT_STREAM : JSON_TYPE });
    response.write(text.slice(0, text.length / 2), () => response.destroy());
    return;
  }
  calls.push({ ...call, tokens: CALL_USAGE.input + CALL_USAGE.output });
  if (isStreamed) sendStream(response, api.stream(reply));
  else sendJson(response, 200, api.whole(reply));
}

const EVENT_STREAM = 'text/event-stream';
const JSON_TYPE = 'application/json';

const inStream = (events: readonly StreamEvent[]): string =>
  events
    .map(({ name, data }) => {
      const text = typeof data === 'string' ? data : JSON.stringify(data);
      return `${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`;
    })
    .join('');

function sendStream(response: ServerResponse, events: readonly StreamEvent[]): void {
  response.writeHead(200, { 'content-type': EVENT_STREAM, 'cache-control': 'no-cache' });
  response.end(inStream(events));
}

interface FailureHow {
  readonly isStreamed: boolean;
  /** It says when to retry. */
  readonly isSoonOver: boolean;
}

function sendFailure(response: ServerResponse, { status, body, event }: Failure, { isStreamed, isSoonOver }: FailureHow): void {
  if (event !== undefined && isStreamed) sendStream(response, [event]);
  else sendJson(response, status, body, isSoonOver ? { 'retry-after': '1' } : {});
}

function sendJson(response: ServerResponse, status: number, body: ModelObject, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': JSON_TYPE, ...headers });
  response.end(JSON.stringify(body));
}

const modelOf = (path: string, body: ModelObject): string =>
  typeof body['model'] === 'string' ? body['model'] : (/\/models\/([^:/]+):/.exec(path)?.[1] ?? 'unknown');

function keyOf({ headers }: IncomingMessage, query: URLSearchParams): string {
  const key = headers['x-api-key'] ?? headers['x-goog-api-key'] ?? headers.authorization ?? query.get('key') ?? '';
  return String(key).replace(/^Bearer /, '');
}

/** Model APIs on loopback that agent programs take for the real ones. What the model does stands in the task: see script.ts. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { anthropicMessages } from './anthropic-messages.ts';
import { geminiContent } from './gemini-content.ts';
import { CALL_USAGE, objectOf, type ModelApi, type Said } from './model-api.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiResponses } from './openai-responses.ts';
import { actFor } from './script.ts';

const APIS: readonly ModelApi[] = [anthropicMessages, openaiResponses, openaiChat, geminiContent];

/** A key that begins so is refused, whatever is asked. */
export const WRONG_KEY = 'wrong-key';

/** One call that a program made. */
export interface ModelCall {
  readonly api: string;
  readonly key: string;
  /** Null: it hangs. */
  readonly status: number | null;
  /** A call beside the work, such as for a title: it has no tools. */
  readonly isAside: boolean;
  /** Input and output; 0 unless it was answered. */
  readonly tokens: number;
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
      answer({ request, response, body, number: calls.length, onCall: (call) => calls.push(call) });
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

/** An empty object for what is no JSON, or was cut off. */
async function bodyOf(request: IncomingMessage): Promise<Said> {
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
  readonly body: Said;
  readonly number: number;
  readonly onCall: (call: ModelCall) => void;
}

function answer({ request, response, body, number, onCall }: Asked): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const api = request.method === 'POST' ? APIS.find((one) => one.isCall(pathname)) : undefined;
  if (api === undefined) {
    sendJson(response, pathname === '/' || request.method === 'HEAD' ? 200 : 404, {});
    return;
  }
  const key = keyOf(request, searchParams);
  const tools = api.tools(body);
  const call = { api: api.name, key, isAside: tools.length === 0, status: 200, tokens: 0 };
  const act = key.startsWith(WRONG_KEY) ? ({ kind: 'fail', status: 401 } as const) : actFor(api.turns(body), tools);
  if (act.kind === 'hang') {
    onCall({ ...call, status: null });
    return;
  }
  if (act.kind === 'fail') {
    onCall({ ...call, status: act.status });
    sendJson(response, act.status, api.error(act.status, `the model says ${String(act.status)}`));
    return;
  }
  onCall({ ...call, tokens: CALL_USAGE.input + CALL_USAGE.output });
  const reply = { id: `fake${String(number)}`, model: modelOf(pathname, body), answer: act.answer };
  if (!api.isStreamed(pathname, body)) {
    sendJson(response, 200, api.whole(reply));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (const { name, data } of api.stream(reply)) {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    response.write(`${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`);
  }
  response.end();
}

function sendJson(response: ServerResponse, status: number, body: Said): void {
  response.writeHead(status, { 'content-type': 'application/json', ...(status === 429 ? { 'retry-after': '1' } : {}) });
  response.end(JSON.stringify(body));
}

const modelOf = (path: string, body: Said): string =>
  typeof body['model'] === 'string' ? body['model'] : (/\/models\/([^:/]+):/.exec(path)?.[1] ?? 'unknown');

function keyOf({ headers }: IncomingMessage, query: URLSearchParams): string {
  const key = headers['x-api-key'] ?? headers['x-goog-api-key'] ?? headers.authorization ?? query.get('key') ?? '';
  return String(key).replace(/^Bearer /, '');
}

/** The HTTP API behind a real port: requests are sent as bytes, and parsed by the transport. */
import { request as ask } from 'node:http';
import { Readable } from 'node:stream';
import type { HubTransport } from '../../../core/ports/hub-transport.ts';
import type { HttpApi } from '../../product/contracts/wire/http-api.contract.ts';
import { hubRecorder } from '../../product/contracts/wire/wire-recorders.ts';
import { openToAll } from '../../product/contracts/wire/wire-room.ts';
import { HOST, hubBench } from './hub-bench.ts';

/** Listens with the transport until the subject is closed. */
export async function apiOverHttp(transport: HubTransport): Promise<HttpApi> {
  const bench = await hubBench();
  const { port } = await transport.listen(openToAll({ http: bench.handle }), hubRecorder().events);
  return {
    ask: async (request) => {
      const { pathname, search } = new URL(request.url);
      return overHttp(port, `${pathname}${search}`, request, await request.text());
    },
    host: HOST,
    tokens: bench.tokens,
    commit: bench.commit,
    async close() {
      await bench.close();
      await transport.close(1001, 'the test is over');
    },
  };
}

/** With node:http, since `fetch` sets its own Host header. */
const overHttp = (port: number, path: string, { method, headers }: Request, body: string): Promise<Response> =>
  new Promise((resolve, reject) => {
    const asking = ask({ host: '127.0.0.1', port, path, method, headers: Object.fromEntries(headers), agent: false }, (got) => {
      const fields = new Headers();
      for (const [name, values] of Object.entries(got.headersDistinct)) for (const value of values ?? []) fields.append(name, value);
      resolve(new Response(Readable.toWeb(got) as ReadableStream<Uint8Array>, { status: got.statusCode ?? 0, headers: fields }));
    });
    asking.on('error', reject);
    asking.end(body);
  });

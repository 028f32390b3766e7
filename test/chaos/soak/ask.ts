/** HTTP of one hostile neighbour from its own address: every answer is counted, and an answer that no peer may get is a surprise. */
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Tallying } from '../../fuzz/hostile/tally.ts';

const WITHIN_MS = 30_000;
/** A flood of reads waits for its share of the hub's time, which may take longer than it is waited for. */
const UNANSWERED = 'ABORT_ERR';
/** How a hub ends a connection on which it has nothing more to send. */
const CUT = new Set(['ECONNRESET', 'EPIPE']);

export interface Sender {
  readonly port: number;
  readonly address: string;
  readonly token: string;
  readonly tally: Tallying;
}

export interface Asker {
  /** The status and the text; 0 if no answer came in time, or the hub ended the connection without one. */
  ask(method: 'GET' | 'POST', path: string, body?: string, type?: string): Promise<readonly [status: number, text: string]>;
  close(): void;
}

export function asker({ port, address, token, tally }: Sender): Asker {
  const agent = new Agent({ keepAlive: true, localAddress: address });
  const answered = async (method: string, path: string, body: string | undefined, type: string): Promise<readonly [number, string]> => {
    const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': type }) };
    const signal = AbortSignal.timeout(WITHIN_MS);
    const clientRequest = request({ host: '127.0.0.1', port, method, path, agent, headers, signal });
    const answer = once(clientRequest, 'response') as Promise<[IncomingMessage]>;
    clientRequest.end(body);
    const [response] = await answer;
    // A hub that has refused a body may disconnect before it is written.
    clientRequest.on(
      'error',
      (error: NodeJS.ErrnoException) => void (CUT.has(error.code ?? '') || tally.surprise(`${method} ${path}: ${error.message}`)),
    );
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return [response.statusCode ?? 0, Buffer.concat(chunks).toString()];
  };
  return {
    async ask(method, path, body, type = 'application/json') {
      try {
        const [status, text] = await answered(method, path, body, type);
        tally.status(status);
        if (status >= 500 && status !== 503) tally.surprise(`${status} for ${method} ${path}: ${text}`);
        return [status, text];
      } catch (error) {
        const { code = '' } = error as NodeJS.ErrnoException;
        if (code !== UNANSWERED && !CUT.has(code)) throw error;
        tally.status(code === UNANSWERED ? 'unanswered' : 'cut');
        return [0, ''];
      }
    },
    close: () => agent.destroy(),
  };
}

/** A raw socket; it ends when it is closed. */
export function bareSocket({ port, address, tally }: Pick<Sender, 'port' | 'address' | 'tally'>): Socket {
  const socket = connect({ host: '127.0.0.1', port, localAddress: address });
  tally.socket();
  socket.on(
    'error',
    (error: NodeJS.ErrnoException) => void (CUT.has(error.code ?? '') || tally.surprise(`a socket failed: ${error.message}`)),
  );
  return socket;
}

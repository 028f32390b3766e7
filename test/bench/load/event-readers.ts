/** Readers of the event stream, which read everything they are sent and keep nothing. */
import { connect, type Socket } from 'node:net';

export interface ReadersPlan {
  readonly port: number;
  readonly token: string;
  readonly count: number;
}

export interface Readers {
  /** What they have read so far, in total. */
  bytes(): number;
  close(): void;
}

/** Resolves once each of them was answered. */
export async function openReaders({ port, token, count }: ReadersPlan): Promise<Readers> {
  let bytes = 0;
  const sockets: Socket[] = [];
  const open = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('the hub closed the stream of a reader')));
      socket.once('data', (head: Buffer) => {
        const [line = ''] = head.toString('latin1').split('\r\n');
        if (line.startsWith('HTTP/1.1 200 ')) resolve();
        else reject(new Error(`a reader was answered with ${line}`));
      });
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
      socket.write(`GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    });
  for (let n = 0; n < count; n += 1) await open();
  return {
    bytes: () => bytes,
    close() {
      for (const socket of sockets)
        socket
          .removeAllListeners()
          .on('error', () => undefined)
          .destroy();
    },
  };
}

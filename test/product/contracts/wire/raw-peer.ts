/** A hand-written WebSocket client on TCP or TLS, which can do what a correct one never does. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { connectTo, type WireAddress } from './wire-address.ts';

export interface RawFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

export interface RawPeer {
  readonly socket: Socket;
  /** Resets the TCP connection. */
  reset(): void;
  /** Sends a frame; `fin: false` begins a fragmented message, which opcode 0 continues. */
  frame(opcode: number, payload: Buffer | string, options?: { readonly fin?: boolean; readonly masked?: boolean }): void;
  /** The code of the close frame received before the connection ended; null without one. */
  readonly closeCode: Promise<number | null>;
}

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** Connects and completes the handshake. Does not answer pings or closes by itself. */
export const rawPeer = async (address: WireAddress, headers: readonly string[] = []): Promise<RawPeer> => {
  const { socket, tcp } = connectTo(address, { allowHalfOpen: true });
  // The hub may cut the connection at any moment; the tests check that it ended.
  socket.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    for (const event of ['end', 'close']) socket.once(event, () => resolve());
  });
  let received = Buffer.alloc(0);
  const key = randomBytes(16).toString('base64');
  const head = ['GET /ws HTTP/1.1', `Host: 127.0.0.1:${address.port}`, 'Upgrade: websocket', 'Connection: Upgrade'];
  socket.write([...head, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, ...headers, '', ''].join('\r\n'));

  await new Promise<void>((resolve, reject) => {
    socket.once('close', () => reject(new Error(`The upgrade was refused: ${received.toString()}`)));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0 || !received.toString().startsWith('HTTP/1.1 101')) return;
      socket.removeAllListeners('data');
      received = received.subarray(end + 4);
      socket.on('data', (more: Buffer) => (received = Buffer.concat([received, more])));
      resolve();
    });
  });

  const closeCode = ended.then(() => {
    const close = framesOf(received).find((frame) => frame.opcode === CLOSE);
    return close === undefined || close.payload.length < 2 ? null : close.payload.readUInt16BE(0);
  });
  return {
    socket,
    reset: () => void tcp.resetAndDestroy(),
    frame: (opcode, payload, { fin = true, masked = true } = {}) => void socket.write(encode(opcode, Buffer.from(payload), fin, masked)),
    closeCode,
  };
};

const encode = (opcode: number, payload: Buffer, fin: boolean, masked: boolean): Buffer => {
  const first = (fin ? 0x80 : 0) | opcode;
  const head =
    payload.length < 126 ? Buffer.from([first, payload.length]) : Buffer.from([first, 126, payload.length >> 8, payload.length & 255]);
  if (!masked) return Buffer.concat([head, payload]);
  head[1] = (head[1] ?? 0) | 0x80;
  // A mask of zeros is a mask.
  return Buffer.concat([head, Buffer.alloc(4), payload]);
};

/** What a server sends: unmasked, lengths below 65,536. */
const framesOf = (bytes: Buffer): readonly RawFrame[] => {
  const frames: RawFrame[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const start = at + (short === 126 ? 4 : 2);
    const length = short === 126 ? bytes.readUInt16BE(at + 2) : short;
    frames.push({ opcode: (bytes[at] ?? 0) & 0x0f, payload: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
};

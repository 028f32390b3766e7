/**
 * A socket in the folder that its holder listens at. The system closes it at the moment the process is gone, however it went, and
 * whoever has the folder can ask it, also from another container, where processes of this one have other numbers or none.
 */
import { chmodSync, closeSync, constants, openSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

export interface LockSocket {
  close(): Promise<void>;
}

/** What the address of a socket may have on every system, bytes; the least is 104. */
const ADDRESS_BYTES_MAX = 100;

const OWNER_ONLY = 0o600;

/** Nobody listens there. Anything else, such as a queue that is full or an address that may not be used, counts as an answer. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK']);

/** Listens; null where the system has no such sockets, or none for a path that long. */
export async function listenAt(folder: string, name: string): Promise<LockSocket | null> {
  return await atAddress(folder, name, null, async (address) => {
    const server = createServer((asking) => asking.destroy());
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(address, resolve);
    });
    chmodSync(address, OWNER_ONLY);
    return { close: () => new Promise<void>((resolve) => server.close(() => resolve())) };
  });
}

/** Whether somebody listens there, who may be stopped or busy. */
export async function isListening(folder: string, name: string): Promise<boolean> {
  return await atAddress(folder, name, false, (address) => {
    const asking = connect(address);
    return new Promise<boolean>((resolve) => {
      asking.once('connect', () => resolve(true));
      asking.once('error', (error: NodeJS.ErrnoException) => resolve(!NOBODY.has(error.code ?? '')));
    }).finally(() => asking.destroy());
  });
}

/** A path that is too long for an address is walked from the open folder. */
async function atAddress<T>(folder: string, name: string, without: T, work: (address: string) => Promise<T>): Promise<T> {
  const path = join(folder, name);
  if (process.platform === 'win32') return without;
  if (Buffer.byteLength(path) <= ADDRESS_BYTES_MAX) return await work(path);
  if (process.platform !== 'linux') return without;
  const opened = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await work(`/proc/self/fd/${opened}/${name}`);
  } finally {
    closeSync(opened);
  }
}

/**
 * A socket in the folder on which the lock's holder listens. The system closes it when the process dies, and it can be
 * reached from another container that shares the folder, where pids differ.
 */
import { chmodSync, closeSync, constants, openSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

export interface LockSocket {
  close(): Promise<void>;
}

/** Longest socket path that every system supports, bytes; the lowest limit is 104. */
const ADDRESS_BYTES_MAX = 100;

const OWNER_ONLY = 0o600;

/** Nobody is listening. Any other error, such as a full backlog or a lack of permission, counts as an answer. */
const NO_LISTENER = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK']);

/** Null if the system has no such sockets, or cannot bind a path this long. */
export async function listenAt(folder: string, name: string, platform?: string): Promise<LockSocket | null> {
  return await atAddress({ folder, name, platform }, null, async (address) => {
    const server = createServer((client) => client.destroy());
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(address, resolve);
    });
    chmodSync(address, OWNER_ONLY);
    return { close: () => new Promise<void>((resolve) => server.close(() => resolve())) };
  });
}

/** Whether a process is listening, even if it is stopped or busy. */
export async function isListening(folder: string, name: string, platform?: string): Promise<boolean> {
  return await atAddress({ folder, name, platform }, false, (address) => {
    const client = connect(address);
    return new Promise<boolean>((resolve) => {
      client.once('connect', () => resolve(true));
      client.once('error', (error: NodeJS.ErrnoException) => resolve(!NO_LISTENER.has(error.code ?? '')));
    }).finally(() => client.destroy());
  });
}

interface Place {
  readonly folder: string;
  readonly name: string;
  /** Default: the current platform. */
  readonly platform?: string | undefined;
}

/** A path too long for a socket address is reached through the open folder, on Linux. */
async function atAddress<T>(place: Place, without: T, work: (address: string) => Promise<T>): Promise<T> {
  const { folder, name, platform = process.platform } = place;
  const path = join(folder, name);
  if (platform === 'win32') return without;
  if (Buffer.byteLength(path) <= ADDRESS_BYTES_MAX) return await work(path);
  if (platform !== 'linux') return without;
  const opened = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await work(`/proc/self/fd/${opened}/${name}`);
  } finally {
    closeSync(opened);
  }
}

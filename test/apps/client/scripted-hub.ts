/** A scripted hub for tests of the client: where it listens, and its event streams. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import type { Call, ScriptedApp } from '../cli/scripted-app.ts';

export async function listening(t: Test, app: ScriptedApp, port = 0): Promise<{ url: string; port: number; server: Server }> {
  const server = await app.listen(port);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const taken = (server.address() as AddressInfo).port;
  return { url: `http://127.0.0.1:${taken}`, port: taken, server };
}

export const streamOf = (c: Call, ...parts: string[]): Response => c.body(parts.join(''), 200, { 'content-type': 'text/event-stream' });

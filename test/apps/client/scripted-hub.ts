/** A scripted hub for tests of the client: where it listens, and its event streams. */
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import type { Call, ScriptedApp } from '../cli/scripted-app.ts';

export async function listening(t: Test, app: ScriptedApp): Promise<{ url: string }> {
  const server = await app.listen(0);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

export const streamOf = (c: Call, ...parts: string[]): Response => c.body(parts.join(''), 200, { 'content-type': 'text/event-stream' });

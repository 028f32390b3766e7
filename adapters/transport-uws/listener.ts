/** One listening port: its uWebSockets.js app, the sockets and the HTTP that it carries, and their end. */
import { refusalLog } from '../../core/application/refusal-log.ts';
import type { Listener, Opening } from '../kit/listening.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import { httpBridge } from './http-bridge.ts';
import { listenNative } from './listen-native.ts';
import type { UwsSettings } from './settings.ts';
import { carrySockets } from './sockets.ts';
import type { UwsPackage } from './uws-package.ts';

/** How long peers may take to answer our close before what is left of them is cut, milliseconds. */
const GOODBYE_MS = 200;

export interface ListenerParts extends Opening {
  readonly settings: UwsSettings;
  readonly native: UwsPackage;
  readonly log: Log;
}

/** Listens, or fails with `AC_PORT_BUSY` or `AC_LISTEN` and leaves nothing open. */
export const openListener = async (parts: ListenerParts): Promise<Listener> => {
  const { options, isRefusing, settings, native, log } = parts;
  const noteRefusal = refusalLog({ log, clock: { monotonicMs: () => performance.now() } });
  const note = (what: string, fields: LogFields): void => noteRefusal(what, `Refused at the port: ${what}.`, fields);
  const connectionsMax = options.socketsMax + settings.httpConnectionsMax;
  let connections = 0;

  const app = native.App();
  // Tells of each connection that comes, and of the end of those that did not become sockets.
  app.filter((response, change) => {
    connections += Number(change);
    if (Number(change) < 0 || connections <= connectionsMax) return;
    note('connections full', {});
    response.close();
  });
  const sockets = carrySockets(app, { ...parts, note, onClosed: () => (connections -= 1) });
  const http = httpBridge({ http: options.http, isRefusing, log });
  app.any('/*', http.handle);

  const listening = await listenNative(app, options);

  const closeAll = async (code: number, reason: string): Promise<void> => {
    native.us_listen_socket_close(listening);
    const deadline = timeout(settings.closeWithinMs);
    const hadSockets = await sockets.closeAll(code, reason);
    // It does not tell when a closed socket's peer has answered.
    const goodbye = timeout(hadSockets ? GOODBYE_MS : 0);
    await Promise.race([Promise.all([http.idle(), goodbye.over]), deadline.over]);
    deadline.cancel();
    goodbye.cancel();
    app.close();
  };
  let closing: Promise<void> | null = null;
  return {
    port: native.us_socket_local_port(listening),
    close: (code, reason) => (closing ??= closeAll(code, reason)),
  };
};

const timeout = (ms: number): { readonly over: Promise<void>; cancel(): void } => {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  return { over, cancel: () => clearTimeout(timer) };
};

/** A listening port: its uWebSockets.js app, its WebSockets and HTTP requests, and their closing. */
import { refusalLog } from '../../core/application/refusal-log.ts';
import { listenFailure } from '../kit/listen-failure.ts';
import type { OpenPort, PortContext } from '../kit/create-transport.ts';
import type { PortCertificate } from '../../core/ports/hub-transport.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import { httpBridge } from './http-bridge.ts';
import { listenNative } from './listen-native.ts';
import type { UwsSettings } from './settings.ts';
import { serveSockets } from './sockets.ts';
import type { UwsApp, UwsPackage } from './uws-package.ts';

/** How long peers may take to answer our close frame before their connections are destroyed, milliseconds. */
const CLOSE_ANSWER_MS = 200;

export interface PortDeps extends PortContext {
  readonly settings: UwsSettings;
  readonly native: UwsPackage;
  readonly log: Log;
  readonly certificate?: PortCertificate | undefined;
}

/** Listens. Rejects with `AC_PORT_BUSY` or `AC_LISTEN`, and then leaves nothing open. */
export const openPort = async (deps: PortDeps): Promise<OpenPort> => {
  const { options, isRefusing, settings, native, log } = deps;
  const noteRefusal = refusalLog({ log, clock: { monotonicMs: () => performance.now() } });
  const note = (what: string, fields: LogFields): void => noteRefusal(what, `Refused at the port: ${what}.`, fields);
  const connectionsMax = options.socketsMax + settings.httpConnectionsMax;
  let connections = 0;

  const app = appOf(deps);
  // Called with 1 for each new connection, and with -1 for the end of those that did not become WebSockets.
  app.filter((response, change) => {
    connections += Number(change);
    if (Number(change) < 0 || connections <= connectionsMax) return;
    note('connections full', {});
    response.close();
  });
  const sockets = serveSockets(app, { ...deps, note, onClosed: () => (connections -= 1) });
  const http = httpBridge({ http: options.http, isRefusing, log });
  app.any('/*', http.handle);

  const listening = await listenNative(app, options);
  const forget = deps.certificate?.onRenewed(() => {
    const fields = { cert_file: deps.certificate?.certFile };
    log.warn('the certificate was renewed, but uws() serves the old one until it is restarted: restart the hub, or use ws()', fields);
    return false;
  });

  const closeAll = async (code: number, reason: string): Promise<void> => {
    forget?.();
    native.us_listen_socket_close(listening);
    const deadline = timeout(settings.closeWithinMs);
    const hadSockets = await sockets.closeAll(code, reason);
    // uWebSockets.js does not report when a peer has answered our close frame.
    const answers = timeout(hadSockets ? CLOSE_ANSWER_MS : 0);
    await Promise.race([Promise.all([http.idle(), answers.over]), deadline.over]);
    deadline.cancel();
    answers.cancel();
    app.close();
  };
  let closing: Promise<void> | null = null;
  return {
    port: native.us_socket_local_port(listening),
    close: (code, reason) => (closing ??= closeAll(code, reason)),
  };
};

function appOf({ native, certificate, options: { host, port } }: PortDeps): UwsApp {
  if (certificate === undefined) return native.App();
  const { certFile, keyFile } = certificate;
  try {
    return native.SSLApp({ cert_file_name: certFile, key_file_name: keyFile });
  } catch (cause) {
    throw listenFailure(new Error(`uWebSockets.js cannot use the certificate ${certFile} with the key ${keyFile}`, { cause }), {
      host,
      port,
    });
  }
}

const timeout = (ms: number): { readonly over: Promise<void>; cancel(): void } => {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  return { over, cancel: () => clearTimeout(timer) };
};

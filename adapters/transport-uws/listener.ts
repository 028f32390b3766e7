/**
 * A listening port: its uWebSockets.js apps, its WebSockets and HTTP requests, and their closing.
 *
 * An app keeps the certificate that it was created with. For a renewed one, another app listens on the same port, and the earlier one
 * stops listening but keeps its connections.
 */
import { refusalLog } from '../../core/application/refusal-log.ts';
import { listenFailure } from '../kit/listen-failure.ts';
import type { OpenPort, PortContext } from '../kit/create-transport.ts';
import type { PortCertificate } from '../../core/ports/hub-transport.ts';
import type { Log, LogFields } from '../../core/ports/log.ts';
import { httpBridge } from './http-bridge.ts';
import { listenNative } from './listen-native.ts';
import type { UwsSettings } from './settings.ts';
import { serveSockets } from './sockets.ts';
import type { UwsApp, UwsListenSocket, UwsPackage } from './uws-package.ts';

/** How long peers may take to answer our close frame before their connections are destroyed, milliseconds. */
const CLOSE_ANSWER_MS = 200;

/** Each renewal of the certificate needs another app, about 30 KiB that uWebSockets.js does not free. */
const RENEWALS_MAX = 1_000;

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

  const sockets = serveSockets({ ...deps, note, onClosed: () => (connections -= 1) });
  const http = httpBridge({ http: options.http, isRefusing, log });
  /** Creates an app with the certificate that is in its files now. All apps of the port share its limits. */
  const newApp = (): UwsApp => {
    const app = appOf(deps);
    // Called with 1 for each new connection, and with -1 when one ends that did not become a WebSocket.
    app.filter((response, change) => {
      connections += Number(change);
      if (Number(change) < 0 || connections - sockets.waiting <= connectionsMax) return;
      note('connections full', {});
      response.close();
    });
    sockets.serve(app);
    app.any('/*', http.handle);
    return app;
  };

  const first = newApp();
  const { socket, listenToo } = await listenNative(first, options);
  const port = native.us_socket_local_port(socket);
  const apps = [first];
  let listening = socket;
  /** Listen sockets of earlier apps that are not closed yet. */
  const retired = new Set<UwsListenSocket>();
  const stopListening = (before: UwsListenSocket): void => {
    if (retired.delete(before)) native.us_listen_socket_close(before);
  };
  const forget = deps.certificate?.onRenewed(() => {
    const fields = { cert_file: deps.certificate?.certFile };
    if (apps.length > RENEWALS_MAX) {
      log.warn(`the certificate was renewed ${RENEWALS_MAX} times; uws() serves another one only after a restart of the hub`, fields);
      return false;
    }
    try {
      const app = newApp();
      apps.push(app);
      const before = listening;
      listening = listenToo(app);
      retired.add(before);
      // Its open connections continue. Those still waiting to be accepted would be reset, so they get a whole turn of the event loop first.
      setImmediate(() => setImmediate(() => stopListening(before)));
      return true;
    } catch (error) {
      log.warn('uws() cannot serve the renewed certificate and keeps the old one: restart the hub', { ...fields, error });
      return false;
    }
  });

  const closeAll = async (code: number, reason: string): Promise<void> => {
    forget?.();
    for (const before of retired) stopListening(before);
    native.us_listen_socket_close(listening);
    const deadline = timeout(settings.closeWithinMs);
    const hadSockets = await sockets.closeAll(code, reason);
    // uWebSockets.js does not report when a peer has answered our close frame.
    const answers = timeout(hadSockets ? CLOSE_ANSWER_MS : 0);
    await Promise.race([Promise.all([http.idle(), answers.over]), deadline.over]);
    deadline.cancel();
    answers.cancel();
    for (const app of apps) app.close();
  };
  let closing: Promise<void> | null = null;
  return {
    port,
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

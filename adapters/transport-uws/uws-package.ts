/** The native package, loaded only by a hub that uses it. */
import type * as Uws from 'uWebSockets.js';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';

/** `listen` with host, port and options, which is missing in the types of the package. */
export interface UwsApp extends Omit<Uws.TemplatedApp, 'listen'> {
  listen(host: string, port: number, options: number, done: (socket: Uws.us_listen_socket | false) => void): unknown;
}

export interface UwsPackage {
  App(): UwsApp;
  /** Serves TLS 1.2 and later. Throws if it cannot use the files. */
  SSLApp(options: { readonly cert_file_name: string; readonly key_file_name: string }): UwsApp;
  us_listen_socket_close(socket: UwsListenSocket): void;
  us_socket_local_port(socket: UwsListenSocket): number;
}

export type UwsListenSocket = Uws.us_listen_socket;
export type UwsSocket = Uws.WebSocket<unknown>;
export type WebSocketBehavior = Uws.WebSocketBehavior<unknown>;
export type UwsRequest = Uws.HttpRequest;
export type UwsResponse = Uws.HttpResponse;

/**
 * Imports the optional package. Rejects with `AC_PACKAGE_MISSING` if it is not installed, or has no binary for this system and this
 * version of Node. `load` is for tests.
 */
export const loadUws = async (load: () => Promise<unknown> = () => import('uWebSockets.js')): Promise<UwsPackage> => {
  try {
    return ((await load()) as { readonly default: UwsPackage }).default;
  } catch (thrown) {
    throw new AgentcomError(
      'AC_PACKAGE_MISSING',
      `Cannot use transport "uws": package uWebSockets.js 20 cannot be loaded on Node ${process.versions.node}. It is not in the npm registry. ` +
        'Run: npm install uNetworking/uWebSockets.js#v20.52.0 (docs/configuration.md, "uWebSockets.js"). Or choose ws().',
      { cause: thrown },
    );
  }
};

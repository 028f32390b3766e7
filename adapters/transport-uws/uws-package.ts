/** The native package, loaded only by a hub that uses it. */
import type * as Uws from 'uWebSockets.js';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';

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
 * version of Node. `load` and `platform` are for tests.
 */
export const loadUws = async (
  load: () => Promise<unknown> = () => import('uWebSockets.js'),
  platform: string = process.platform,
): Promise<UwsPackage> => {
  try {
    return ((await load()) as { readonly default: UwsPackage }).default;
  } catch (thrown) {
    const [why = ''] = messageOf(thrown).split('\n');
    const isInstalled = !/^Cannot find (package|module) /.test(why);
    const found = isInstalled
      ? `package uWebSockets.js has no binary for Node ${process.versions.node} on ${platform} ${process.arch}: ${why} ` +
        'Install a release that lists this version of Node, or run the hub on a version that it lists (docs/configuration.md, "uWebSockets.js").'
      : 'package uWebSockets.js 20 is not installed. It is not in the npm registry. ' +
        'Run: npm install uNetworking/uWebSockets.js#v20.52.0 (docs/configuration.md, "uWebSockets.js").';
    throw new AgentcomError('AC_PACKAGE_MISSING', `Cannot use transport "uws": ${found} Or choose ws().`, { cause: thrown });
  }
};

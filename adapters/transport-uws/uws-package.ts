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
    throw new AgentcomError('AC_PACKAGE_MISSING', `Cannot use transport "uws": ${whyNot(messageOf(thrown), platform)} Or choose ws().`, {
      cause: thrown,
    });
  }
};

/** The message of the package begins with the versions of Node that it supports, and ends with the error of loading its binary. */
const whyNot = (message: string, platform: string): string => {
  const [first = '', ...more] = message.split('\n').filter((line) => line !== '');
  if (/^Cannot find (package|module) /.test(first)) {
    return (
      'package uWebSockets.js 20 is not installed. It is not in the npm registry. ' +
      'Run: npm install uNetworking/uWebSockets.js#v20.52.0 (docs/configuration.md, "uWebSockets.js").'
    );
  }
  const system = `Node ${process.versions.node} on ${platform} ${process.arch}`;
  const failure = more.find((line) => /^Error: (?!Cannot find module )/.test(line))?.slice('Error: '.length);
  return failure === undefined
    ? `package uWebSockets.js has no binary for ${system}: ${first} ` +
        'Install a release that lists this version of Node, or run the hub on a version that it lists (docs/configuration.md, "uWebSockets.js").'
    : `package uWebSockets.js cannot load its binary for ${system}: ${failure}. ` +
        'Use a system with the libraries that it names, such as a newer glibc, or another release of the package (docs/configuration.md, "uWebSockets.js").';
};

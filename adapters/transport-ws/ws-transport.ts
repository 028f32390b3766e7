/** The hub's WebSocket and HTTP server, on `ws` and node:http. */
import { createTransport } from '../kit/create-transport.ts';
import type { HubTransport, PortCertificate } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { settingsOf, WS_CAPABILITIES, type WsOptions } from './settings.ts';
import { openPort } from './listener.ts';

export interface WsTransportDeps {
  readonly log: Log;
  readonly options?: WsOptions | undefined;
  /** Without it, plain HTTP is served. */
  readonly certificate?: PortCertificate | undefined;
}

/** The transport of `ws()`, on the package `ws`. Opens nothing until `listen`. */
export const wsTransport = ({ log, options = {}, certificate }: WsTransportDeps): HubTransport => {
  const settings = settingsOf(options);
  return createTransport({
    name: 'ws',
    capabilities: WS_CAPABILITIES,
    openPort: (context) => openPort({ ...context, settings, log, certificate }),
  });
};

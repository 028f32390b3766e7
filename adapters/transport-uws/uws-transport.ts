/** The hub's WebSocket and HTTP server, on uWebSockets.js. */
import { createTransport } from '../kit/create-transport.ts';
import type { HubTransport, PortCertificate } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { openPort } from './listener.ts';
import { settingsOf, UWS_CAPABILITIES, type UwsOptions } from './settings.ts';
import type { UwsPackage } from './uws-package.ts';

export interface UwsTransportDeps {
  readonly log: Log;
  readonly native: UwsPackage;
  readonly options?: UwsOptions | undefined;
  /** Without it, plain HTTP is served. Its files are read when it listens, and again after each renewal. */
  readonly certificate?: PortCertificate | undefined;
}

export const uwsTransport = ({ log, native, options = {}, certificate }: UwsTransportDeps): HubTransport => {
  const settings = settingsOf(options);
  return createTransport({
    name: 'uws',
    capabilities: UWS_CAPABILITIES,
    openPort: (context) => openPort({ ...context, settings, native, log, certificate }),
  });
};

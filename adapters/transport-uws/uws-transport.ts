/** The hub's end of the wire on uWebSockets.js. */
import { listeningTransport } from '../kit/listening.ts';
import type { HubTransport } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { openListener } from './listener.ts';
import { settingsOf, type UwsOptions } from './settings.ts';
import type { UwsPackage } from './uws-package.ts';

export interface UwsTransportParts {
  readonly log: Log;
  readonly native: UwsPackage;
  readonly options?: UwsOptions | undefined;
}

/**
 * A `HubTransport` that opens nothing until `listen`. The sockets of one port and its HTTP connections are bounded
 * together: over `socketsMax` an upgrade gets 503, over that and `httpConnectionsMax` a connection is dropped. After
 * `refuseNew` both upgrades and requests get 503. `close` cuts, after `closeWithinMs`, what did not end by itself.
 */
export const uwsTransport = ({ log, native, options = {} }: UwsTransportParts): HubTransport => {
  const settings = settingsOf(options);
  return listeningTransport({
    name: 'uws',
    // A frame over the limit makes it cut the connection without a close frame.
    capabilities: { tooLargeCode: 1006, tcp: true, checksMask: false },
    open: (opening) => openListener({ ...opening, settings, native, log }),
  });
};

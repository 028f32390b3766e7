/** The hub's end of the wire on `ws` and node:http. */
import { listeningTransport } from '../kit/listening.ts';
import type { HubTransport } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { settingsOf, type WsOptions } from './settings.ts';
import { openListener } from './listener.ts';

export interface WsTransportParts {
  readonly log: Log;
  readonly options?: WsOptions | undefined;
}

/**
 * A `HubTransport` that opens nothing until `listen`. The sockets of one port and its HTTP connections are bounded
 * together: over `socketsMax` an upgrade gets 503, over that and `httpConnectionsMax` a connection is dropped. After
 * `refuseNew` both upgrades and requests get 503. `close` cuts, after `closeWithinMs`, what did not end by itself.
 */
export const wsTransport = ({ log, options = {} }: WsTransportParts): HubTransport => {
  const settings = settingsOf(options);
  return listeningTransport({
    name: 'ws',
    capabilities: { tooLargeCode: 1009, tcp: true, checksMask: true },
    open: (opening) => openListener({ ...opening, settings, log }),
  });
};

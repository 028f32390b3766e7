/**
 * The hub's end of the wire on `ws` and node:http. Idle until `listen`, then starting, open, closing and idle again. A
 * `close` while it starts waits for the start and undoes it.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { HubTransport } from '../../core/ports/hub-transport.ts';
import type { Log } from '../../core/ports/log.ts';
import { settingsOf, type WsOptions } from './settings.ts';
import { openListener, type Listener } from './listener.ts';

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
  let listener: Promise<Listener> | null = null;
  let isRefusing = false;
  let lastId = 0;
  const nextId = (): number => (lastId += 1);

  return {
    name: 'ws',
    // ws tells what waits in a socket, not when it has drained.
    capabilities: { backpressure: false, tooLargeCode: 1009 },

    async listen(listenOptions, events) {
      if (listener !== null) {
        throw new AgentcomError('AC_INTERNAL', 'The ws transport was told to listen while it listens. Close it first.');
      }
      isRefusing = false;
      const started = openListener({ options: listenOptions, events, settings, nextId, isRefusing: () => isRefusing, log });
      listener = started;
      try {
        return { port: (await started).port };
      } catch (thrown) {
        if (listener === started) listener = null;
        throw thrown;
      }
    },

    refuseNew() {
      isRefusing = true;
    },

    async close(code, reason) {
      const started = listener;
      if (started === null) return;
      isRefusing = true;
      // A start that failed has left nothing open, and `listen` has told.
      const opened = await started.catch(() => null);
      await opened?.close(code, reason);
      if (listener === started) listener = null;
    },
  };
};

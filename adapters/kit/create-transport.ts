/**
 * The lifecycle of a transport around the port that it opens: idle until `listen`, then starting, open, closing and idle again.
 * A `close` while it starts waits for the start, and then closes the port.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { HubTransport, ListenOptions, TransportEvents } from '../../core/ports/hub-transport.ts';

/** A listening port. */
export interface OpenPort {
  readonly port: number;
  /** Resolves when the port is free and every `onGone` was called. A second call returns the same promise. */
  close(code: number, reason: string): Promise<void>;
}

/** What `openPort` needs. */
export interface PortContext {
  readonly options: ListenOptions;
  readonly events: TransportEvents;
  /** A connection id that was never used before. */
  readonly nextId: () => number;
  /** Whether new upgrades and requests are refused: after `refuseNew`, and while the port closes. */
  readonly isRefusing: () => boolean;
}

export interface TransportParts extends Pick<HubTransport, 'name' | 'capabilities'> {
  /** Listens. Rejects with `AC_PORT_BUSY` or `AC_LISTEN`, and then leaves nothing open. */
  readonly openPort: (context: PortContext) => Promise<OpenPort>;
}

/** A `HubTransport` that opens nothing until `listen`. */
export function createTransport({ name, capabilities, openPort }: TransportParts): HubTransport {
  let opening: Promise<OpenPort> | null = null;
  let isRefusing = false;
  let lastId = 0;

  return {
    name,
    capabilities,

    async listen(options, events) {
      if (opening !== null) {
        throw new AgentcomError('AC_INTERNAL', `The ${name} transport is already listening. Close it first.`);
      }
      isRefusing = false;
      const started = openPort({ options, events, nextId: () => (lastId += 1), isRefusing: () => isRefusing });
      opening = started;
      try {
        return { port: (await started).port };
      } catch (thrown) {
        if (opening === started) opening = null;
        throw thrown;
      }
    },

    refuseNew() {
      isRefusing = true;
    },

    async close(code, reason) {
      const started = opening;
      if (started === null) return;
      isRefusing = true;
      // A start that failed has left nothing open, and `listen` has rejected with the error.
      const opened = await started.catch(() => null);
      await opened?.close(code, reason);
      if (opening === started) opening = null;
    },
  };
}

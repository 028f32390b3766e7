/**
 * The life of a transport around the port that it opens: idle until `listen`, then starting, open, closing and idle again.
 * A `close` while it starts waits for the start and undoes it.
 */
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { HubTransport, ListenOptions, TransportEvents } from '../../core/ports/hub-transport.ts';

/** One open port. */
export interface Listener {
  readonly port: number;
  /** Answers when the port is free and every `onGone` was called; again, the same answer. */
  close(code: number, reason: string): Promise<void>;
}

/** What the port is opened with. */
export interface Opening {
  readonly options: ListenOptions;
  readonly events: TransportEvents;
  /** A number for each connection, never the same again. */
  readonly nextId: () => number;
  /** Whether new sockets and requests are turned away by now. */
  readonly isRefusing: () => boolean;
}

export interface ListeningParts extends Pick<HubTransport, 'name' | 'capabilities'> {
  /** Listens, or fails with `AC_PORT_BUSY` or `AC_LISTEN` and leaves nothing open. */
  readonly open: (opening: Opening) => Promise<Listener>;
}

/** A `HubTransport` that opens nothing until `listen`. */
export function listeningTransport({ name, capabilities, open }: ListeningParts): HubTransport {
  let listener: Promise<Listener> | null = null;
  let isRefusing = false;
  let lastId = 0;

  return {
    name,
    capabilities,

    async listen(options, events) {
      if (listener !== null) {
        throw new AgentcomError('AC_INTERNAL', `The ${name} transport is already listening. Close it first.`);
      }
      isRefusing = false;
      const started = open({ options, events, nextId: () => (lastId += 1), isRefusing: () => isRefusing });
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
}

/** One line when an agent connects and one when it disconnects, at level info. */
import type { Clock } from '../../../ports/clock.ts';
import type { HubConnection } from '../../../ports/hub-transport.ts';
import type { Log } from '../../../ports/log.ts';
import { CLOSE_CODES } from '../../../protocol/close-codes.ts';
import type { HubSession } from './hub-session.ts';

/** By close code, why a connection ended that was ended neither by the hub nor by a fault of the peer. */
const ENDS: Readonly<Record<number, string>> = {
  1000: 'the agent disconnected',
  [CLOSE_CODES.leaving]: 'the agent disconnected',
  [CLOSE_CODES.abnormal]: 'the connection was lost',
};

export interface ConnectionLog {
  connected(session: HubSession): void;
  /** `because`: why the hub or the transport closed it; undefined: neither did. A no-op for a session that never connected. */
  disconnected(session: HubSession, code: number, because: string | undefined): void;
}

export function connectionLog(deps: {
  readonly log: Log;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly clientOf: (connection: HubConnection) => string;
}): ConnectionLog {
  const { log, clock, clientOf } = deps;
  /** When each session connected, by the monotonic clock. */
  const sinceMs = new WeakMap<HubSession, number>();
  const nameOf = (session: HubSession) => ({
    agent_id: session.agentId,
    session: session.session,
    address: clientOf(session.connection),
  });
  return {
    connected(session) {
      sinceMs.set(session, clock.monotonicMs());
      log.info('an agent connected', { ...nameOf(session), protocol_version: session.version, token_id: session.tokenId });
    },
    disconnected(session, code, because) {
      const fromMs = sinceMs.get(session);
      if (fromMs === undefined) return;
      const connectedMs = Math.round(clock.monotonicMs() - fromMs);
      log.info('an agent disconnected', {
        ...nameOf(session),
        code,
        because: because ?? ENDS[code] ?? 'closed',
        connected_ms: connectedMs,
      });
    },
  };
}

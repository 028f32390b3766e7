/** Leaves the answer to an upgrade to the hub, which may let it wait. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ListenOptions, PendingUpgrade } from '../../core/ports/hub-transport.ts';
import { WEBSOCKET_KEY } from '../kit/upgrade.ts';
import { refuseUpgrade } from './refuse-upgrade.ts';
import type { WsSettings } from './settings.ts';

export interface Upgrading extends Pick<PendingUpgrade, 'remoteAddress' | 'forwardedFor'> {
  readonly stream: Duplex;
  /** Whether the peer has already sent something after its request. */
  readonly hasMore: boolean;
  /** Accepts the upgrade. */
  readonly accept: () => void;
}

/** Returns whether it waits. */
export function admitUpgrade(
  { stream, hasMore, accept, remoteAddress, forwardedFor }: Upgrading,
  admit: Exclude<ListenOptions['admit'], undefined>,
  settings: WsSettings,
): boolean {
  let isOver = false as boolean;
  const end = (): boolean => {
    if (isOver) return false;
    isOver = true;
    stream.off('data', gone).off('end', gone).off('error', gone).off('close', gone);
    return true;
  };
  const leave = admit({
    remoteAddress,
    forwardedFor,
    open: () => void (end() && accept()),
    refuse: (reason) => void (end() && refuseUpgrade(stream, { status: 503, reason }, settings)),
  });
  function gone(): void {
    if (!end()) return;
    leave();
    stream.destroy();
  }
  if (isOver) return false;
  // A client may send nothing before the answer (RFC 6455, section 4.1); whatever it sends would be kept in memory.
  stream.on('data', gone).on('end', gone).on('error', gone).on('close', gone);
  if (hasMore) gone();
  return true;
}

/** Whether ws would accept it. */
export const isComplete = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && [8, 13].includes(Number(headers['sec-websocket-version'])) && WEBSOCKET_KEY.test(headers['sec-websocket-key'] ?? '');

/** Drops the headers that ws does not need. Those of thousands of upgrades that wait may take 16 KiB each. */
export function keepOnlyUpgrade(request: IncomingMessage): void {
  const { headers } = request;
  const kept = ['upgrade', 'sec-websocket-key', 'sec-websocket-version', 'sec-websocket-protocol'];
  request.headers = Object.fromEntries(kept.map((name) => [name, headers[name]]));
  request.rawHeaders = [];
}

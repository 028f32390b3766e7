/** Leaves the answer to an upgrade to the hub, which may let it wait. */
import type { Duplex } from 'node:stream';
import type { ListenOptions, PendingUpgrade } from '../../core/ports/hub-transport.ts';
import { refuseUpgrade } from './refuse-upgrade.ts';

export interface Upgrading extends Pick<PendingUpgrade, 'remoteAddress' | 'forwardedFor'> {
  readonly stream: Duplex;
  /** What the peer has already sent after its request. */
  readonly head: Buffer;
  /** Accepts the upgrade. */
  readonly accept: () => void;
}

/** Returns whether it waits. */
export function admitUpgrade(
  { stream, head, accept, remoteAddress, forwardedFor }: Upgrading,
  admit: Exclude<ListenOptions['admit'], undefined>,
): boolean {
  let [isOver, isWaiting] = [false, false];
  const end = (): boolean => {
    if (isOver) return false;
    isOver = true;
    if (isWaiting) stream.off('data', gone).off('end', gone).off('error', gone).off('close', gone);
    return true;
  };
  const leave = admit({
    remoteAddress,
    forwardedFor,
    open: () => void (end() && accept()),
    refuse: (reason) => void (end() && refuseUpgrade(stream, { status: 503, reason })),
  });
  function gone(): void {
    if (!end()) return;
    leave();
    stream.destroy();
  }
  isWaiting = !isOver;
  if (!isWaiting) return false;
  // A client may send nothing before the answer (RFC 6455, section 4.1); whatever it sends would be kept in memory.
  stream.on('data', gone).on('end', gone).on('error', gone).on('close', gone);
  if (head.length > 0) gone();
  return true;
}

/** One connection as a hub on the memory wire sees it: open, closing once it was closed here, gone. */
import { utf8Bytes } from '../../../../core/domain/encoded-text.ts';
import type { Timer } from '../../../../core/ports/clock.ts';
import type { HubConnection, ListenOptions, TransportEvents } from '../../../../core/ports/hub-transport.ts';
import type { HubEnd, Network, Upgrade } from './memory-network.ts';

const NO_CLOSE_FRAME = 1006;
const TOO_LARGE = 1009;
const TOO_SLOW = 1013;
/** How long a peer may take to answer a close. */
const CLOSE_MS = 1_000;

export interface OpenHubEnd extends HubEnd {
  readonly connection: HubConnection;
  /** Ends it without telling this hub; the link notices. */
  vanish(): void;
}

export interface MemoryConnectionParts {
  readonly network: Network;
  readonly upgrade: Upgrade;
  readonly options: Pick<ListenOptions, 'frameBytesMax' | 'socketQueueBytesMax' | 'unidentifiedBytesMax'>;
  readonly events: TransportEvents;
  /** Called when it is gone, before `onGone`. */
  readonly forget: () => void;
}

export const memoryConnection = ({ network, upgrade, options, events, forget }: MemoryConnectionParts): OpenHubEnd => {
  const { connection: id, identity, down, link } = upgrade;
  let state: 'open' | 'closing' | 'gone' = 'open';
  let closedWith = NO_CLOSE_FRAME;
  let patience: Timer | null = null;
  let unidentifiedBytes: number | null = 0;

  const leave = network.join(id, () => end.lost());
  const stop = (): void => {
    state = 'gone';
    patience?.cancel();
    leave();
    forget();
  };
  const reportGone = (code: number): void => {
    if (state === 'gone') return;
    stop();
    events.onGone(connection, code);
  };
  const close = (code: number, reason: string): void => {
    if (state !== 'open') return;
    state = 'closing';
    closedWith = code;
    patience = network.clock.after(CLOSE_MS, () => {
      down.cross('gone', '', () => link.lost('the hub cut the connection'));
      reportGone(code);
    });
    down.cross('close', '', () => link.closed(code, reason));
  };

  const connection: HubConnection = {
    id,
    remoteAddress: identity.remoteAddress ?? '127.0.0.1',
    forwardedFor: identity.forwardedFor ?? null,
    send(text) {
      if (state !== 'open') return false;
      if (down.waitingBytes > options.socketQueueBytesMax) {
        close(TOO_SLOW, 'the peer reads too slowly');
        return false;
      }
      down.cross('frame', text, () => link.frame(text));
      return true;
    },
    ping() {
      if (state === 'open') down.cross('ping', '', () => link.ping());
    },
    identified: () => (unidentifiedBytes = null),
    bufferedBytes: () => down.waitingBytes,
    close,
  };

  const end: OpenHubEnd = {
    connection,
    frame(text) {
      if (state !== 'open') return;
      if (unidentifiedBytes !== null) unidentifiedBytes += utf8Bytes(text);
      if (utf8Bytes(text) > options.frameBytesMax) close(TOO_LARGE, 'frame too large');
      else if (unidentifiedBytes !== null && unidentifiedBytes > options.unidentifiedBytesMax)
        close(TOO_LARGE, `at most ${options.unidentifiedBytesMax} bytes before identify`);
      else events.onFrame(connection, text);
    },
    pong() {
      if (state === 'open') events.onPong(connection);
    },
    closed: (code) => reportGone(state === 'closing' ? closedWith : code),
    lost: () => reportGone(closedWith),
    vanish() {
      if (state === 'gone') return;
      stop();
      down.cross('gone', '', () => link.lost('the hub is gone'));
    },
  };
  return end;
};

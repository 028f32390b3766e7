/** The sidecar's end of the memory wire: connecting, open, gone. */
import { utf8Bytes } from '../../../../core/domain/encoded-text.ts';
import { messageOf } from '../../../../core/errors/agentcom-error.ts';
import type { HubLink, LinkConnection, LinkEvents } from '../../../../core/ports/hub-link.ts';
import { CLOSE_CODES } from '../../../../core/protocol/close-codes.ts';
import { lane } from './crossing.ts';
import { addressOf, type HubEnd, type LinkEnd, type LinkIdentity, type Network } from './memory-network.ts';

const NO_CLOSE_FRAME = 1006;
const TOO_LARGE = 1009;
/** As long as the link on real sockets waits. */
const HANDSHAKE_MS = 10_000;

export const memoryLink = (network: Network, identity: LinkIdentity): HubLink => ({
  connect({ url, frameBytesMax }, events) {
    try {
      const target = new URL(url);
      if (!/^wss?:$/.test(target.protocol)) return neverOpened(network, `${target.protocol} is not a protocol of a hub`, events);
      return openLink(network, identity, target, frameBytesMax, events);
    } catch (thrown) {
      return neverOpened(network, messageOf(thrown), events);
    }
  },
});

const openLink = (network: Network, identity: LinkIdentity, url: URL, frameBytesMax: number, events: LinkEvents): LinkConnection => {
  const { clock, fate } = network;
  const connection = network.nextConnection();
  const up = lane({ clock, fate, connection, from: 'sidecar' });
  const down = lane({ clock, fate, connection, from: 'hub' });
  let state: 'connecting' | 'open' | 'gone' = 'connecting';
  /** Where this end's messages arrive, once the hub has accepted the connection. */
  let hub: HubEnd | null = null;

  const leaveNetwork = network.join(connection, () => link.lost('the connection was cut'));
  const handshake = clock.after(HANDSHAKE_MS, () => {
    up.cross('gone', '', () => hub?.lost());
    link.lost(`the hub did not answer the handshake within ${HANDSHAKE_MS} ms`);
  });
  const end = (): void => {
    state = 'gone';
    handshake.cancel();
    leaveNetwork();
  };
  const reportGone = (code: number, reason: string): void => {
    if (state === 'gone') return;
    end();
    events.onGone(code, reason);
  };

  const link: LinkEnd = {
    accepted() {
      if (state !== 'connecting') return;
      state = 'open';
      handshake.cancel();
      events.onOpen();
    },
    frame(text) {
      if (state !== 'open') return;
      if (utf8Bytes(text) <= frameBytesMax) return events.onFrame(text);
      up.cross('close', '', () => hub?.closed(TOO_LARGE));
      reportGone(TOO_LARGE, `a frame of the hub is over ${frameBytesMax} bytes`);
    },
    ping() {
      if (state === 'open') up.cross('pong', '', () => hub?.pong());
    },
    closed(code, reason) {
      up.cross('gone', '', () => hub?.lost());
      reportGone(code, reason);
    },
    lost: (reason) => reportGone(NO_CLOSE_FRAME, reason),
  };

  /** The hub's side of the handshake, as it arrives there. */
  const arrive = (): void => {
    // A duplicated handshake does not create a second connection.
    if (hub !== null) return;
    const listening = network.hubs.get(addressOf(url));
    const answer = listening?.upgrade({ connection, url, identity, down, link }) ?? `connect ECONNREFUSED ${addressOf(url)}`;
    if (typeof answer === 'object') hub = answer;
    else down.cross('refuse', '', () => link.lost(typeof answer === 'number' ? `Unexpected server response: ${answer}` : answer));
  };
  up.cross('connect', '', arrive);

  return {
    send(text) {
      if (state !== 'open') return false;
      up.cross('frame', text, () => {
        hub?.frame(text);
        if (state === 'open') events.onTaken();
      });
      return true;
    },
    bufferedBytes: () => up.waitingBytes,
    destroy() {
      if (state === 'gone') return;
      end();
      up.cross('gone', '', () => hub?.lost());
    },
    leave() {
      if (state === 'gone') return;
      end();
      up.cross('close', '', () => hub?.closed(CLOSE_CODES.leaving));
    },
  };
};

const neverOpened = (network: Network, reason: string, events: LinkEvents): LinkConnection => {
  const telling = network.clock.after(0, () => events.onGone(NO_CLOSE_FRAME, reason));
  return { send: () => false, bufferedBytes: () => 0, destroy: () => telling.cancel() };
};

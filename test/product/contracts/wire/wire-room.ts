/** A listening transport, a link to it, and what both reported: the setup for the wire contracts. */
import type { HubLink, LinkConnection } from '../../../../core/ports/hub-link.ts';
import type { HubConnection, HubTransport, ListenOptions } from '../../../../core/ports/hub-transport.ts';
import type { Teardown } from '../contract-case.ts';
import type { EventInbox } from '../files/event-inbox.ts';
import { reply } from './web-http.ts';
import type { WireAddress } from './wire-address.ts';
import { hubRecorder, linkRecorder, nextOf, type HubSaw, type LinkSaw } from './wire-recorders.ts';

/** Both ends under test; if one of them is not under test, any correct one. */
export interface WireSubject {
  /** A transport that does not listen yet. */
  transport(): HubTransport;
  readonly link: HubLink;
  /**
   * The certificate with which the transport serves TLS for 127.0.0.1, PEM. The suite then connects by TLS, and the
   * link MUST trust it. Without it the transport serves plain connections.
   */
  readonly ca?: string | undefined;
}

export interface WireRoom extends WireAddress {
  readonly transport: HubTransport;
  readonly url: string;
  readonly hubSaw: EventInbox<HubSaw>;
}

export interface Joined {
  /** The hub's side. */
  readonly connection: HubConnection;
  /** The sidecar's side. */
  readonly link: LinkConnection;
  readonly linkSaw: EventInbox<LinkSaw>;
}

export const FRAME_BYTES_MAX = 1_000;

/** Listening options without limits. */
export const openToAll = (changes: Partial<ListenOptions> = {}): ListenOptions => ({
  host: '127.0.0.1',
  port: 0,
  frameBytesMax: FRAME_BYTES_MAX,
  unidentifiedBytesMax: Infinity,
  socketsMax: 2_000,
  socketQueueBytesMax: 4_194_304,
  http: () => reply('hello'),
  isAllowedOrigin: () => true,
  ...changes,
});

/** Listens until the test ends. */
export const wireRoom = async (t: Teardown, subject: WireSubject, changes: Partial<ListenOptions> = {}): Promise<WireRoom> => {
  const transport = subject.transport();
  t.teardown(() => transport.close(1001, 'the test is over'));
  const { events, saw } = hubRecorder();
  const { port } = await transport.listen(openToAll(changes), events);
  const { ca } = subject;
  return { transport, port, ca, url: `${ca === undefined ? 'ws' : 'wss'}://127.0.0.1:${port}/ws`, hubSaw: saw };
};

/** Connects a link, and waits until both ends consider it open. */
export const join = async (t: Teardown, subject: WireSubject, room: WireRoom, frameBytesMax = FRAME_BYTES_MAX): Promise<Joined> => {
  const { events, saw: linkSaw } = linkRecorder();
  const link = subject.link.connect({ url: room.url, frameBytesMax }, events);
  t.teardown(() => link.destroy());
  const { connection } = await nextOf(room.hubSaw, 'open');
  await nextOf(linkSaw, 'open');
  return { connection, link, linkSaw };
};

/** Waits until a frame went to the hub and back on its own connection: whatever was sent before has arrived. */
export const roundTrip = async (t: Teardown, subject: WireSubject, room: WireRoom): Promise<void> => {
  const { link, linkSaw, connection } = await join(t, subject, room);
  link.send('there');
  await nextOf(room.hubSaw, 'frame');
  connection.send('and back');
  await nextOf(linkSaw, 'frame');
  link.destroy();
  await nextOf(room.hubSaw, 'gone');
};

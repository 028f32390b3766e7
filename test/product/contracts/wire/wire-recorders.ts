/** What the two ends of the wire report, as values that a test waits for and compares. */
import type { LinkEvents } from '../../../../core/ports/hub-link.ts';
import type { HubConnection, TransportEvents } from '../../../../core/ports/hub-transport.ts';
import { eventInbox, type EventInbox } from '../files/event-inbox.ts';

export type HubSaw =
  | { readonly kind: 'open'; readonly connection: HubConnection }
  | { readonly kind: 'pong'; readonly connection: HubConnection }
  | { readonly kind: 'frame'; readonly connection: HubConnection; readonly text: string }
  | { readonly kind: 'gone'; readonly connection: HubConnection; readonly code: number };

export type LinkSaw =
  | { readonly kind: 'open' }
  | { readonly kind: 'frame'; readonly text: string }
  | { readonly kind: 'gone'; readonly code: number; readonly reason: string };

/** Events of a transport, put into an inbox. */
export const hubRecorder = (): { readonly events: TransportEvents; readonly saw: EventInbox<HubSaw> } => {
  const saw = eventInbox<HubSaw>();
  const events: TransportEvents = {
    onOpen: (connection) => saw.put({ kind: 'open', connection }),
    onFrame: (connection, text) => saw.put({ kind: 'frame', connection, text }),
    onPong: (connection) => saw.put({ kind: 'pong', connection }),
    onGone: (connection, code) => saw.put({ kind: 'gone', connection, code }),
  };
  return { events, saw };
};

/** Events of a link, put into an inbox. */
export const linkRecorder = (): { readonly events: LinkEvents; readonly saw: EventInbox<LinkSaw> } => {
  const saw = eventInbox<LinkSaw>();
  const events: LinkEvents = {
    onOpen: () => saw.put({ kind: 'open' }),
    onFrame: (text) => saw.put({ kind: 'frame', text }),
    onTaken: () => undefined,
    onGone: (code, reason) => saw.put({ kind: 'gone', code, reason }),
  };
  return { events, saw };
};

/** The next event, which must be of this kind. */
export const nextOf = async <T extends { readonly kind: string }, K extends T['kind']>(
  saw: EventInbox<T>,
  kind: K,
): Promise<Extract<T, { readonly kind: K }>> => {
  const next = await saw.next(kind);
  if (next.kind !== kind) throw new Error(`Expected ${kind}, got ${JSON.stringify({ ...next, connection: undefined })}.`);
  return next as Extract<T, { readonly kind: K }>;
};

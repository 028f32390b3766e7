/** What a transport answers to HTTP by itself, where no handler does. */
import type { HttpReply } from '../../core/ports/http.ts';
import type { HttpErrorBody } from '../../core/protocol/http-errors.ts';

/** An answer in JSON. */
export type OwnAnswer = HttpReply & { readonly body: string };

const answer = (status: 400 | 500 | 503, body: HttpErrorBody, more: Readonly<Record<string, string>> = {}): OwnAnswer => ({
  status,
  headers: { 'content-type': 'application/json', ...more },
  body: JSON.stringify(body),
});

/** To whatever is asked after `refuseNew`. */
export const STOPPING: OwnAnswer = answer(
  503,
  { error: 'hub_stopping', message: 'The hub is stopping and accepts nothing new; retry soon.' },
  { 'retry-after': '1' },
);

/** When the handler threw. */
export const FAILED: OwnAnswer = answer(500, { error: 'internal', message: 'Internal error; see the log of the hub.' });

/** To what cannot be served, such as one with a broken Host. */
export const unreadable = (why: string): OwnAnswer =>
  answer(400, { error: 'validation_failed', message: `The request cannot be read: ${why}.` });

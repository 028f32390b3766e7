/** The HTTP responses that a transport sends itself, without the handler. */
import type { HttpResponse } from '../../core/ports/http.ts';
import type { HttpErrorBody } from '../../core/protocol/http-errors.ts';

/** A JSON response. */
export type OwnAnswer = HttpResponse & { readonly body: string };

const answer = (status: 400 | 500 | 503, body: HttpErrorBody, more: Readonly<Record<string, string>> = {}): OwnAnswer => ({
  status,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...more },
  body: JSON.stringify(body),
});

/** For every request after `refuseNew`. */
export const STOPPING: OwnAnswer = answer(
  503,
  { error: 'hub_stopping', message: 'The hub is stopping; retry when it is back.' },
  { 'retry-after': '1' },
);

/** If the handler threw. */
export const FAILED: OwnAnswer = answer(500, { error: 'internal', message: 'Internal error; see the log of the hub.' });

/** For a request that cannot be handled, such as one with an invalid Host. */
export const unreadable = (why: string): OwnAnswer =>
  answer(400, { error: 'validation_failed', message: `The request cannot be read: ${why}.` });

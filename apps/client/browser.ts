/** A typed client of the hub's HTTP API, in a browser. */
import { clientOn, type HubClient } from './client.ts';
import type { Connection } from './api-request.ts';
import { fetchExchange } from './exchange/fetch-exchange.ts';

const RANDOM_BYTES = 16;
/** A page that was served over plain HTTP has no `randomUUID`. */
const random = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(RANDOM_BYTES)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** A client for the hub at `connection.url`. Sends nothing yet. */
export const hubClient = (connection: Connection): HubClient => clientOn({ exchange: fetchExchange, random }, connection);

export type * from './types-of-client.ts';

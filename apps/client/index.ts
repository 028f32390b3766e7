/** A typed client of the hub's HTTP API, in Node. */
import { randomUUID } from 'node:crypto';
import { clientOn, type HubClient } from './client.ts';
import type { Connection } from './api-request.ts';
import { exchange } from './http-exchange.ts';

/** A client for the hub at `connection.url`. Sends nothing yet. */
export const hubClient = (connection: Connection): HubClient => clientOn({ exchange, random: randomUUID }, connection);

export type * from './types-of-client.ts';

/** A typed client of the hub's HTTP API. */
export { hubClient, type HubClient } from './client.ts';
export type { EventsOptions } from './events.ts';
export type { Connection } from './request.ts';
export type * from './types.ts';

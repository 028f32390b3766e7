/** A typed client of the hub's HTTP API. */
export { hubClient, type HubClient } from './client.ts';
export type { AgentsClient } from './agents.ts';
export type { EndedStatus } from './ended.ts';
export type { EventsOptions } from './events.ts';
export type { Connection } from './request.ts';
export type { EndedTask, TasksClient, WatchOptions } from './tasks.ts';
export type { EnrolmentClient, TokensClient } from './tokens.ts';
export type * from './types.ts';

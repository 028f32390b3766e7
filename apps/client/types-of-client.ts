/** The types of the client, the same on each platform. */
export type { HubClient } from './client.ts';
export type { AgentsClient } from './agents-client.ts';
export type { AuditClient, AuditEntryJson, AuditPageJson, AuditPlaceJson, AuditQuery } from './audit-client.ts';
export type { EndedStatus } from './ended-status.ts';
export type { EventsOptions } from './events.ts';
export type { Connection } from './api-request.ts';
export type { EndedTask, SubmitOptions, TasksClient, TaskStats, WaitOptions, WatchOptions } from './tasks-client.ts';
export type { EnrolmentClient, TokensClient } from './tokens-client.ts';
export type * from './types.ts';

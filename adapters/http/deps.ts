/** The dependencies of the HTTP API. It knows neither the HTTP server nor the database behind the ports. */
import type { CommandInbox } from '../../core/application/hub/batch/commands.ts';
import type { OutputWriter } from '../../core/application/hub/upkeep/output-writer.ts';
import type { TokenUse } from '../../core/application/hub/upkeep/token-use.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import type { HubLimits } from '../../core/config/limits.ts';
import type { AgentStore, TokenRecord } from '../../core/ports/agent-store.ts';
import type { Digest, Ids } from '../../core/ports/chance.ts';
import type { HubClock } from '../../core/application/hub/upkeep/hub-clock.ts';
import type { EventFeed } from '../../core/ports/event-feed.ts';
import type { HttpHandler } from '../../core/ports/http.ts';
import type { HubLoad, HubMetrics } from '../../core/ports/hub-metrics.ts';
import type { Log } from '../../core/ports/log.ts';
import type { AuditLog } from '../../core/ports/storage.ts';
import type { OutputStore } from '../../core/ports/output-store.ts';
import type { TaskStore } from '../../core/ports/task-store.ts';
import type { DashboardFiles } from './dashboard/dashboard-files.ts';

export interface HttpApiDeps {
  /** All changes go through it. */
  readonly inbox: CommandInbox;
  readonly tasks: Pick<TaskStore, 'read' | 'history' | 'keptResult' | 'list' | 'beginningWith' | 'stats' | 'oldestReady' | 'peek'>;
  readonly agents: AgentStore;
  readonly events: EventFeed;
  readonly output: Pick<OutputStore, 'read'>;
  readonly audit: AuditLog;
  readonly outputWriter: Pick<OutputWriter, 'onOutput' | 'flush' | 'kept'>;
  /** Whether other hubs write to the store too. */
  readonly isShared: boolean;
  readonly tokenUse: Pick<TokenUse, 'note' | 'lastUsedAtMs'>;
  readonly ids: Ids;
  readonly digest: Digest;
  readonly clock: HubClock;
  /** Measures what work costs: real time in milliseconds, from an arbitrary starting point. */
  readonly stopwatchMs: () => number;
  readonly log: Log;
  readonly limits: HubLimits;
  /** Whether a request with these headers is allowed. */
  readonly isAllowedOrigin: (headers: { readonly host: string | undefined; readonly origin: string | undefined }) => boolean;
  /** Origins of pages that may call the API with a bearer token, as a browser writes them. */
  readonly pageOrigins: readonly string[];
  /** Proxies whose `x-forwarded-for` is trusted. */
  readonly trustedProxies: readonly string[];
  /** SHA-256 of the admin token of the config, hexadecimal. */
  readonly adminTokenHash: string;
  /** The secret that encrypts the cookies of dashboard sessions. */
  readonly sessionSecret: string;
  /** The built dashboard; null if it was not built. */
  readonly dashboard: DashboardFiles | null;
  readonly version: string;
  /** The `name` of each adapter in use, for `GET /health`: not the name in the config. */
  readonly storageName: string;
  readonly transportName: string;
  /** Whether tasks outlive the hub, for `GET /health`. */
  readonly durable: boolean;
  /** Whether the hub runs, and whether it can commit now. MUST NOT throw. */
  readonly healthy: () => Promise<boolean>;
  /** As `Storage.deadlocks`; undefined if only one hub writes. */
  readonly deadlocks?: (() => number) | undefined;
  /** The addresses of this hub for sidecars and clients. */
  readonly urls: () => { readonly ws: string; readonly api: string };
  /** Whether no other machine reaches it: it listens on loopback, and has no name of a proxy. */
  readonly isLoopbackOnly: boolean;
  /** The certificate of the hub's own port; null if it serves plain HTTP. `expiresInMs`: negative once it has expired. */
  readonly certificate: { readonly expiresInMs: () => number; readonly joinFingerprint: () => string | null } | null;
  /** Calls `listener` after each commit with events, until the returned function is called. */
  readonly onCommit: (listener: () => void) => () => void;
  /** The end of the hub's quiet period, milliseconds since 1970; in the past if there is none. */
  readonly quietUntilMs: () => number;
  /** When something was last received from an agent, milliseconds since 1970; null if it is not connected to this hub. */
  readonly lastHeardAtMs: (agentId: AgentId) => number | null;
  /** Refusals since the hub started: frames by error code, WebSockets by the reason for closing them. */
  readonly refusals: () => { readonly frames: Readonly<Record<string, number>>; readonly sockets: Readonly<Record<string, number>> };
  readonly metrics: HubMetrics;
  /** What the hub holds now. MUST NOT throw. */
  readonly load: () => HubLoad;
  /** These tokens have just been revoked or rotated: closes the WebSockets that identified with them, now or when they expire. */
  readonly endTokens: (tokens: readonly TokenRecord[]) => void;
  /** An enrollment secret was used up: the hub writes a new one for the sidecars on its machine. */
  readonly onEnrolSecretUsed: () => void;
}

export interface HttpApi {
  /** Handles a request. Never throws or rejects. */
  readonly handle: HttpHandler;
  /** Ends the open event streams, and refuses new requests with 503. Idempotent. */
  close(): void;
}

/** What the HTTP API stands on. It knows neither the server that carries it nor the database behind the ports. */
import type { CommandInbox } from '../../core/application/hub/batch/commands.ts';
import type { TokenUse } from '../../core/application/hub/upkeep/token-use.ts';
import type { AgentId } from '../../core/domain/ids.ts';
import type { HubLimits } from '../../core/config/limits.ts';
import type { AgentStore, TokenRecord } from '../../core/ports/agent-store.ts';
import type { Digest, Ids } from '../../core/ports/chance.ts';
import type { HubClock } from '../../core/application/hub/upkeep/hub-clock.ts';
import type { EventFeed } from '../../core/ports/event-feed.ts';
import type { HttpHandler } from '../../core/ports/http.ts';
import type { Log } from '../../core/ports/log.ts';
import type { TaskStore } from '../../core/ports/task-store.ts';

export interface HttpApiDeps {
  /** Every change goes through it. */
  readonly inbox: CommandInbox;
  readonly tasks: Pick<TaskStore, 'read' | 'history' | 'keptResult' | 'list' | 'stats' | 'peek'>;
  readonly agents: AgentStore;
  readonly events: EventFeed;
  readonly tokenUse: Pick<TokenUse, 'note' | 'lastUsedAtMs'>;
  readonly ids: Ids;
  readonly digest: Digest;
  readonly clock: HubClock;
  readonly log: Log;
  readonly limits: HubLimits;
  /** Whether a request may name this host and come from this origin. */
  readonly isAllowedOrigin: (headers: { readonly host: string | undefined; readonly origin: string | undefined }) => boolean;
  /** Peers whose `x-forwarded-for` is believed. */
  readonly trustedProxies: readonly string[];
  /** SHA-256 of the admin token of the config, hexadecimal. */
  readonly adminTokenHash: string;
  readonly version: string;
  /** The adapters in use, as they name themselves, for `GET /health`: not what a config asked for. */
  readonly storageName: string;
  readonly transportName: string;
  /** Whether tasks outlive the hub, for `GET /health`. */
  readonly durable: boolean;
  /** Whether the hub can commit now. MUST NOT throw. */
  readonly healthy: () => Promise<boolean>;
  /** As `Storage.deadlocks`; undefined where only one hub writes. */
  readonly deadlocks?: (() => number) | undefined;
  /** Where sidecars and clients reach this hub. */
  readonly urls: () => { readonly ws: string; readonly api: string };
  /** Calls `listener` after each commit with events; answers how to stop that. */
  readonly onCommit: (listener: () => void) => () => void;
  /** When a connected agent was last heard, milliseconds since 1970; null when this hub does not hold its socket. */
  readonly lastHeardAtMs: (agentId: AgentId) => number | null;
  /** What the wire has refused since the hub started: frames by the word of their answer, sockets by why they were closed. */
  readonly refusals: () => { readonly frames: Readonly<Record<string, number>>; readonly sockets: Readonly<Record<string, number>> };
  /** These tokens have just been revoked: the sockets that identified with them are to be closed. */
  readonly revokeSessions: (tokens: readonly TokenRecord[]) => void;
  /** An enrolment secret was used up: the hub writes a new one for sidecars on its machine. */
  readonly onEnrolSecretUsed: () => void;
}

export interface HttpApi {
  /** Answers one request; never fails. */
  readonly handle: HttpHandler;
  /** Ends the open event streams and refuses new requests with 503. Twice is fine. */
  close(): void;
}

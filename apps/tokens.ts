/**
 * The names under which the container keeps the parts. Asserted rather than annotated: an annotation would narrow each to
 * `symbol`, and a wrong order in `toResolvedValue` would compile.
 */
import type { ServiceIdentifier } from 'inversify';
import type { HubContext } from '../core/application/hub/context.ts';
import type { HubClock } from '../core/application/hub/hub-clock.ts';
import type { HubSessions } from '../core/application/hub/sessions/hub-sessions.ts';
import type { Lookout } from '../core/application/hub/lookout.ts';
import type { Roster } from '../core/application/hub/roster.ts';
import type { Sweeper } from '../core/application/hub/sweeper.ts';
import type { TaskQueue } from '../core/application/hub/task-queue.ts';
import type { TokenUse } from '../core/application/hub/token-use.ts';
import type { Sidecar } from '../core/application/sidecar/sidecar.ts';
import type { ResolvedHubConfig, ResolvedSidecarConfig } from '../core/config/config.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { Digest, Ids } from '../core/ports/chance.ts';
import type { HubLink } from '../core/ports/hub-link.ts';
import type { HubTransport } from '../core/ports/hub-transport.ts';
import type { Journal } from '../core/ports/journal.ts';
import type { Log } from '../core/ports/log.ts';
import type { ResultInbox } from '../core/ports/result-inbox.ts';
import type { Storage } from '../core/ports/storage.ts';
import type { WakeRunner } from '../core/ports/wake-runner.ts';
import type { HttpApi } from '../adapters/http/deps.ts';
import type { HubSecrets } from './hub/secrets.ts';
import type { HubWiring } from './hub/wiring.ts';

export const TOKENS = {
  Clock: Symbol('Clock') as ServiceIdentifier<Clock>,
  /** The machine's timers with the store's time. */
  HubClock: Symbol('HubClock') as ServiceIdentifier<HubClock>,
  Ids: Symbol('Ids') as ServiceIdentifier<Ids>,
  Digest: Symbol('Digest') as ServiceIdentifier<Digest>,
  Log: Symbol('Log') as ServiceIdentifier<Log>,
  HubConfig: Symbol('HubConfig') as ServiceIdentifier<ResolvedHubConfig>,
  Storage: Symbol('Storage') as ServiceIdentifier<Storage>,
  HubTransport: Symbol('HubTransport') as ServiceIdentifier<HubTransport>,
  HubContext: Symbol('HubContext') as ServiceIdentifier<HubContext>,
  HubSecrets: Symbol('HubSecrets') as ServiceIdentifier<HubSecrets>,
  HubWiring: Symbol('HubWiring') as ServiceIdentifier<HubWiring>,
  Roster: Symbol('Roster') as ServiceIdentifier<Roster>,
  TokenUse: Symbol('TokenUse') as ServiceIdentifier<TokenUse>,
  TaskQueue: Symbol('TaskQueue') as ServiceIdentifier<TaskQueue>,
  Sweeper: Symbol('Sweeper') as ServiceIdentifier<Sweeper>,
  Lookout: Symbol('Lookout') as ServiceIdentifier<Lookout>,
  HubSessions: Symbol('HubSessions') as ServiceIdentifier<HubSessions>,
  HttpApi: Symbol('HttpApi') as ServiceIdentifier<HttpApi>,

  SidecarConfig: Symbol('SidecarConfig') as ServiceIdentifier<ResolvedSidecarConfig>,
  HubLink: Symbol('HubLink') as ServiceIdentifier<HubLink>,
  Journal: Symbol('Journal') as ServiceIdentifier<Journal>,
  ResultInbox: Symbol('ResultInbox') as ServiceIdentifier<ResultInbox>,
  /** Null: the agent polls for its tasks by itself. */
  WakeRunner: Symbol('WakeRunner') as ServiceIdentifier<WakeRunner | null>,
  /** The token that the sidecar identifies with. */
  SidecarToken: Symbol('SidecarToken') as ServiceIdentifier<string>,
  Sidecar: Symbol('Sidecar') as ServiceIdentifier<Sidecar>,
};

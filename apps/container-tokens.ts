/**
 * The container's tokens. Asserted rather than annotated: an annotation would narrow each to
 * `symbol`, and a wrong order in `toResolvedValue` would compile.
 */
import type { ServiceIdentifier } from 'inversify';
import type { Hub } from '../core/application/hub/hub.ts';
import type { Sidecar } from '../core/application/sidecar/sidecar.ts';
import type { ResolvedHubConfig, ResolvedSidecarConfig } from '../core/config/config.ts';
import type { Clock } from '../core/ports/clock.ts';
import type { Digest, Ids } from '../core/ports/chance.ts';
import type { HubMetrics } from '../core/ports/hub-metrics.ts';
import type { HubLink } from '../core/ports/hub-link.ts';
import type { HubTransport } from '../core/ports/hub-transport.ts';
import type { Journal } from '../core/ports/journal.ts';
import type { Log } from '../core/ports/log.ts';
import type { ResultInbox } from '../core/ports/result-inbox.ts';
import type { Storage, TaskArchive } from '../core/ports/storage.ts';
import type { DeviceKey } from '../core/ports/trust/device-key.ts';
import type { TaskSignatures } from '../core/ports/trust/task-signatures.ts';
import type { WakeRunner } from '../core/ports/wake-runner.ts';
import type { HttpApi } from '../adapters/http/deps.ts';
import type { ServedCertificate } from './tls/served-certificate.ts';
import type { HubSecrets } from './hub/hub-secrets.ts';

export const TOKENS = {
  Clock: Symbol('Clock') as ServiceIdentifier<Clock>,
  Ids: Symbol('Ids') as ServiceIdentifier<Ids>,
  Digest: Symbol('Digest') as ServiceIdentifier<Digest>,
  Log: Symbol('Log') as ServiceIdentifier<Log>,
  HubConfig: Symbol('HubConfig') as ServiceIdentifier<ResolvedHubConfig>,
  Storage: Symbol('Storage') as ServiceIdentifier<Storage>,
  /** Null: removed tasks are not archived. */
  Archive: Symbol('Archive') as ServiceIdentifier<TaskArchive | null>,
  HubTransport: Symbol('HubTransport') as ServiceIdentifier<HubTransport>,
  /** Null: plain HTTP. */
  Certificate: Symbol('Certificate') as ServiceIdentifier<ServedCertificate | null>,
  HubMetrics: Symbol('HubMetrics') as ServiceIdentifier<HubMetrics>,
  Hub: Symbol('Hub') as ServiceIdentifier<Hub>,
  HubSecrets: Symbol('HubSecrets') as ServiceIdentifier<HubSecrets>,
  HttpApi: Symbol('HttpApi') as ServiceIdentifier<HttpApi>,

  SidecarConfig: Symbol('SidecarConfig') as ServiceIdentifier<ResolvedSidecarConfig>,
  HubLink: Symbol('HubLink') as ServiceIdentifier<HubLink>,
  Journal: Symbol('Journal') as ServiceIdentifier<Journal>,
  ResultInbox: Symbol('ResultInbox') as ServiceIdentifier<ResultInbox>,
  /** Null: the agent polls for its tasks by itself. */
  WakeRunner: Symbol('WakeRunner') as ServiceIdentifier<WakeRunner | null>,
  /** Null: its agent is not bound to a machine. */
  DeviceKey: Symbol('DeviceKey') as ServiceIdentifier<DeviceKey | null>,
  /** Null: tasks need no signature. */
  TaskSignatures: Symbol('TaskSignatures') as ServiceIdentifier<TaskSignatures | null>,
  /** The token that the sidecar identifies with. */
  SidecarToken: Symbol('SidecarToken') as ServiceIdentifier<string>,
  Sidecar: Symbol('Sidecar') as ServiceIdentifier<Sidecar>,
};

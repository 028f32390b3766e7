/** Resolves a config: reports every mistake at once, or fills in all defaults and freezes it. */
import type {
  AgentcomConfig,
  ConfigProblem,
  HubConfig,
  ResolvedConfig,
  ResolvedHubConfig,
  ResolvedSidecarConfig,
  SidecarConfig,
} from './config.ts';
import { crossProblems } from './cross-checks.ts';
import { isRecord } from '../domain/describe-value.ts';
import { resolveAccept } from './accept.ts';
import { DEFAULT_HOST, withoutUndefined } from './defaults.ts';
import { HUB_LIMITS } from './limits.ts';
import { schemaProblems, WHOLE_CONFIG } from './schema-problems.ts';
import { configSchema } from './config-schema.ts';
import { HUB_TIMING, SIDECAR_TIMING } from './times.ts';

/** The environment of the config file; core has no access to the file system. */
export interface ConfigPlace {
  /** The folder of the config file, absolute. */
  readonly baseDir: string;
  /** Makes a path from the config absolute; a relative one is resolved against `baseDir`. */
  readonly absolute: (path: string) => string;
  /** An admin token from the environment, used if the config sets none. */
  readonly adminToken?: string | undefined;
}

export type ResolveAnswer =
  | { readonly kind: 'resolved'; readonly config: ResolvedConfig }
  /** Never empty; in the order of the options. */
  | { readonly kind: 'invalid'; readonly problems: readonly ConfigProblem[] };

const DEFAULT_PORT = 4_000;
const DEFAULT_HUB_DIR = 'data/hub';

/** Checks all of `config`, which may be any value. Opens nothing and prints no secrets. */
export function resolveConfig(config: unknown, place: ConfigPlace): ResolveAnswer {
  const completed = withAdminToken(config, place.adminToken);
  const mistakes = schemaProblems(configSchema, completed, '');
  if (!isRecord(completed)) return { kind: 'invalid', problems: mistakes };
  const written = completed as AgentcomConfig;
  const problems = [...mistakes, ...crossProblems(written, mistakes)];
  if (problems.length === 0 && written.hub === undefined && written.sidecar === undefined) {
    problems.push({ path: WHOLE_CONFIG, message: 'the default export must contain hub, sidecar or both' });
  }
  if (problems.length > 0) {
    const isFromPlace = completed !== config;
    return { kind: 'invalid', problems: problems.map((problem) => (isFromPlace ? withItsVariable(problem) : problem)) };
  }
  const resolved: ResolvedConfig = {
    baseDir: place.baseDir,
    hub: written.hub === undefined ? undefined : resolveHub(written.hub, place),
    sidecar: written.sidecar === undefined ? undefined : resolveSidecar(written.sidecar, place),
  };
  return { kind: 'resolved', config: Object.freeze(resolved) };
}

/** Adds to a mistake in the admin token that the token does not come from the config file. */
const withItsVariable = ({ path, message }: ConfigProblem): ConfigProblem => ({
  path,
  message: path === 'hub.adminToken' ? `${message}; it was taken from the environment, AGENTCOM_ADMIN_TOKEN` : message,
});

/** The config as if it had set the token from the environment, so that the same rules apply. */
function withAdminToken(config: unknown, adminToken: string | undefined): unknown {
  if (adminToken === undefined || !isRecord(config)) return config;
  const hub = config['hub'];
  return isRecord(hub) && hub['adminToken'] === undefined ? { ...config, hub: { ...hub, adminToken } } : config;
}

function resolveHub(hub: HubConfig, place: ConfigPlace): ResolvedHubConfig {
  const timing = { ...HUB_TIMING, ...withoutUndefined(hub.timing) };
  return Object.freeze({
    host: hub.listen?.host ?? DEFAULT_HOST,
    port: hub.listen?.port ?? DEFAULT_PORT,
    names: Object.freeze([...(hub.listen?.names ?? [])]),
    origins: Object.freeze([...(hub.listen?.origins ?? [])]),
    tls: resolveListenTls(hub, place),
    insecure: hub.listen?.insecure ?? false,
    trustedProxies: Object.freeze([...(hub.listen?.trustedProxies ?? [])]),
    storage: hub.storage,
    transport: hub.transport,
    dataDir: place.absolute(hub.dataDir ?? DEFAULT_HUB_DIR),
    archiveDir: hub.archiveDir === undefined ? null : place.absolute(hub.archiveDir),
    adminToken: hub.adminToken,
    agentMessages: hub.agentMessages ?? true,
    limits: Object.freeze({ ...HUB_LIMITS, ...withoutUndefined(hub.limits) }),
    timing: Object.freeze({ ...timing, backoff: Object.freeze({ ...timing.backoff }), breaker: Object.freeze({ ...timing.breaker }) }),
  });
}

function resolveListenTls({ listen }: HubConfig, { absolute }: ConfigPlace): ResolvedHubConfig['tls'] {
  if (listen?.tls === undefined) return null;
  const { certFile, keyFile, minVersion = 'TLSv1.2' } = listen.tls;
  return Object.freeze({ certFile: absolute(certFile), keyFile: absolute(keyFile), minVersion });
}

function resolveSidecar(sidecar: SidecarConfig, place: ConfigPlace): ResolvedSidecarConfig {
  const timing = { ...SIDECAR_TIMING, ...withoutUndefined(sidecar.timing) };
  return Object.freeze({
    hubs: Object.freeze([...sidecar.hubs]),
    agentId: sidecar.agentId,
    name: sidecar.name ?? sidecar.agentId,
    token: sidecar.token,
    dataDir: place.absolute(sidecar.dataDir ?? `data/${sidecar.agentId}`),
    capabilities: Object.freeze([...new Set(sidecar.capabilities ?? [])]),
    slots: sidecar.slots ?? 1,
    wake: sidecar.wake,
    insecure: sidecar.insecure ?? false,
    plainToken: sidecar.plainToken ?? false,
    deviceKey: sidecar.deviceKey ?? false,
    tls: Object.freeze({
      fingerprints: Object.freeze([...(sidecar.tls?.fingerprints ?? [])]),
      caFile: sidecar.tls?.caFile === undefined ? null : place.absolute(sidecar.tls.caFile),
    }),
    accept: resolveAccept(sidecar.accept, place.absolute),
    timing: Object.freeze({
      ...timing,
      wakeRetriesMs: Object.freeze([...timing.wakeRetriesMs]),
      reportRepeat: Object.freeze({ ...timing.reportRepeat }),
    }),
  });
}

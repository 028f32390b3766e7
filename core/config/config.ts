/** The types of `agentcom.config.ts`: as written, and as resolved for the programs. */
import type { ErrorCode } from '../errors/codes.ts';
import type { Clock } from '../ports/clock.ts';
import type { HubTransport, PortCertificate } from '../ports/hub-transport.ts';
import type { Log } from '../ports/log.ts';
import type { Storage } from '../ports/storage.ts';
import type { StoreInspection } from '../ports/store-inspection.ts';
import type { WakeRunner } from '../ports/wake-runner.ts';
import type { AcceptConfig, ResolvedAccept } from './accept.ts';
import type { HubLimits } from './limits.ts';
import type { HubTiming, SidecarTiming } from './times.ts';

/**
 * A chosen adapter: what a factory such as `sqlite({ file })` returns. Opens nothing; `create` does so later, and only then
 * imports native packages.
 */
export interface AdapterChoice<Port extends string, Made, Deps> {
  readonly port: Port;
  readonly name: string;
  /** As passed, validated by the adapter's factory or by `problems`. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly capabilities: Readonly<Record<string, boolean | number>>;
  /** Mistakes in the options, each with its path below the adapter; empty if there are none. */
  problems(): readonly ConfigProblem[];
  create(deps: Deps): Promise<Made>;
}

/** One mistake in a config. */
export interface ConfigProblem {
  /** `sidecar.timing.silenceMs`; for an adapter's own option, the path below the adapter. */
  readonly path: string;
  /** What was expected and what was found. */
  readonly message: string;
  /** The code of the error that is thrown if all problems have this same code; `AC_CONFIG_INVALID` otherwise. */
  readonly code?: ErrorCode | undefined;
}

/** What a storage adapter is created with. */
export interface StorageDeps {
  /** Absolute; relative files are resolved against it. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
}
/** What a transport is created with. */
export interface TransportDeps {
  readonly log: Log;
  /** If given, the transport MUST serve HTTPS and WSS only. Given only to a transport with the capability `tls`. */
  readonly certificate?: PortCertificate | undefined;
}
/** What a runner is created with. */
export interface WakeRunnerDeps {
  readonly agentId: string;
  /** Absolute; the folder of the config file, against which relative programs and folders are resolved. */
  readonly baseDir: string;
  /** The sidecar's data directory, absolute. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** `of` is an estimate, because deleted rows are not copied. */
export interface BackupProgress {
  readonly doing: 'copying' | 'checking';
  readonly bytes: number;
  readonly of: number;
}

/**
 * `inspect` opens the store read-only for `agentcom doctor`, and fails with `hasStore: false` in the details if there is none; `backUp`
 * copies it into a new file while the hub runs; `restore` replaces the store with such a file and gives it a new `storeId`, so that sidecars
 * notice that it was rolled back. Storages that persist nothing omit all of these. `check` checks the database server, if there is one.
 */
export type StorageChoice = AdapterChoice<'storage', Storage, StorageDeps> & {
  inspect?(deps: Pick<StorageDeps, 'dataDir' | 'clock'>): Promise<StoreInspection>;
  /** Fails with `AC_TARGET_EXISTS` if the file exists and `replace` is false, with `AC_COPY_DIFFERS` if the copy is damaged. */
  backUp?(
    deps: Pick<StorageDeps, 'dataDir'>,
    to: { readonly file: string; readonly replace: boolean; readonly onProgress?: ((progress: BackupProgress) => void) | undefined },
  ): Promise<BackupSummary>;
  /**
   * `file` null: other tools have already restored the store. Fails with `AC_STORAGE_LOCKED` while a hub runs, with
   * `AC_TARGET_EXISTS` if there is a store and `replace` is false, and with the codes of `Storage.open` for the backup.
   */
  restore?(
    deps: Pick<StorageDeps, 'dataDir' | 'clock'>,
    from: { readonly file: string | null; readonly replace: boolean },
  ): Promise<RestoreSummary>;
  /**
   * For `agentcom doctor`, also before a hub was started. Fails with `AC_STORAGE_OPEN` if the server cannot be reached, and with
   * `AC_PACKAGE_MISSING` if a hub could not load what the storage needs. MUST change nothing.
   */
  check?(deps: Pick<StorageDeps, 'clock'>): Promise<readonly ServerFinding[]>;
};

/** A problem with the server: `not_durable` can lose acknowledged tasks, `no_notifications` slows clusters down, `read_only` lets no hub start. */
export interface ServerFinding {
  readonly check: 'not_durable' | 'no_notifications' | 'read_only';
  /** One sentence, without a final period. */
  readonly what: string;
}

/** A summary of a store for people. */
export interface StoreContents {
  readonly storeId: string;
  readonly tasks: number;
  /** The number of its newest event; 0 if there is none. */
  readonly lastEventId: number;
}
/** What a backup has written. */
export interface BackupSummary extends StoreContents {
  readonly file: string;
  readonly bytes: number;
}
/** What a restore has put in place. */
export interface RestoreSummary extends StoreContents {
  /** The file or server, without secrets. */
  readonly place: string;
  /** Where the previous store is kept; null if there was none. */
  readonly kept: string | null;
}

/** What `ws()` and `uws()` return, for `hub.transport`. */
export type TransportChoice = AdapterChoice<'transport', HubTransport, TransportDeps>;
/** What a runner such as `command()` returns, for `sidecar.wake`. */
export type WakeRunnerChoice = AdapterChoice<'wake-runner', WakeRunner, WakeRunnerDeps>;

/** The content of `agentcom.config.ts`: a hub, a sidecar, or both. */
export interface AgentcomConfig {
  readonly hub?: HubConfig | undefined;
  readonly sidecar?: SidecarConfig | undefined;
}

/** The config of a hub, as people write it. Defaults are in docs/configuration.md. */
export interface HubConfig {
  readonly listen?:
    | {
        /** Default 127.0.0.1. */
        readonly host?: string | undefined;
        /** Default 4000; 0 picks a free one. */
        readonly port?: number | undefined;
        /** Host names, besides loopback and `host`, that are allowed in Host and Origin. */
        readonly names?: readonly string[] | undefined;
        /** Origins of web pages that may call the API with a bearer token (CORS). */
        readonly origins?: readonly string[] | undefined;
        /** Serves HTTPS and WSS instead of plain HTTP. */
        readonly tls?: ListenTls | undefined;
        /** Allows plain-text connections beyond loopback, on a trusted network or behind a TLS proxy. */
        readonly insecure?: boolean | undefined;
        /** Addresses of proxies whose `x-forwarded-for` is trusted. */
        readonly trustedProxies?: readonly string[] | undefined;
      }
    | undefined;
  readonly storage: StorageChoice;
  readonly transport: TransportChoice;
  /** Default `data/hub`; relative to the config file. */
  readonly dataDir?: string | undefined;
  /** Where tasks are archived as NDJSON before they are removed; relative to the config file. Default: nowhere. */
  readonly archiveDir?: string | undefined;
  /** At least 32 characters; if omitted, one is created at the first start in `dataDir/admin-token`. */
  readonly adminToken?: string | undefined;
  /** Whether agents may send each other messages. Default true. */
  readonly agentMessages?: boolean | undefined;
  readonly limits?: Partial<HubLimits> | undefined;
  readonly timing?: Partial<HubTiming> | undefined;
}

/** PEM files; relative to the config file. */
export interface ListenTls {
  /** The certificate, followed by the intermediate ones. Reloaded when it changes. */
  readonly certFile: string;
  /** Its private key, without a passphrase. */
  readonly keyFile: string;
  /** The lowest version that clients may use. Default TLSv1.2. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
}

/**
 * How a hub is authenticated over TLS. Without these: by fingerprints from the environment or from its enrollment; a hub on loopback by the
 * certificate of the same config; any other by a certificate for its name from a public certificate authority.
 */
export interface HubTls {
  /** Fingerprints (`sha256/…`) of the public keys that it may have. If given, only they are checked. */
  readonly fingerprints?: readonly string[] | undefined;
  /** Certificates of additional certificate authorities, in PEM; relative to the config file. */
  readonly caFile?: string | undefined;
}

/** The config of a sidecar, as people write it. Defaults are in docs/configuration.md. */
export interface SidecarConfig {
  /** `ws://` or `wss://` addresses, tried in turn. */
  readonly hubs: readonly string[];
  readonly agentId: string;
  readonly name?: string | undefined;
  readonly token?: string | undefined;
  /** Default `data/<agentId>`; relative to the config file. */
  readonly dataDir?: string | undefined;
  readonly capabilities?: readonly string[] | undefined;
  /** Tasks run at the same time. Default 1. */
  readonly slots?: number | undefined;
  /** How the agent is woken; if omitted, the agent polls `tasks/`. */
  readonly wake?: WakeRunnerChoice | undefined;
  /** Allows plain `ws://` beyond loopback. */
  readonly insecure?: boolean | undefined;
  /** Sends the token even to a hub that cannot prove that it knows the token. Default false. */
  readonly plainToken?: boolean | undefined;
  /** Creates a key for this machine and binds the agent to it, so that a stolen token alone is not enough. Default false. */
  readonly deviceKey?: boolean | undefined;
  /** How the hubs are authenticated over `wss://`. */
  readonly tls?: HubTls | undefined;
  /** Which tasks it accepts. Default: all. */
  readonly accept?: AcceptConfig | undefined;
  readonly timing?: Partial<SidecarTiming> | undefined;
}

/** The config with all defaults filled in and absolute folders; frozen. */
export interface ResolvedConfig {
  /** The folder of the config file. */
  readonly baseDir: string;
  readonly hub: ResolvedHubConfig | undefined;
  readonly sidecar: ResolvedSidecarConfig | undefined;
}

export interface ResolvedListenTls {
  readonly certFile: string;
  readonly keyFile: string;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** The config of a hub with all defaults filled in and absolute folders; frozen. */
export interface ResolvedHubConfig {
  readonly host: string;
  readonly port: number;
  readonly names: readonly string[];
  readonly origins: readonly string[];
  /** With absolute file paths; null: plain HTTP. */
  readonly tls: ResolvedListenTls | null;
  readonly insecure: boolean;
  readonly trustedProxies: readonly string[];
  readonly storage: StorageChoice;
  readonly transport: TransportChoice;
  readonly dataDir: string;
  /** Absolute; null: removed tasks are not archived. */
  readonly archiveDir: string | null;
  readonly adminToken: string | undefined;
  readonly agentMessages: boolean;
  readonly limits: HubLimits;
  readonly timing: HubTiming;
}

/** The config of a sidecar with all defaults filled in and absolute folders; frozen. */
export interface ResolvedSidecarConfig {
  readonly hubs: readonly string[];
  readonly agentId: string;
  readonly name: string;
  readonly token: string | undefined;
  readonly dataDir: string;
  readonly capabilities: readonly string[];
  readonly slots: number;
  readonly wake: WakeRunnerChoice | undefined;
  readonly insecure: boolean;
  readonly plainToken: boolean;
  readonly deviceKey: boolean;
  readonly tls: { readonly fingerprints: readonly string[]; readonly caFile: string | null };
  readonly accept: ResolvedAccept;
  readonly timing: SidecarTiming;
}

/** Gives the config its type, so that a misspelled key does not compile. */
export const defineConfig = (config: AgentcomConfig): AgentcomConfig => config;

/** What people write in `agentcom.config.ts`, and what the programs use of it. */
import type { ErrorCode } from '../errors/codes.ts';
import type { Clock } from '../ports/clock.ts';
import type { HubTransport } from '../ports/hub-transport.ts';
import type { Log } from '../ports/log.ts';
import type { Storage } from '../ports/storage.ts';
import type { StoreInspection } from '../ports/store-inspection.ts';
import type { WakeRunner } from '../ports/wake-runner.ts';
import type { HubLimits } from './limits.ts';
import type { HubTiming, SidecarTiming } from './times.ts';

/**
 * A chosen adapter: what a factory such as `sqlite({ file })` returns. Opens nothing; `create` does, later, and imports
 * native packages only then.
 */
export interface AdapterChoice<Port extends string, Made, Deps> {
  readonly port: Port;
  readonly name: string;
  /** As given, checked by the adapter's factory or by `problems`. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly capabilities: Readonly<Record<string, boolean | number>>;
  /** Mistakes in the options, each with its path below the adapter; none if it is fine. */
  problems(): readonly ConfigProblem[];
  create(deps: Deps): Promise<Made>;
}

export interface ConfigProblem {
  /** `sidecar.timing.silenceMs`; for an adapter's own, what follows its place. */
  readonly path: string;
  /** What was wanted and what was found. */
  readonly message: string;
  /** The error that ends a program when all problems carry this one code; `AC_CONFIG_INVALID` otherwise. */
  readonly code?: ErrorCode | undefined;
}

export interface StorageDeps {
  /** Absolute; relative files are in it. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
}
export interface TransportDeps {
  readonly log: Log;
}
export interface WakeRunnerDeps {
  readonly agentId: string;
  /** Absolute; the folder of the config file, which relative programs and folders are in. */
  readonly baseDir: string;
  /** The sidecar's data directory, absolute. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * `inspect` opens what is stored only to look at it, for `agentcom doctor`; `backUp` copies it into a new file while the hub
 * runs; `restore` puts such a file in its place and gives it a new `storeId`, so that sidecars notice a store that fell back
 * in time. All are left out where nothing outlives the hub. `check` asks the server behind the store, where there is one.
 */
export type StorageChoice = AdapterChoice<'storage', Storage, StorageDeps> & {
  inspect?(deps: Pick<StorageDeps, 'dataDir' | 'clock'>): Promise<StoreInspection>;
  /** Fails with `AC_TARGET_EXISTS` when the file is there and not to be replaced, with `AC_COPY_DIFFERS` when the copy is damaged. */
  backUp?(deps: Pick<StorageDeps, 'dataDir'>, to: { readonly file: string; readonly replace: boolean }): Promise<BackedUp>;
  /**
   * `file` null: what lies there is what other tools have put back. Fails with `AC_STORAGE_LOCKED` while a hub runs, with
   * `AC_TARGET_EXISTS` when there is a store that is not to be replaced, and with the codes of `Storage.open` for the backup.
   */
  restore?(
    deps: Pick<StorageDeps, 'dataDir' | 'clock'>,
    from: { readonly file: string | null; readonly replace: boolean },
  ): Promise<Restored>;
  /** For `agentcom doctor`. Fails with `AC_STORAGE_OPEN` when the server cannot be asked. */
  check?(deps: Pick<StorageDeps, 'clock'>): Promise<readonly ServerFinding[]>;
};

/** What a server lacks: `not_durable` loses what was acknowledged, `no_calls` makes several hubs slow. */
export interface ServerFinding {
  readonly check: 'not_durable' | 'no_calls';
  /** One sentence, without its full stop. */
  readonly what: string;
}

/** What a store holds, for people: how many tasks, up to which event. */
export interface StoreContents {
  readonly storeId: string;
  readonly tasks: number;
  /** The number of its newest event; 0 without one. */
  readonly lastEventId: number;
}
export interface BackedUp extends StoreContents {
  readonly file: string;
  readonly bytes: number;
}
export interface Restored extends StoreContents {
  /** The file or server, as people may see it. */
  readonly place: string;
  /** Where the store is kept that was there before; null when there was none. */
  readonly kept: string | null;
}

export type TransportChoice = AdapterChoice<'transport', HubTransport, TransportDeps>;
export type WakeRunnerChoice = AdapterChoice<'wake-runner', WakeRunner, WakeRunnerDeps>;

export interface AgentcomConfig {
  readonly hub?: HubConfig | undefined;
  readonly sidecar?: SidecarConfig | undefined;
}

export interface HubConfig {
  readonly listen?:
    | {
        /** Default 127.0.0.1. */
        readonly host?: string | undefined;
        /** Default 4000; 0 takes a free one. */
        readonly port?: number | undefined;
        /** Host names, beside loopback and `host`, that requests may name in Host and Origin. */
        readonly names?: readonly string[] | undefined;
        /** Plain sockets beyond loopback, for a network that is trusted or behind a TLS proxy. */
        readonly insecure?: boolean | undefined;
        /** Addresses of proxies whose `x-forwarded-for` is believed. */
        readonly trustedProxies?: readonly string[] | undefined;
      }
    | undefined;
  readonly storage: StorageChoice;
  readonly transport: TransportChoice;
  /** Default `data/hub`; relative to the config file. */
  readonly dataDir?: string | undefined;
  /** At least 32 characters; else one is made at the first start in `dataDir/admin-token`. */
  readonly adminToken?: string | undefined;
  /** Whether agents may send each other messages. Default true. */
  readonly agentMessages?: boolean | undefined;
  readonly limits?: Partial<HubLimits> | undefined;
  readonly timing?: Partial<HubTiming> | undefined;
}

export interface SidecarConfig {
  /** `ws://` or `wss://` addresses, tried in turn. */
  readonly hubs: readonly string[];
  readonly agentId: string;
  readonly name?: string | undefined;
  readonly token?: string | undefined;
  /** Default `data/<agentId>`; relative to the config file. */
  readonly dataDir?: string | undefined;
  readonly capabilities?: readonly string[] | undefined;
  /** Tasks at the same time. Default 1. */
  readonly slots?: number | undefined;
  /** How the agent is woken; without it the agent polls `tasks/` by itself (self-start). */
  readonly wake?: WakeRunnerChoice | undefined;
  /** Plain `ws://` beyond loopback. */
  readonly insecure?: boolean | undefined;
  /** Sends the token to a hub that cannot prove that it knows it. Default false. */
  readonly plainToken?: boolean | undefined;
  readonly timing?: Partial<SidecarTiming> | undefined;
}

/** The config with all defaults in, frozen; folders absolute. */
export interface ResolvedConfig {
  /** The folder of the config file. */
  readonly baseDir: string;
  readonly hub: ResolvedHubConfig | undefined;
  readonly sidecar: ResolvedSidecarConfig | undefined;
}

export interface ResolvedHubConfig {
  readonly host: string;
  readonly port: number;
  readonly names: readonly string[];
  readonly insecure: boolean;
  readonly trustedProxies: readonly string[];
  readonly storage: StorageChoice;
  readonly transport: TransportChoice;
  readonly dataDir: string;
  readonly adminToken: string | undefined;
  readonly agentMessages: boolean;
  readonly limits: HubLimits;
  readonly timing: HubTiming;
}

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
  readonly timing: SidecarTiming;
}

/** Gives the config its type, so that a misspelt key does not compile. */
export const defineConfig = (config: AgentcomConfig): AgentcomConfig => config;

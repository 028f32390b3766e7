/** The entry `agentcom`: what a config file is written with. */
export { env, type Env } from '../../adapters/env-process/env.ts';
export { defineConfig } from '../../core/config/config.ts';
export type {
  AdapterChoice,
  AgentcomConfig,
  ConfigProblem,
  HubConfig,
  ResolvedConfig,
  ResolvedHubConfig,
  ResolvedSidecarConfig,
  SidecarConfig,
  StorageChoice,
  StorageDeps,
  TransportChoice,
  TransportDeps,
  WakeRunnerChoice,
  WakeRunnerDeps,
} from '../../core/config/config.ts';
export type { AcceptConfig, Ed25519PublicJwk, TrustedKeyConfig } from '../../core/config/accept.ts';
export type { HubLimits } from '../../core/config/limits.ts';
export type { BackoffTimes, HubTiming, SidecarTiming } from '../../core/config/times.ts';
export { AgentcomError } from '../../core/errors/agentcom-error.ts';
export { ERROR_CODES, type ErrorCode } from '../../core/errors/codes.ts';

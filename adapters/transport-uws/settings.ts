/** The options of the uws transport. All other timeouts are those of uWebSockets.js. */
import type { ConfigProblem } from '../../core/config/config.ts';
import { numberProblems, withDefaults } from '../../core/config/number-options.ts';
import type { HubTransport } from '../../core/ports/hub-transport.ts';

/** On a frame over the limit uWebSockets.js drops the connection without a close frame, hence 1006. */
export const UWS_CAPABILITIES = {
  tooLargeCode: 1006,
  tcp: true,
  checksMask: false,
  wholeFrames: true,
  tls: true,
  tls13Only: false,
} as const satisfies HubTransport['capabilities'];

/** Options of `uws()`. */
export interface UwsOptions {
  /**
   * HTTP connections open at once, in addition to `socketsMax` WebSockets: a TCP connection beyond the sum of both is dropped.
   * Upgrades that wait do not count. Default 2,000.
   */
  readonly httpConnectionsMax?: number | undefined;
  /**
   * How long running requests may take to finish when the hub closes, before their connections are destroyed. Milliseconds. Default 1,000.
   */
  readonly closeWithinMs?: number | undefined;
}

/** Every option, with its default filled in. */
export type UwsSettings = { readonly [Key in keyof UwsOptions]-?: number };

const DEFAULTS: UwsSettings = { httpConnectionsMax: 2_000, closeWithinMs: 1_000 };

export const settingsOf = (options: UwsOptions): UwsSettings => withDefaults(options, DEFAULTS);

/** Mistakes in the options of a config. */
export const problemsOf = (options: UwsOptions): readonly ConfigProblem[] => numberProblems(options, DEFAULTS);

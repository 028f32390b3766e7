/** What can be set about the uws transport: the rest of its times are uWebSockets.js's own. */
import type { ConfigProblem } from '../../core/config/config.ts';
import { numberProblems, withDefaults } from '../../core/config/number-options.ts';

export interface UwsOptions {
  /** HTTP connections open at once, beside the sockets; more are dropped. Default 2,000. */
  readonly httpConnectionsMax?: number | undefined;
  /** How long requests that are being answered may go on when the hub closes, milliseconds. Default 1,000. */
  readonly closeWithinMs?: number | undefined;
}

/** Every option, set. */
export type UwsSettings = { readonly [Key in keyof UwsOptions]-?: number };

const DEFAULTS: UwsSettings = { httpConnectionsMax: 2_000, closeWithinMs: 1_000 };

/** The options with the defaults in. */
export const settingsOf = (options: UwsOptions): UwsSettings => withDefaults(options, DEFAULTS);

/** Mistakes in options that come from a config. */
export const problemsOf = (options: UwsOptions): readonly ConfigProblem[] => numberProblems(options, DEFAULTS, 'uws()');

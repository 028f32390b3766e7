/** What can be set about the ws transport: its bounds on connections and on time. */
import type { ConfigProblem } from '../../core/config/config.ts';
import { numberProblems, withDefaults } from '../../core/config/number-options.ts';

export interface WsOptions {
  /** HTTP connections open at once, beside the sockets; more are dropped. Default 2,000. */
  readonly httpConnectionsMax?: number | undefined;
  /** How long the head of a request may take, from the connection or the request before it. Default 10,000. */
  readonly headersWithinMs?: number | undefined;
  /** How long a whole request, body included, may take to arrive; no less than `headersWithinMs`. Default 60,000. */
  readonly requestWithinMs?: number | undefined;
  /** How long an HTTP connection stays open between two requests. Default 30,000. */
  readonly keepAliveMs?: number | undefined;
  /** How long an HTTP connection may carry nothing in either direction while a request is answered. Default 120,000. */
  readonly idleMs?: number | undefined;
  /** How long a peer may take to answer a close before its connection is cut. Default 1,000. */
  readonly closeWithinMs?: number | undefined;
}

/** Every option, set. */
export type WsSettings = { readonly [Key in keyof WsOptions]-?: number };

const DEFAULTS: WsSettings = {
  httpConnectionsMax: 2_000,
  headersWithinMs: 10_000,
  requestWithinMs: 60_000,
  keepAliveMs: 30_000,
  idleMs: 120_000,
  closeWithinMs: 1_000,
};

/** The options with the defaults in. */
export const settingsOf = (options: WsOptions): WsSettings => withDefaults(options, DEFAULTS);

/** Mistakes in options that come from a config. */
export const problemsOf = (options: WsOptions): readonly ConfigProblem[] => {
  const problems = [...numberProblems(options, DEFAULTS, 'ws()')];
  const { headersWithinMs, requestWithinMs } = settingsOf(options);
  if (headersWithinMs > requestWithinMs) {
    problems.push({ path: 'requestWithinMs', message: `wanted at least headersWithinMs (${headersWithinMs}), found ${requestWithinMs}.` });
  }
  return problems;
};
